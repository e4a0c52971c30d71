"""Segments beyond the edge of a grid: how far they reach, and how many of their voxels it lacks."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import slicer
import slicer.util
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from AnatoMaskGANLib.mrml.segments import SegmentEntry

# Places nearer to each other than this fraction of a voxel are one.
TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class _Layer:
    """A labelmap that segments share."""

    labels_kji: np.ndarray
    ijk_to_node: np.ndarray
    names: Mapping[int, str]
    """Value in this labelmap to name, of the segments asked for."""


def ijk_to_node_of(image: slicer.vtkOrientedImageData) -> np.ndarray:
    """4x4 from the index in the array, which starts at 0, to the image's world in mm."""
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    ijk_to_node = slicer.util.arrayFromVTKMatrix(matrix)
    first_ijk = image.GetExtent()[::2]
    ijk_to_node[:3, 3] += ijk_to_node[:3, :3] @ first_ijk
    return ijk_to_node


def enlarged_geometry(
    segmentation_node: slicer.vtkMRMLSegmentationNode, entries: Sequence[SegmentEntry]
) -> slicer.vtkOrientedImageData | None:
    """The segmentation's reference geometry, grown by whole voxels until it holds these segments.

    None when it holds them as it is, and for a segmentation without one.
    """
    text = segmentation_node.GetSegmentation().GetConversionParameter(
        slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
    )
    geometry = slicer.vtkOrientedImageData()
    if not text or not slicer.vtkSegmentationConverter.DeserializeImageGeometry(
        text, geometry, False
    ):
        return None
    size = np.array(geometry.GetDimensions())
    node_to_ijk = np.linalg.inv(ijk_to_node_of(geometry))
    first, last = np.zeros(3, int), size - 1
    for layer in _layers(segmentation_node, entries):
        to_grid = node_to_ijk @ layer.ijk_to_node
        if _holds(size, to_grid, layer.labels_kji.shape):
            continue
        is_asked_for = np.isin(layer.labels_kji, list(layer.names))
        if not is_asked_for.any():
            continue
        places = _corners(*_bounds_ijk(is_asked_for)) @ to_grid[:3, :3].T + to_grid[:3, 3]
        first = np.minimum(first, np.floor(places.min(axis=0) + TOLERANCE).astype(int))
        last = np.maximum(last, np.ceil(places.max(axis=0) - TOLERANCE).astype(int))
    if (first == 0).all() and (last == size - 1).all():
        return None
    start = np.array(geometry.GetExtent()[::2])
    extent = np.stack([start + first, start + last], axis=1)
    geometry.SetExtent(*extent.ravel().tolist())
    return geometry


def voxels_outside(
    segmentation_node: slicer.vtkMRMLSegmentationNode,
    entries: Sequence[SegmentEntry],
    volume_node: slicer.vtkMRMLScalarVolumeNode,
) -> dict[str, int]:
    """Segment name to its number of voxels whose centers lie outside of a volume's grid.

    Names of segments without such voxels are left out. Below a bent transform none are counted.
    """
    matrix, moved = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
    volume_node.GetRASToIJKMatrix(matrix)
    if not slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(
        segmentation_node.GetParentTransformNode(), volume_node.GetParentTransformNode(), moved
    ):
        return {}
    node_to_ijk = slicer.util.arrayFromVTKMatrix(matrix) @ slicer.util.arrayFromVTKMatrix(moved)
    size = np.array(volume_node.GetImageData().GetDimensions())
    counts: dict[str, int] = {}
    for layer in _layers(segmentation_node, entries):
        to_grid = node_to_ijk @ layer.ijk_to_node
        if _holds(size, to_grid, layer.labels_kji.shape):
            continue
        labels = layer.labels_kji[_is_outside(size, to_grid, layer.labels_kji.shape)]
        for value, name in layer.names.items():
            count = int(np.count_nonzero(labels == value))
            if count:
                counts[name] = count
    return counts


def _layers(
    segmentation_node: slicer.vtkMRMLSegmentationNode, entries: Sequence[SegmentEntry]
) -> Iterator[_Layer]:
    """The labelmaps of these segments that have voxels."""
    segmentation = segmentation_node.GetSegmentation()
    kind = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    ids: dict[int, list[SegmentEntry]] = {}
    for entry in entries:
        ids.setdefault(segmentation.GetLayerIndex(entry.segment_id), []).append(entry)
    for layer in ids.values():
        segments = [segmentation.GetSegment(entry.segment_id) for entry in layer]
        image = segments[0].GetRepresentation(kind)
        scalars = image.GetPointData().GetScalars() if image is not None else None
        if scalars is None or scalars.GetNumberOfTuples() == 0:
            continue
        names = {s.GetLabelValue(): e.name for s, e in zip(segments, layer, strict=True)}
        labels_kji = vtk_to_numpy(scalars).reshape(image.GetDimensions()[::-1])
        yield _Layer(labels_kji, ijk_to_node_of(image), names)


def _corners(first_ijk: Sequence[int], last_ijk: Sequence[int]) -> np.ndarray:
    """[8, 3], the centers of a box's corner voxels."""
    return np.array(list(itertools.product(*zip(first_ijk, last_ijk, strict=True))), float)


def _bounds_ijk(mask_kji: np.ndarray) -> tuple[list[int], list[int]]:
    """The first and the last index along i, j and k at which the mask is true somewhere."""
    places = [np.flatnonzero(mask_kji.any(axis=axes)) for axes in ((0, 1), (0, 2), (1, 2))]
    return [int(along[0]) for along in places], [int(along[-1]) for along in places]


def _holds(size_ijk: np.ndarray, to_grid: np.ndarray, shape_kji: Sequence[int]) -> bool:
    """Whether no voxel center of a whole labelmap lies outside of a grid."""
    corners = _corners((0, 0, 0), [length - 1 for length in shape_kji[::-1]])
    places = corners @ to_grid[:3, :3].T + to_grid[:3, 3]
    return bool((places >= -0.5 - TOLERANCE).all() and (places <= size_ijk - 0.5 + TOLERANCE).all())


def _is_outside(size_ijk: np.ndarray, to_grid: np.ndarray, shape_kji: Sequence[int]) -> np.ndarray:
    """Mask of a labelmap's shape: the voxels whose centers lie outside of a grid."""
    k, j, i = np.ogrid[tuple(slice(length) for length in shape_kji)]
    is_outside = np.zeros(shape_kji, dtype=bool)
    for axis in range(3):
        row = to_grid[axis].astype(np.float32)
        place = row[0] * i + row[1] * j + (row[2] * k + row[3])
        is_outside |= place < -0.5 - TOLERANCE
        is_outside |= place > size_ijk[axis] - 0.5 + TOLERANCE
    return is_outside
