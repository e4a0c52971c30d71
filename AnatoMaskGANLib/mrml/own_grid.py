"""The grid of a segmentation that no image gives one, such as of imported surface models."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import slicer
import vtk

from AnatoMaskGANLib.mrml.segments import SegmentEntry
from AnatoMaskGANLib.volumes import VolumeError

SURFACE_SPACING_MM = 1.0
"""Voxel size of the label maps of surface models, which have none: about that of the models."""

MOST_VOXELS = 300_000_000
"""The largest own grid of a segmentation; ours: 512 x 512 slices of a whole body 1.1 m long."""


def make_binary_labelmaps(segmentation_node: slicer.vtkMRMLSegmentationNode) -> None:
    """Add binary labelmaps to a segmentation of surfaces, as Slicer's own export does.

    Without a reference geometry they get voxels of `SURFACE_SPACING_MM`: Slicer would make them as
    small as the smallest surface asks for, a thousand million of them for a body. Raises
    VolumeError for a kind that cannot become voxels, and for too many of them.
    """
    segmentation = segmentation_node.GetSegmentation()
    converter = slicer.vtkSegmentationConverter
    kind = converter.GetSegmentationBinaryLabelmapRepresentationName()
    if segmentation.ContainsRepresentation(kind):
        return
    parameter = converter.GetReferenceImageGeometryParameterName()
    before = segmentation.GetConversionParameter(parameter)
    if not before:
        geometry = _geometry_around(segmentation_node)
        _refuse_too_many_voxels(segmentation_node, geometry)
        segmentation.SetConversionParameter(parameter, converter.SerializeImageGeometry(geometry))
    is_made = segmentation.CreateRepresentation(kind)
    segmentation.SetConversionParameter(parameter, before)
    if not is_made:
        raise VolumeError(
            f"The segmentation {segmentation_node.GetName()!r} is stored as "
            f"{segmentation.GetSourceRepresentationName()!r} and cannot be turned into voxels. "
            "Convert it to a binary labelmap in the Segmentations module."
        )


def refuse_too_fine_grid(
    segmentation_node: slicer.vtkMRMLSegmentationNode, entries: Sequence[SegmentEntry]
) -> None:
    """Raises VolumeError, before any voxel is read, for a segmentation without a reference geometry
    whose labelmaps have too many voxels together."""
    segmentation = segmentation_node.GetSegmentation()
    converter = slicer.vtkSegmentationConverter
    if segmentation.GetConversionParameter(converter.GetReferenceImageGeometryParameterName()):
        return
    segment_ids = vtk.vtkStringArray()
    for entry in entries:
        segment_ids.InsertNextValue(entry.segment_id)
    text = segmentation.DetermineCommonLabelmapGeometry(
        slicer.vtkSegmentation.EXTENT_UNION_OF_SEGMENTS_PADDED, segment_ids
    )
    geometry = slicer.vtkOrientedImageData()
    if text and converter.DeserializeImageGeometry(text, geometry, False):
        _refuse_too_many_voxels(segmentation_node, geometry)


def _geometry_around(
    segmentation_node: slicer.vtkMRMLSegmentationNode,
) -> slicer.vtkOrientedImageData:
    """A grid around all segments with a voxel of margin, along the node's own axes."""
    bounds = [0.0] * 6
    segmentation_node.GetSegmentation().GetBounds(bounds)
    low, high = np.array(bounds[::2]), np.array(bounds[1::2])
    last = np.maximum(np.ceil((high - low) / SURFACE_SPACING_MM), 0).astype(int) + 2
    geometry = slicer.vtkOrientedImageData()
    geometry.SetExtent(0, int(last[0]), 0, int(last[1]), 0, int(last[2]))
    geometry.SetSpacing(*[SURFACE_SPACING_MM] * 3)
    geometry.SetOrigin(*(low - SURFACE_SPACING_MM).tolist())
    return geometry


def _refuse_too_many_voxels(
    segmentation_node: slicer.vtkMRMLSegmentationNode, geometry: slicer.vtkOrientedImageData
) -> None:
    """Raises VolumeError for a grid that would take minutes and the memory of the computer."""
    size = geometry.GetDimensions()
    if np.prod(size, dtype=np.float64) <= MOST_VOXELS:
        return
    spacing = " x ".join(f"{length:.3g}" for length in geometry.GetSpacing())
    raise VolumeError(
        f"The own grid of the segmentation {segmentation_node.GetName()!r} would have "
        f"{' x '.join(map(str, size))} voxels of {spacing} mm; expected at most "
        f"{MOST_VOXELS / 1e6:.0f} million. Select a reference volume, whose grid the label map "
        "then has."
    )
