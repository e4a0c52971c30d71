"""Segmentation node to label map: every voxel of a grid with the value of its segment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import slicer
import slicer.util
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from AnatoMaskGANLib.mrml.grid_reach import enlarged_geometry, ijk_to_node_of, voxels_outside
from AnatoMaskGANLib.mrml.own_grid import make_binary_labelmaps, refuse_too_fine_grid
from AnatoMaskGANLib.mrml.segments import SegmentEntry, codes_of, names_of, segment_entries
from AnatoMaskGANLib.volumes import LabelMap, VolumeError

# Axes that meet within this cosine of a right angle count as perpendicular.
RIGHT_ANGLE_TOLERANCE = 1e-4


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
    voxels_left_out: Mapping[str, int] = field(default_factory=dict)
    """Segment name to its number of voxels outside of the reference volume's grid; not of those
    without any voxel on it."""


def label_map_from_segmentation(
    segmentation_node: slicer.vtkMRMLSegmentationNode,
    reference_volume: slicer.vtkMRMLScalarVolumeNode | None = None,
    segment_ids: Sequence[str] | None = None,
    label_values: Mapping[str, int] | None = None,
) -> SegmentationExport:
    """The segments as one label map on the reference volume's grid, or on the segmentation's own.

    The segmentation's own grid is that of the image it was drawn on, grown by whole voxels where a
    segment reaches beyond it; without one it is the box of all segments with a voxel around it.
    Nothing is cropped to the painted voxels.

    `ijk_to_ras` of the label map is in the world, with the parent transform, so that the model sees
    the anatomy as the slice views show it; only below a non-linear or shearing transform is it the
    node's own.

    segment_ids and label_values as for `segment_entries`.
    Raises VolumeError when there is no segment, or not one voxel of one.
    """
    name = segmentation_node.GetName()
    entries = segment_entries(segmentation_node, segment_ids, label_values)
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
    make_binary_labelmaps(segmentation_node)
    if reference_volume is None:
        refuse_too_fine_grid(segmentation_node, entries)
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
    grid = NodeGrid(labels_kji.shape, ijk_to_node_of(image), owner.GetTransformNodeID())
    label_map = LabelMap(
        labels_kji, ijk_to_ras_of(grid, owner), names_of(entries), codes_of(entries)
    )
    overlapping = _num_overlapping_voxels(segmentation_node, reference_volume, entries, image)
    left_out = {}
    if reference_volume is not None:
        found = voxels_outside(segmentation_node, entries, reference_volume)
        left_out = {name: count for name, count in found.items() if name not in empty}
    return SegmentationExport(label_map, entries, grid, empty, overlapping, left_out)


def merged_labels(
    segmentation_node: slicer.vtkMRMLSegmentationNode,
    reference_volume: slicer.vtkMRMLScalarVolumeNode,
    entries: Sequence[SegmentEntry],
) -> np.ndarray:
    """[K,J,I] labels of the segments on a volume's grid, and nothing that takes longer to find out.

    Without any segment all is 0.
    """
    if not entries:
        return np.zeros(slicer.util.arrayFromVolume(reference_volume).shape, np.uint8)
    make_binary_labelmaps(segmentation_node)
    return _voxels_of(_merged_labelmap(segmentation_node, reference_volume, entries))


def _merged_labelmap(
    segmentation_node: slicer.vtkMRMLSegmentationNode,
    reference_volume: slicer.vtkMRMLScalarVolumeNode | None,
    entries: Sequence[SegmentEntry],
    like: slicer.vtkOrientedImageData | None = None,
) -> slicer.vtkOrientedImageData:
    """All voxels of the grid with the label value of the last segment that covers them.

    like: an image on the grid; without one, the segmentation's own grid is found out.
    """
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
    geometry = like or enlarged_geometry(segmentation_node, entries)
    has_geometry = segmentation_node.GetSegmentation().GetConversionParameter(
        slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
    )
    # Without a reference geometry EXTENT_REFERENCE_GEOMETRY would crop to the painted voxels.
    extent = (
        extents.EXTENT_REFERENCE_GEOMETRY
        if has_geometry
        else extents.EXTENT_UNION_OF_SEGMENTS_PADDED
    )
    segmentation_node.GenerateMergedLabelmapForAllSegments(
        image, extent, geometry, segment_ids, values
    )
    return image


def _voxels_of(image: slicer.vtkOrientedImageData) -> np.ndarray:
    """A copy of the voxels, [K, J, I]; VolumeError when there are none."""
    scalars = image.GetPointData().GetScalars()
    if scalars is None or scalars.GetNumberOfTuples() == 0:
        raise VolumeError(
            "The segmentation has no voxels. Paint at least one segment, or select a "
            "reference volume whose grid the label map should have."
        )
    return vtk_to_numpy(scalars).reshape(image.GetDimensions()[::-1]).copy()


def ijk_to_ras_of(grid: NodeGrid, owner: slicer.vtkMRMLTransformableNode) -> np.ndarray:
    """4x4 from voxel index to the world's RAS; to the node's own coordinates if it is bent."""
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
    merged: slicer.vtkOrientedImageData,
) -> int:
    """Voxels of more than one segment: those whose label changes when one layer stands alone."""
    segmentation = segmentation_node.GetSegmentation()
    layers: dict[int, list[SegmentEntry]] = {}
    for entry in entries:
        layers.setdefault(segmentation.GetLayerIndex(entry.segment_id), []).append(entry)
    if len(layers) < 2:
        return 0
    merged_kji = _voxels_of(merged)
    is_hidden = np.zeros(merged_kji.shape, dtype=bool)
    for layer in layers.values():
        alone = _voxels_of(_merged_labelmap(segmentation_node, reference_volume, layer, merged))
        is_hidden |= (alone != 0) & (alone != merged_kji)
    return int(is_hidden.sum())


def _listed(names: Sequence[str], limit: int = 5) -> str:
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
