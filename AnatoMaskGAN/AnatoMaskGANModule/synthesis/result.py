"""The volume node that gets what was made: its intensities, provenance, display and place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import slicer
from slicer.i18n import tr as _

from AnatoMaskGANModule.parameters import (
    AnatoMaskGANParameterNode,
    DisplayPreset,
    Intensities,
    ManySamples,
)
from AnatoMaskGANModule.synthesis.request import SCALAR_VOLUME_CLASS, VolumeSource

if TYPE_CHECKING:
    from AnatoMaskGANLib.mrml import SegmentationExport
    from AnatoMaskGANLib.volumes import Volume

INTENSITIES_ATTRIBUTE = "Intensities"


@dataclass(frozen=True)
class OutputStyle:
    """The user's choices for the intensities and the display of a new volume."""

    intensities: Intensities = Intensities.MODEL
    preset: DisplayPreset = DisplayPreset.MODEL

    def applied(self, volume: Volume) -> Volume:
        """A volume of the model, in these intensities."""
        from AnatoMaskGANLib.volumes import Volume

        if self.intensities is Intensities.MODEL:
            provenance = self.provenance(volume.provenance)
            return replace(volume, provenance=provenance)
        voxels = self.voxels(volume.voxels_kji, volume.window)
        provenance = self.provenance(volume.provenance)
        return Volume(voxels, volume.ijk_to_ras, (0.0, 1.0), "", provenance)

    def voxels(self, voxels_kji: np.ndarray, window: tuple[float, float] | None) -> np.ndarray:
        """Voxels in the model's unit, in these intensities; window: the model's."""
        if self.intensities is Intensities.MODEL:
            return voxels_kji
        assert window is not None  # every model's volume has one
        low, high = window
        return ((voxels_kji - low) / (high - low)).astype(voxels_kji.dtype)

    def provenance(self, provenance: Mapping[str, str]) -> dict[str, str]:
        """The provenance of the volume, with its intensities."""
        return {**provenance, INTENSITIES_ATTRIBUTE: self.intensities.value}

    def show(
        self,
        volumeNode: slicer.vtkMRMLScalarVolumeNode,
        referenceVolume: slicer.vtkMRMLScalarVolumeNode | None,
        unit: str,
    ) -> str | None:
        """Set the display of a new volume; return a note on it for the user, or None.

        unit: the model's unit; the presets for CT are in Hounsfield units.
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


@dataclass(frozen=True)
class OutputChoice:
    """The place of a synthesis's volumes in the scene."""

    volume: slicer.vtkMRMLScalarVolumeNode | None = None
    """The node that is filled; None: a new one."""
    manySamples: ManySamples = ManySamples.SEQUENCE
    style: OutputStyle = field(default_factory=OutputStyle)


def modelVoxels(
    voxels_kji: np.ndarray, provenance: Mapping[str, str], window: tuple[float, float]
) -> np.ndarray:
    """Voxels of a volume with this provenance, in the model's unit; window: the model's."""
    if intensitiesOf(provenance) is Intensities.MODEL:
        return voxels_kji
    low, high = window
    return voxels_kji * (high - low) + low


def intensitiesOf(provenance: Mapping[str, str]) -> Intensities:
    """The kind of intensities of the volume with this provenance."""
    return Intensities(provenance.get(INTENSITIES_ATTRIBUTE, Intensities.MODEL.value))


def checkOutput(outputVolume: slicer.vtkMRMLNode | None) -> None:
    """Raises ValueError for a node that must not be filled; None is a new volume."""
    from AnatoMaskGANLib.mrml import is_synthetic

    if outputVolume is None:
        return
    kind = outputVolume.GetClassName()
    if kind != SCALAR_VOLUME_CLASS:  # IsA would also accept volumes of labels or vectors
        raise ValueError(f"Expected a scalar volume node, got a {kind}. Select one.")
    if outputVolume.GetImageData() and not is_synthetic(outputVolume):
        raise ValueError(
            f"The output volume {outputVolume.GetName()!r} contains an image that was not "
            "synthesized and would be lost. Select another output volume, or a new one."
        )


def isEditedScan(provenance: Mapping[str, str]) -> bool:
    """Whether the volume is a real scan of which only an edited part is synthetic."""
    return "EditedInPlace" in provenance


def volumeToFill(
    parameterNode: AnatoMaskGANParameterNode,
) -> slicer.vtkMRMLScalarVolumeNode | None:
    """The selected output volume; None without one, and for an edited scan, which is kept."""
    from AnatoMaskGANLib.mrml import provenance_of

    output = parameterNode.outputVolume
    isKept = output is not None and isEditedScan(provenance_of(output))
    return None if isKept else output


def checkStillThere(*nodes: slicer.vtkMRMLNode | None) -> None:
    """Raises RuntimeError when a node was removed while a synthesis ran; None is no node."""
    for node in nodes:
        if node is not None and node.GetScene() is None:
            raise RuntimeError(
                f"{node.GetName()!r} was removed during the synthesis, so the result has "
                "no place. Nothing was changed; start again."
            )


@dataclass(frozen=True)
class MadeVolumes:
    """The volumes that a synthesis made from a source."""

    source: VolumeSource
    export: SegmentationExport
    """The label map that they were made of."""
    seeds: Sequence[int]
    volumes: Sequence[Volume]
    """One volume for each seed, in the model's intensities."""


def putVolumes(
    made: MadeVolumes,
    outputVolume: slicer.vtkMRMLScalarVolumeNode | None,
    style: OutputStyle,
    note: Callable[[str], None],
) -> slicer.vtkMRMLScalarVolumeNode:
    """Fills a node with the volumes and their provenance; None: a new one next to the segmentation.

    Several volumes become a sequence. note is called with what the user should know about the
    display.
    """
    from AnatoMaskGANLib import mrml

    source, unit = made.source, made.volumes[0].unit
    volumes = [style.applied(volume) for volume in made.volumes]
    scene, name = source.segmentationNode.GetScene(), source.segmentationNode.GetName()
    isShownAnew = outputVolume is None or mrml.in_other_intensities(outputVolume, volumes[0])
    if outputVolume is None:
        outputVolume = scene.AddNewNodeByClass(
            SCALAR_VOLUME_CLASS, scene.GenerateUniqueName(f"{name} synthetic")
        )
    elif "synthetic" not in outputVolume.GetName().lower():
        outputVolume.SetName(f"{outputVolume.GetName()} (synthetic)")
    source.linkFrom(outputVolume)
    attributes = source.attributes(made.export)
    mrml.update_volume_samples(outputVolume, volumes, made.seeds, made.export.grid, attributes)
    mrml.place_beside(outputVolume, source.segmentationNode)
    remark = style.show(outputVolume, source.referenceVolume, unit) if isShownAnew else None
    if remark is not None:
        note(remark)
    return outputVolume


def putSamples(
    made: MadeVolumes, output: OutputChoice, note: Callable[[str], None]
) -> slicer.vtkMRMLScalarVolumeNode:
    """Does what `putVolumes` does; several volumes become a sequence, or a node each, of which the
    first is returned."""
    if output.manySamples is ManySamples.SEQUENCE or len(made.volumes) == 1:
        return putVolumes(made, output.volume, output.style, note)
    first = None
    for volume, seed in zip(made.volumes, made.seeds, strict=True):
        target = output.volume if first is None else None
        single = replace(made, seeds=[seed], volumes=[volume])
        node = putVolumes(single, target, output.style, note)
        if target is None:
            node.SetName(_("{name}, seed {seed}").format(name=node.GetName(), seed=seed))
        first = node if first is None else first
    return first
