"""Edits in a real scan: only where the segments changed does it become synthetic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import slicer
from slicer.i18n import tr as _

from AnatoMaskGANModule.synthesis.request import SCALAR_VOLUME_CLASS, VolumeSource

if TYPE_CHECKING:
    from AnatoMaskGANLib.mrml import SegmentationExport
    from AnatoMaskGANLib.volumes import LabelTable, Volume


def checkScan(scan: slicer.vtkMRMLNode | None) -> None:
    """Raises ValueError for a node that holds no scan: labels and vectors are no intensities."""
    if scan is None:
        raise ValueError("No real scan is selected. Select the scan to edit.")
    kind = scan.GetClassName()
    if kind != SCALAR_VOLUME_CLASS:
        raise ValueError(
            f"Expected the real scan, a scalar volume node, got {scan.GetName()!r}, a {kind}. "
            "Select a scan."
        )


def rememberSegments(
    segmentationNode: slicer.vtkMRMLSegmentationNode,
) -> slicer.vtkMRMLSegmentationNode:
    """A hidden copy of a segmentation as it is now: what later edits are compared with."""
    name = _("{name} before").format(name=segmentationNode.GetName())
    scene = segmentationNode.GetScene()
    copy = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", scene.GenerateUniqueName(name))
    copy.CreateDefaultDisplayNodes()
    copy.GetSegmentation().DeepCopy(segmentationNode.GetSegmentation())
    copy.SetAndObserveTransformNodeID(segmentationNode.GetTransformNodeID())
    copy.GetDisplayNode().SetVisibility(False)
    return copy


def editedScan(
    before: VolumeSource,
    after: VolumeSource,
    labelTable: LabelTable,
    marginMm: float,
    make: Callable[[SegmentationExport], Sequence[Volume]],
    seam: str = "smooth",
) -> tuple[Volume, SegmentationExport]:
    """The scan's edited volume, and the export of the segments after the edit.

    Both sources have the scan as reference volume. make: gives the synthetic volume of an export.
    Raises ValueError where nothing was edited.
    """
    from AnatoMaskGANLib.mrml import user_table, volume_of_node
    from AnatoMaskGANLib.synthesis import blend_edit
    from AnatoMaskGANLib.volumes import apply_matches, match_labels

    classes = []
    for source in (before, after):
        export = source.labelMapExport()
        userTable = user_table(export.entries, source.labels)
        matches = match_labels(export.label_map, labelTable, userTable)
        classes.append(apply_matches(export.label_map, matches, source.unmatched).labels_kji)
    isChanged = classes[0] != classes[1]
    if not isChanged.any():
        raise ValueError(
            f"The segments of {after.segmentationNode.GetName()!r} are the same as those "
            f"of {before.segmentationNode.GetName()!r}, so there is no edit. Edit a "
            "segment first."
        )
    (synthetic,) = make(export)
    scan = volume_of_node(after.referenceVolume)
    edited = blend_edit(scan, synthetic, isChanged, classes[1] != 0, marginMm, seam)
    return edited, export


def newEditedVolume(scan: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkMRMLScalarVolumeNode:
    """An empty volume node for the edited copy of a scan."""
    scene = scan.GetScene()
    name = scene.GenerateUniqueName(f"{scan.GetName()} edited, synthetic")
    return scene.AddNewNodeByClass(SCALAR_VOLUME_CLASS, name)


def showAsScan(
    editedNode: slicer.vtkMRMLScalarVolumeNode, scan: slicer.vtkMRMLScalarVolumeNode
) -> None:
    """Window and level as those of the scan."""
    shown, made = scan.GetScalarVolumeDisplayNode(), editedNode.GetScalarVolumeDisplayNode()
    if shown is not None:
        made.SetWindowLevel(shown.GetWindow(), shown.GetLevel())


def differenceOfEdit(
    editedNode: slicer.vtkMRMLScalarVolumeNode, scanNode: slicer.vtkMRMLScalarVolumeNode
) -> slicer.vtkMRMLScalarVolumeNode:
    """The node with edited minus scan, next to the edited one; ValueError if the grids differ."""
    from AnatoMaskGANLib.mrml import update_edit_difference

    return update_edit_difference(editedNode, scanNode)
