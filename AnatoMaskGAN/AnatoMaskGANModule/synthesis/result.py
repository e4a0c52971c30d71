"""The volume node that gets what was made: its intensities, provenance, display and place."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import slicer
from slicer.i18n import tr as _

from AnatoMaskGANModule.parameters import (
    AnatoMaskGANParameterNode,
    DisplayPreset,
    Intensities,
    ManySamples,
)
from AnatoMaskGANModule.synthesis.request import SCALAR_VOLUME_CLASS, VolumeSource

INTENSITIES_ATTRIBUTE = "Intensities"


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


def checkOutput(outputVolume) -> None:
    """Raises ValueError for a node that must not be filled; None is a new volume."""
    from AnatoMaskGANLib.mrml import is_synthetic

    if outputVolume is None:
        return
    kind = outputVolume.GetClassName()
    if kind != SCALAR_VOLUME_CLASS:  # not IsA: volumes of labels or vectors are such nodes, too
        raise ValueError(f"Expected a scalar volume node, got a {kind}. Select one.")
    if outputVolume.GetImageData() and not is_synthetic(outputVolume):
        raise ValueError(
            f"The output volume {outputVolume.GetName()!r} contains an image that was not "
            "synthesized and would be lost. Select another output volume, or a new one."
        )


def isEditedScan(record: Mapping[str, str]) -> bool:
    """Whether the volume with this record is a real scan, of which only an edit is synthetic."""
    return "EditedInPlace" in record


def volumeToFill(parameterNode: AnatoMaskGANParameterNode):
    """The selected output volume; None without one, and for an edited scan, which is kept."""
    from AnatoMaskGANLib.mrml import provenance_of

    output = parameterNode.outputVolume
    isKept = output is not None and isEditedScan(provenance_of(output))
    return None if isKept else output


def checkStillThere(*nodes) -> None:
    """Raises RuntimeError when a node was removed while a synthesis ran; None is no node."""
    for node in nodes:
        if node is not None and node.GetScene() is None:
            raise RuntimeError(
                f"{node.GetName()!r} was removed during the synthesis, so the result has "
                "no place. Nothing was changed; start again."
            )


def putVolumes(
    source: VolumeSource,
    outputVolume,
    volumes: Sequence,
    seeds: Sequence[int],
    export,
    style: OutputStyle,
    note: Callable[[str], None],
):
    """The node with these volumes and their record; a new one beside the segmentation if None.

    volumes: one core `Volume` a seed; several become a sequence. export: the core's
    `SegmentationExport` that they are of. note gets what the user should know of the display.
    """
    from AnatoMaskGANLib import mrml

    unit, volumes = volumes[0].unit, [style.applied(volume) for volume in volumes]
    scene, name = source.segmentationNode.GetScene(), source.segmentationNode.GetName()
    isShownAnew = outputVolume is None or mrml.in_other_intensities(outputVolume, volumes[0])
    if outputVolume is None:
        outputVolume = scene.AddNewNodeByClass(
            SCALAR_VOLUME_CLASS, scene.GenerateUniqueName(f"{name} synthetic")
        )
    elif "synthetic" not in outputVolume.GetName().lower():
        outputVolume.SetName(f"{outputVolume.GetName()} (synthetic)")
    source.linkFrom(outputVolume)
    attributes = source.attributes(export)
    mrml.update_volume_samples(outputVolume, volumes, seeds, export.grid, attributes)
    mrml.place_beside(outputVolume, source.segmentationNode)
    told = style.show(outputVolume, source.referenceVolume, unit) if isShownAnew else None
    if told is not None:
        note(told)
    return outputVolume


def putSamples(
    source: VolumeSource,
    outputVolume,
    volumes: Sequence,
    seeds: Sequence[int],
    export,
    manySamples: ManySamples,
    style: OutputStyle,
    note: Callable[[str], None],
):
    """As `putVolumes`; several volumes become a sequence or a node each, the first given back."""
    if manySamples is ManySamples.SEQUENCE or len(volumes) == 1:
        return putVolumes(source, outputVolume, volumes, seeds, export, style, note)
    first = None
    for volume, seed in zip(volumes, seeds, strict=True):
        target = outputVolume if first is None else None
        node = putVolumes(source, target, [volume], [seed], export, style, note)
        if target is None:
            node.SetName(_("{name}, seed {seed}").format(name=node.GetName(), seed=seed))
        first = node if first is None else first
    return first
