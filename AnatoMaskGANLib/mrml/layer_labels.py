"""Reads the labels of segments straight from Slicer's layers, for every stroke of a brush.

Slicer's own merging goes through all voxels once per segment. Here they are copied once per layer.
This needs segments that lie on the voxels of the volume, as segments drawn on it do.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np
import slicer
import slicer.util
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from AnatoMaskGANLib.mrml.grid_reach import ijk_to_node_of
from AnatoMaskGANLib.mrml.segments import SegmentEntry

_MOST_VOXELS_OFF = 1e-3


def layer_labels(
    segmentation_node: slicer.vtkMRMLSegmentationNode,
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    entries: Sequence[SegmentEntry],
) -> np.ndarray | None:
    """Gives labels on a volume's grid as [K,J,I]. Each voxel has that of the last segment covering
    it.

    Gives None if the segments lie on other voxels or under another transform, or are surfaces.
    """
    segmentation = segmentation_node.GetSegmentation()
    kind = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    is_below = segmentation_node.GetTransformNodeID() == volume_node.GetTransformNodeID()
    if not is_below or not segmentation.ContainsRepresentation(kind):
        return None
    matrix = vtk.vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(matrix)
    to_ijk = np.linalg.inv(slicer.util.arrayFromVTKMatrix(matrix))
    labels = np.zeros(slicer.util.arrayFromVolume(volume_node).shape, np.int16)
    largest = max((entry.label_value for entry in entries), default=0)
    if largest > np.iinfo(labels.dtype).max:
        return None
    layers = groupby(entries, lambda entry: segmentation.GetLayerIndex(entry.segment_id))
    for _layer, group in layers:  # segments of one layer do not overlap
        chosen = list(group)
        image = segmentation.GetSegment(chosen[0].segment_id).GetRepresentation(kind)
        scalars = image.GetPointData().GetScalars()
        if scalars is None or scalars.GetNumberOfTuples() == 0:
            continue  # nothing has been painted in this layer yet
        placed = to_ijk @ ijk_to_node_of(image)
        whole = np.rint(placed).astype(int)
        if np.abs(placed - whole).max() > _MOST_VOXELS_OFF:
            return None
        axes = np.abs(whole[:3, :3])
        if not ((axes.sum(axis=0) == 1).all() and (axes.sum(axis=1) == 1).all()):
            return None
        values = vtk_to_numpy(scalars).reshape(image.GetDimensions()[::-1])
        table = np.zeros(int(values.max()) + 1, labels.dtype)
        for entry in chosen:
            own = segmentation.GetSegment(entry.segment_id).GetLabelValue()
            if 0 < own < len(table):
                table[own] = entry.label_value
        _put(labels, *_turned(table[values], whole))
    return labels


def _turned(layer: np.ndarray, ijk_to_ijk: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gives a layer along the axes of the volume, and the place of its first voxel, both as K, J,
    I."""
    # for each axis of the volume, the layer's axis
    order = np.abs(ijk_to_ijk[:3, :3]).argmax(axis=1)
    along = layer.transpose(2, 1, 0).transpose(order)
    start = ijk_to_ijk[:3, 3].copy()
    flips = [axis for axis in range(3) if ijk_to_ijk[axis, order[axis]] < 0]
    for axis in flips:
        start[axis] -= along.shape[axis] - 1
    return np.flip(along, tuple(flips)).transpose(2, 1, 0), start[::-1]


def _put(labels: np.ndarray, layer: np.ndarray, start_kji: np.ndarray) -> None:
    """Write a layer's labels where it has any. Labels outside the volume are left out."""
    target, source = [], []
    for start, count, size in zip(start_kji.tolist(), layer.shape, labels.shape, strict=True):
        low, high = max(start, 0), min(start + count, size)
        if low >= high:
            return
        target.append(slice(low, high))
        source.append(slice(low - start, high - start))
    part, inside = labels[tuple(target)], layer[tuple(source)]
    np.copyto(part, inside, where=inside != 0)
