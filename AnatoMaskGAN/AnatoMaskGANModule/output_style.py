"""How a synthetic volume is put into its node: in which intensities, and how it is shown."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import slicer
from slicer.i18n import tr as _

INTENSITIES_ATTRIBUTE = "Intensities"


class Intensities(enum.Enum):
    """The numbers that the voxels get."""

    MODEL = "model"
    WINDOW = "window"

    def label(self) -> str:
        if self is Intensities.MODEL:
            return _("Same as the model's training scans")
        return _("0 to 1 (fraction of the model's window)")


class DisplayPreset(enum.Enum):
    """How a new volume is shown at first; later the user's own window stays."""

    MODEL = "model"
    REFERENCE = "reference"
    AUTO = "auto"
    CT_ABDOMEN = "CT_ABDOMEN"
    CT_BONE = "CT_BONE"
    CT_BRAIN = "CT_BRAIN"
    CT_LUNG = "CT_LUNG"

    def label(self) -> str:
        texts = {
            DisplayPreset.MODEL: _("The model's window"),
            DisplayPreset.REFERENCE: _("Same as the reference volume"),
            DisplayPreset.AUTO: _("Automatic, from its intensities"),
        }
        return texts.get(self) or _("Preset {name}").format(name=self.value.replace("_", " "))


@dataclass(frozen=True)
class OutputStyle:
    """What the user chose for a new volume."""

    intensities: Intensities = Intensities.MODEL
    preset: DisplayPreset = DisplayPreset.MODEL

    def applied(self, volume) -> Any:
        """A core `Volume` of the model, in these intensities."""
        from AnatoMaskGANLib.volumes import Volume

        if self.intensities is Intensities.MODEL:
            record = self.record(volume.provenance)
            return Volume(volume.voxels_kji, volume.ijk_to_ras, volume.window, volume.unit, record)
        voxels = self.voxels(volume.voxels_kji, volume.window)
        return Volume(voxels, volume.ijk_to_ras, (0.0, 1.0), "", self.record(volume.provenance))

    def voxels(self, voxels_kji, window: tuple[float, float]):
        """Voxels in the model's unit, in these intensities; window: the model's."""
        if self.intensities is Intensities.MODEL:
            return voxels_kji
        low, high = window
        return ((voxels_kji - low) / (high - low)).astype(voxels_kji.dtype)

    def record(self, provenance: Mapping[str, str]) -> dict[str, str]:
        """How the volume was made, with its intensities."""
        return {**provenance, INTENSITIES_ATTRIBUTE: self.intensities.value}

    def show(self, volumeNode, referenceVolume, unit: str) -> str | None:
        """Set the display of a new volume; what the user should know of that, or None.

        unit: of the model; the presets for CT are in Hounsfield units.
        """
        display = volumeNode.GetScalarVolumeDisplayNode()
        if self.preset is DisplayPreset.AUTO:
            display.AutoWindowLevelOn()
        elif self.preset is DisplayPreset.REFERENCE:
            shown = referenceVolume.GetScalarVolumeDisplayNode() if referenceVolume else None
            if shown is None:
                return _("There is no reference volume, so the model's window is shown.")
            display.AutoWindowLevelOff()
            display.SetWindowLevel(shown.GetWindow(), shown.GetLevel())
        elif self.preset is not DisplayPreset.MODEL:
            if unit != "HU" or self.intensities is not Intensities.MODEL:
                text = _("{preset} is for Hounsfield units, so the model's window is shown.")
                return text.format(preset=self.preset.label())
            logic = slicer.modules.volumes.logic()
            logic.ApplyVolumeDisplayPreset(display, self.preset.value)
        return None


def modelVoxels(voxels_kji, record, window: tuple[float, float]):
    """Voxels of a volume with this record, in the model's unit; window: the model's."""
    if record.get(INTENSITIES_ATTRIBUTE, Intensities.MODEL.value) == Intensities.MODEL.value:
        return voxels_kji
    low, high = window
    return voxels_kji * (high - low) + low


def intensitiesOf(record) -> Intensities:
    """In which intensities the volume with this record is."""
    return Intensities(record.get(INTENSITIES_ATTRIBUTE, Intensities.MODEL.value))
