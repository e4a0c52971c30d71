"""Reads a scan from a node, and writes it to nodes after an edit of its segmentation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import slicer
import slicer.util

from AnatoMaskGANLib.mrml.comparison_nodes import grid_of_volume, volume_of_node
from AnatoMaskGANLib.mrml.label_map_export import (
    ijk_to_ras_of,
    label_map_from_segmentation,
    merged_labels,
)
from AnatoMaskGANLib.mrml.layer_labels import layer_labels
from AnatoMaskGANLib.mrml.segments import segment_entries
from AnatoMaskGANLib.mrml.volume_nodes import (
    ATTRIBUTE_PREFIX,
    SAMPLES_ATTRIBUTE,
    provenance_of,
    remove_samples,
    set_unit,
    unit_of,
    update_record,
)
from AnatoMaskGANLib.volumes import LabelMap, Volume, VolumeError

EDITED_ATTRIBUTE = ATTRIBUTE_PREFIX + "EditedScan"
_DESCRIPTION = "A scan edited by AnatoMaskGAN, not as it was measured; not for diagnosis"


def scan_of_node(volume_node: slicer.vtkMRMLScalarVolumeNode) -> Volume:
    """Reads a volume with its unit and record; VolumeError for several numbers a voxel."""
    volume = volume_of_node(volume_node)
    return replace(volume, unit=unit_of(volume_node), provenance=provenance_of(volume_node))


def labels_on_scan(
    segmentation_node: slicer.vtkMRMLSegmentationNode,
    scan_node: slicer.vtkMRMLScalarVolumeNode,
    label_values: Mapping[str, int],
) -> tuple[LabelMap, int]:
    """Gives the segments on the scan's grid, and the number of voxels in more than one of them.

    label_values gives the value of each segment ID. A segmentation without any voxel becomes a map
    of zeros. Raises VolumeError if there are voxels, but none of them on the scan.
    """
    segmentation = segmentation_node.GetSegmentation()
    ids = list(segmentation.GetSegmentIDs())
    names = {label_values[one]: segmentation.GetSegment(one).GetName() or one for one in ids}
    values = {one: label_values[one] for one in ids}
    try:
        export = label_map_from_segmentation(segmentation_node, scan_node, ids, values)
    except VolumeError:
        if has_voxels(segmentation_node):
            raise
        scan = volume_of_node(scan_node)
        return LabelMap(np.zeros(scan.shape_kji, np.uint8), scan.ijk_to_ras, names), 0
    return replace(export.label_map, names=names), export.num_overlapping_voxels


def labels_while_painting(
    segmentation_node: slicer.vtkMRMLSegmentationNode,
    scan_node: slicer.vtkMRMLScalarVolumeNode,
    label_values: Mapping[str, int],
) -> LabelMap:
    """The labels of `labels_on_scan`, read again after a stroke of the brush.

    The segmentation must have been on the scan before.
    """
    entries = segment_entries(segmentation_node, None, label_values)
    labels = layer_labels(segmentation_node, scan_node, entries)
    if labels is None:
        labels = merged_labels(segmentation_node, scan_node, entries)
    names = {entry.label_value: entry.name for entry in entries}
    return LabelMap(labels, ijk_to_ras_of(grid_of_volume(scan_node), scan_node), names)


def has_voxels(segmentation_node: slicer.vtkMRMLSegmentationNode) -> bool:
    """Whether any segment has a voxel, wherever it lies."""
    if segmentation_node.GetSegmentation().GetNumberOfSegments() == 0:
        return False
    try:
        label_map_from_segmentation(segmentation_node)
    except VolumeError:
        return False
    return True


def is_edited_scan(volume_node: slicer.vtkMRMLVolumeNode) -> bool:
    """Whether the volume is a scan that follows an edit of its segmentation."""
    return volume_node.GetAttribute(EDITED_ATTRIBUTE) is not None


def update_edited_scan(
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    volume: Volume,
    scan_node: slicer.vtkMRMLScalarVolumeNode,
) -> None:
    """Put an edited scan into a node, with its voxels, grid, unit and record.

    A node that was empty is shown with the scan's window.
    """
    grid = grid_of_volume(scan_node)
    is_new = volume_node.GetImageData() is None
    with slicer.util.NodeModify(volume_node):
        volume_node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(grid.ijk_to_node))
        volume_node.SetAndObserveTransformNodeID(grid.transform_node_id)
        slicer.util.updateVolumeFromArray(volume_node, volume.voxels_kji)
        update_edit_provenance(volume_node, volume.provenance)
        volume_node.SetDescription(_DESCRIPTION)
        set_unit(volume_node, volume.unit)
    volume_node.CreateDefaultDisplayNodes()
    shown = scan_node.GetScalarVolumeDisplayNode()
    if is_new and shown is not None:
        display = volume_node.GetScalarVolumeDisplayNode()
        display.AutoWindowLevelOff()
        display.SetWindowLevel(shown.GetWindow(), shown.GetLevel())


def update_edit_provenance(
    volume_node: slicer.vtkMRMLScalarVolumeNode, record: Mapping[str, str]
) -> None:
    """Replace the record in the node's attributes by this one."""
    for key in provenance_of(volume_node).keys() - record.keys():
        volume_node.RemoveAttribute(ATTRIBUTE_PREFIX + key)
    update_record(volume_node, record)


def update_edited_series(
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    volumes: Mapping[str, Volume],
    scan_node: slicer.vtkMRMLScalarVolumeNode,
) -> None:
    """Put several edits of one scan into a sequence that the node shows, indexed by their names.

    It starts with the first; a series that the node showed before is replaced. A single edit is
    put into the node itself.
    """
    remove_samples(volume_node)
    if len(volumes) == 1:
        (volume,) = volumes.values()
        update_edited_scan(volume_node, volume, scan_node)
        return
    scene, name = volume_node.GetScene(), volume_node.GetName()
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", f"{name} series")
    sequence.SetIndexName("step")
    sequence.SetIndexUnit("")
    sequence.SetIndexType(sequence.TextIndex)
    for step, volume in volumes.items():
        update_edited_scan(volume_node, volume, scan_node)
        sequence.SetDataNodeAtValue(volume_node, step)
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", f"{name} browser")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    # the browser makes a proxy node as soon as it has a sequence
    made_by_browser = browser.GetProxyNode(sequence)
    browser.AddProxyNode(volume_node, sequence, False)
    if made_by_browser is not None and made_by_browser is not volume_node:
        scene.RemoveNode(made_by_browser)
    browser.SetSelectedItemNumber(0)
    for node in (sequence, browser):
        node.SetAttribute(SAMPLES_ATTRIBUTE, "YES")
