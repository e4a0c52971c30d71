"""Segmentation node to label map, volume to scalar volume node.

The only core file that knows Slicer. It takes the scene from the nodes and calls the logics' static
methods, so that it runs the same in the application and under the tests' stand-in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import slicer
import slicer.util
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from .volumes import LabelMap, LabelTable, Volume, VolumeError
from .volumes.terminology import code_of_terminology_entry

# Names that Slicer makes up for segments of a file without names; they say nothing of the anatomy.
MADE_UP_NAME = re.compile(r"Segment[ _]\d+")
# Slicer's terminology of a segment that nobody described: "Tissue".
UNDESCRIBED_CODE = "SCT:85756007"
SIDES = {"SCT:7771000": "Left", "SCT:24028007": "Right"}
# Slicer merges segments into signed short voxels.
LARGEST_VALUE = 2**15 - 1
# Every volume we make carries its record in node attributes of this prefix.
ATTRIBUTE_PREFIX = "AnatoMaskGAN."
SYNTHETIC_ATTRIBUTE = ATTRIBUTE_PREFIX + "SyntheticData"
# On the sequence and its browser that hold several samples of one volume.
SAMPLES_ATTRIBUTE = ATTRIBUTE_PREFIX + "Samples"
# Axes that meet within this cosine of a right angle count as perpendicular.
RIGHT_ANGLE_TOLERANCE = 1e-4


@dataclass(frozen=True)
class SegmentEntry:
    """A segment as the label table lists it, before any voxel is read."""

    segment_id: str
    name: str
    label_value: int
    """The value that its voxels get in the label map."""
    code: str
    """Terminology code, "SCT:12738006"; empty when the segment has none of its own."""
    color: tuple[float, float, float]
    """Red, green and blue in [0, 1]."""


@dataclass(frozen=True, eq=False)
class NodeGrid:
    """The voxel grid that an output volume node gets: its own, below its parent transform."""

    shape_kji: tuple[int, int, int]
    ijk_to_node: np.ndarray
    """4x4, voxel index (i, j, k) to the node's own coordinates in mm."""
    transform_node_id: str | None
    """The parent transform, which moves the node's own coordinates into the world's RAS."""


@dataclass(frozen=True, eq=False)
class SegmentationExport:
    """The label map of a segmentation, and what a user has to know about how it was made."""

    label_map: LabelMap
    entries: tuple[SegmentEntry, ...]
    grid: NodeGrid
    empty_segments: tuple[str, ...]
    """Names of the segments that have no voxel on the grid."""
    num_overlapping_voxels: int
    """Voxels of more than one segment; there the last segment of the list counts."""


def segment_entries(
    segmentation_node: slicer.vtkMRMLSegmentationNode, segment_ids: Sequence[str] | None = None
) -> tuple[SegmentEntry, ...]:
    """The segments in their order, all of them or those asked for.

    A segment keeps the label value it has in the segmentation; when these are not distinct
    (segments that overlap may share one) or do not fit all are numbered from 1. Raises VolumeError
    on an unknown segment.
    """
    segmentation = segmentation_node.GetSegmentation()
    known_ids = list(segmentation.GetSegmentIDs())
    unknown = sorted(set(segment_ids or ()) - set(known_ids))
    if unknown:
        raise VolumeError(
            f"The segmentation {segmentation_node.GetName()!r} has no segment {unknown[0]!r}; "
            f"its segment IDs are {', '.join(known_ids) or 'none'}. Choose among these."
        )
    chosen = [i for i in known_ids if segment_ids is None or i in segment_ids]
    values = [segmentation.GetSegment(segment_id).GetLabelValue() for segment_id in chosen]
    is_distinct = len(set(values)) == len(values)
    if not is_distinct or min(values, default=1) < 1 or max(values, default=1) > LARGEST_VALUE:
        values = list(range(1, len(chosen) + 1))
    entries = []
    for segment_id, value in zip(chosen, values, strict=True):
        segment = segmentation.GetSegment(segment_id)
        name, color = segment.GetName() or segment_id, segment.GetColor()
        entries.append(SegmentEntry(segment_id, name, value, _code_of(segment), color))
    return tuple(entries)


def label_map_of_entries(entries: Sequence[SegmentEntry]) -> LabelMap:
    """One voxel a segment: enough to match labels without reading the segmentation's voxels."""
    values = np.array([[[entry.label_value for entry in entries]]], dtype=np.int32)
    return LabelMap(values, np.eye(4), _names(entries), _codes(entries))


def user_table(entries: Sequence[SegmentEntry], labels: Mapping[str, str]) -> dict[str, str | None]:
    """The user's choices by segment name ("" is background) as `match_labels` takes them.

    Choices for segments that are not there are left out: they may belong to another segmentation.
    """
    return {
        str(entry.label_value): labels[entry.name] or None
        for entry in entries
        if entry.name in labels
    }


def label_map_from_segmentation(
    segmentation_node: slicer.vtkMRMLSegmentationNode,
    reference_volume: slicer.vtkMRMLScalarVolumeNode | None = None,
    segment_ids: Sequence[str] | None = None,
) -> SegmentationExport:
    """The segments as one label map on the reference volume's grid, or on the segmentation's own.

    The segmentation's own grid is that of the image it was drawn on; without one it is the box of
    all segments with a voxel around it. Nothing is cropped to the painted voxels. `ijk_to_ras` of
    the label map is in the world, with the parent transform, so that the model sees the anatomy as
    the slice views show it; only below a non-linear or shearing transform is it the node's own.
    Raises VolumeError when there is no segment, or not one voxel of one.
    """
    name = segmentation_node.GetName()
    entries = segment_entries(segmentation_node, segment_ids)
    if not entries:
        raise VolumeError(
            f"The segmentation {name!r} has no segments. Add at least one in the Segment Editor, "
            "or select another segmentation."
        )
    if reference_volume is not None and reference_volume.GetImageData() is None:
        raise VolumeError(
            f"The reference volume {reference_volume.GetName()!r} has no voxels; expected a loaded "
            "volume. Select another one, or none to take the segmentation's own grid."
        )
    _make_binary_labelmaps(segmentation_node)
    image = _merged_labelmap(segmentation_node, reference_volume, entries)
    labels_kji = _voxels_of(image)
    present = set(np.unique(labels_kji).tolist())
    empty = tuple(entry.name for entry in entries if entry.label_value not in present)
    if len(empty) == len(entries):
        where = f"on the grid of {reference_volume.GetName()!r}" if reference_volume else "at all"
        raise VolumeError(
            f"No segment of {name!r} has a voxel {where}: {_listed(empty)}. Paint at least one "
            "segment, or select a reference volume that covers them."
        )
    owner = reference_volume if reference_volume is not None else segmentation_node
    grid = NodeGrid(labels_kji.shape, _ijk_to_node(image), owner.GetTransformNodeID())
    label_map = LabelMap(labels_kji, _ijk_to_ras(grid, owner), _names(entries), _codes(entries))
    overlapping = _num_overlapping_voxels(segmentation_node, reference_volume, entries, labels_kji)
    return SegmentationExport(label_map, entries, grid, empty, overlapping)


def update_scalar_volume(
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    volume: Volume,
    grid: NodeGrid,
    attributes: Mapping[str, str],
) -> None:
    """Put a synthetic volume into a node: voxels, exactly this grid, display and provenance.

    The first time the display gets the volume's window if it is in Hounsfield units, else Slicer's
    automatic one; later the user's own setting stays. `attributes` join the volume's provenance in
    the node's attributes.
    """
    if volume.shape_kji != grid.shape_kji:
        raise VolumeError(
            f"The synthetic volume has {volume.shape_kji} voxels (KJI), but its node needs "
            f"{grid.shape_kji}. Resample it to the grid of the label map first."
        )
    is_first = not is_synthetic(volume_node)
    with slicer.util.NodeModify(volume_node):
        volume_node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(grid.ijk_to_node))
        volume_node.SetAndObserveTransformNodeID(grid.transform_node_id)
        slicer.util.updateVolumeFromArray(volume_node, volume.voxels_kji)
        for key, value in {**volume.provenance, **attributes}.items():
            volume_node.SetAttribute(ATTRIBUTE_PREFIX + key, str(value))
        volume_node.SetAttribute(SYNTHETIC_ATTRIBUTE, "YES")
        volume_node.SetDescription("Synthetic image made by AnatoMaskGAN; not for diagnosis")
        if volume.unit == "HU":
            _mark_as_hounsfield_units(volume_node)
    volume_node.CreateDefaultDisplayNodes()
    if is_first:
        display = volume_node.GetScalarVolumeDisplayNode()
        display.AutoWindowLevelOn()
        # off again, so that the gray of the unchanged anatomy stays when a segment is edited
        display.AutoWindowLevelOff()
        if volume.unit == "HU" and volume.window is not None:
            display.SetWindowLevelMinMax(*volume.window)


def update_volume_samples(
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    volumes: Sequence[Volume],
    seeds: Sequence[int],
    grid: NodeGrid,
    attributes: Mapping[str, str],
) -> None:
    """Put one synthetic volume into a node, or several into a sequence that the node shows.

    The sequence is indexed by the seed and starts with the first; one that the node showed before
    is replaced.
    """
    _remove_samples(volume_node)
    scene, name = volume_node.GetScene(), volume_node.GetName()
    if len(volumes) == 1:
        update_scalar_volume(volume_node, volumes[0], grid, attributes)
        return
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", f"{name} samples")
    sequence.SetIndexName("seed")
    sequence.SetIndexUnit("")
    for seed, volume in zip(seeds, volumes, strict=True):
        update_scalar_volume(volume_node, volume, grid, attributes)
        sequence.SetDataNodeAtValue(volume_node, str(seed))
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", f"{name} browser")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    browser.AddProxyNode(volume_node, sequence, False)
    browser.SetSelectedItemNumber(0)
    for node in (sequence, browser):
        node.SetAttribute(SAMPLES_ATTRIBUTE, volume_node.GetID())


def is_synthetic(volume_node: slicer.vtkMRMLScalarVolumeNode) -> bool:
    """Whether we made the volume."""
    return volume_node.GetAttribute(SYNTHETIC_ATTRIBUTE) is not None


def provenance_of(volume_node: slicer.vtkMRMLScalarVolumeNode) -> dict[str, str]:
    """The record of a synthetic volume node, without the prefix; empty for a real one."""
    return {
        name.removeprefix(ATTRIBUTE_PREFIX): volume_node.GetAttribute(name)
        for name in volume_node.GetAttributeNames()
        if name.startswith(ATTRIBUTE_PREFIX)
    }


def name_segments(
    segmentation_node: slicer.vtkMRMLSegmentationNode,
    table: LabelTable,
    colors: Mapping[str, str],
) -> None:
    """Give the segments of a file without names the name, code and color of their label value.

    colors: name to "#rrggbb"; segments without an entry keep the color they have.
    """
    segmentation = segmentation_node.GetSegmentation()
    for segment_id in segmentation.GetSegmentIDs():
        segment = segmentation.GetSegment(segment_id)
        name = table.labels.get(segment.GetLabelValue())
        if name is None:
            continue
        segment.SetName(name)
        code = table.codes.get(segment.GetLabelValue())
        if code is not None:
            segment.SetTerminology(_terminology_entry(code, name))
        if name in colors:
            channels = bytes.fromhex(colors[name].removeprefix("#"))
            segment.SetColor([channel / 255 for channel in channels])


def place_beside(
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    segmentation_node: slicer.vtkMRMLSegmentationNode,
) -> None:
    """Put the volume into the segmentation's folder of the subject hierarchy, marked synthetic."""
    scene = volume_node.GetScene()
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    item = hierarchy.GetItemByDataNode(volume_node)
    if not item:
        item = hierarchy.CreateItem(hierarchy.GetSceneItemID(), volume_node)
    neighbour = hierarchy.GetItemByDataNode(segmentation_node)
    if neighbour:
        hierarchy.SetItemParent(item, hierarchy.GetItemParent(neighbour))
    hierarchy.SetItemAttribute(item, SYNTHETIC_ATTRIBUTE, "YES")


def _code_of(segment: slicer.vtkSegment) -> str:
    """The segment's terminology code; empty when nobody described it."""
    code = code_of_terminology_entry(segment.GetTerminology() or "")
    return "" if code == UNDESCRIBED_CODE else code


def _terminology_entry(code: str, meaning: str) -> str:
    """Slicer's terminology entry of a code, "SCT:64033007+SCT:7771000"."""
    structure, _, side = code.partition("+")
    type_triple = f"{structure.replace(':', '^')}^{meaning}"
    side_triple = f"{side.replace(':', '^')}^{SIDES.get(side, '')}" if side else "^^"
    category = "SCT^123037004^Anatomical Structure"
    return f"AnatoMaskGAN~{category}~{type_triple}~{side_triple}~~^^~^^"


def _names(entries: Sequence[SegmentEntry]) -> dict[int, str]:
    """Label value to name; none at all when Slicer made all of them up."""
    if all(MADE_UP_NAME.fullmatch(entry.name) for entry in entries):
        return {}
    return {entry.label_value: entry.name for entry in entries}


def _codes(entries: Sequence[SegmentEntry]) -> dict[int, str]:
    return {entry.label_value: entry.code for entry in entries if entry.code}


def _make_binary_labelmaps(segmentation_node: slicer.vtkMRMLSegmentationNode) -> None:
    """Let a segmentation of surfaces have label maps beside them, as Slicer's own export does."""
    segmentation = segmentation_node.GetSegmentation()
    kind = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    if not segmentation.ContainsRepresentation(kind) and not segmentation.CreateRepresentation(
        kind
    ):
        raise VolumeError(
            f"The segmentation {segmentation_node.GetName()!r} is stored as "
            f"{segmentation.GetSourceRepresentationName()!r} and cannot be turned into voxels. "
            "Convert it to a binary labelmap in the Segmentations module."
        )


def _merged_labelmap(
    segmentation_node: slicer.vtkMRMLSegmentationNode,
    reference_volume: slicer.vtkMRMLScalarVolumeNode | None,
    entries: Sequence[SegmentEntry],
) -> slicer.vtkOrientedImageData:
    """All voxels of the grid with the label value of the last segment that covers them."""
    segment_ids, values = vtk.vtkStringArray(), vtk.vtkIntArray()
    for entry in entries:
        segment_ids.InsertNextValue(entry.segment_id)
        values.InsertNextValue(entry.label_value)
    image = slicer.vtkOrientedImageData()
    extents = slicer.vtkSegmentation
    if reference_volume is not None:
        slicer.vtkSlicerSegmentationsModuleLogic.GenerateMergedLabelmapInReferenceGeometry(
            segmentation_node,
            reference_volume,
            segment_ids,
            extents.EXTENT_REFERENCE_GEOMETRY,
            image,
            values,
        )
        return image
    geometry = segmentation_node.GetSegmentation().GetConversionParameter(
        slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
    )
    # Without a reference geometry EXTENT_REFERENCE_GEOMETRY would crop to the painted voxels.
    extent = (
        extents.EXTENT_REFERENCE_GEOMETRY if geometry else extents.EXTENT_UNION_OF_SEGMENTS_PADDED
    )
    segmentation_node.GenerateMergedLabelmapForAllSegments(image, extent, None, segment_ids, values)
    return image


def _voxels_of(image: slicer.vtkOrientedImageData) -> np.ndarray:
    """A copy of the voxels, [K, J, I]; VolumeError when there are none."""
    scalars = image.GetPointData().GetScalars()
    if scalars is None or scalars.GetNumberOfTuples() == 0:
        raise VolumeError(
            "The segmentation has no voxels. Paint at least one segment, or select a reference "
            "volume whose grid the label map shall have."
        )
    return vtk_to_numpy(scalars).reshape(image.GetDimensions()[::-1]).copy()


def _ijk_to_node(image: slicer.vtkOrientedImageData) -> np.ndarray:
    """4x4 from the index in the array, which starts at 0, to the image's world in mm."""
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    ijk_to_node = slicer.util.arrayFromVTKMatrix(matrix)
    first_ijk = image.GetExtent()[::2]
    ijk_to_node[:3, 3] += ijk_to_node[:3, :3] @ first_ijk
    return ijk_to_node


def _ijk_to_ras(grid: NodeGrid, owner: slicer.vtkMRMLTransformableNode) -> np.ndarray:
    """4x4 from voxel index to the world's RAS; to the node's own coordinates when that is bent."""
    transform = owner.GetParentTransformNode()
    if transform is None or not transform.IsTransformToWorldLinear():
        return grid.ijk_to_node
    to_world = vtk.vtkMatrix4x4()
    transform.GetMatrixTransformToWorld(to_world)
    ijk_to_ras = slicer.util.arrayFromVTKMatrix(to_world) @ grid.ijk_to_node
    axes = ijk_to_ras[:3, :3] / np.linalg.norm(ijk_to_ras[:3, :3], axis=0)
    is_sheared = np.abs(axes.T @ axes - np.eye(3)).max() > RIGHT_ANGLE_TOLERANCE
    return grid.ijk_to_node if is_sheared else ijk_to_ras


def _num_overlapping_voxels(
    segmentation_node: slicer.vtkMRMLSegmentationNode,
    reference_volume: slicer.vtkMRMLScalarVolumeNode | None,
    entries: Sequence[SegmentEntry],
    merged_kji: np.ndarray,
) -> int:
    """Voxels of more than one segment: those whose label changes when one layer stands alone."""
    segmentation = segmentation_node.GetSegmentation()
    layers: dict[int, list[SegmentEntry]] = {}
    for entry in entries:
        layers.setdefault(segmentation.GetLayerIndex(entry.segment_id), []).append(entry)
    if len(layers) < 2:
        return 0
    is_hidden = np.zeros(merged_kji.shape, dtype=bool)
    for layer in layers.values():
        alone = _voxels_of(_merged_labelmap(segmentation_node, reference_volume, layer))
        if alone.shape == merged_kji.shape:
            is_hidden |= (alone != 0) & (alone != merged_kji)
    return int(is_hidden.sum())


def _remove_samples(volume_node: slicer.vtkMRMLScalarVolumeNode) -> None:
    scene = volume_node.GetScene()
    for class_name in ("vtkMRMLSequenceBrowserNode", "vtkMRMLSequenceNode"):
        count = scene.GetNumberOfNodesByClass(class_name)
        for node in [scene.GetNthNodeByClass(index, class_name) for index in range(count)]:
            if node.GetAttribute(SAMPLES_ATTRIBUTE) == volume_node.GetID():
                scene.RemoveNode(node)


def _mark_as_hounsfield_units(volume_node: slicer.vtkMRMLScalarVolumeNode) -> None:
    quantity, unit = slicer.vtkCodedEntry(), slicer.vtkCodedEntry()
    quantity.SetValueSchemeMeaning("112031", "DCM", "Attenuation Coefficient")
    unit.SetValueSchemeMeaning("[hnsf'U]", "UCUM", "Hounsfield unit")
    volume_node.SetVoxelValueQuantity(quantity)
    volume_node.SetVoxelValueUnits(unit)


def _listed(names: Sequence[str], limit: int = 5) -> str:
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
