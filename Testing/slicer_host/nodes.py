"""Small MRML nodes with known voxels, for the tests."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import slicer
import slicer.util
import vtk
from vtk.util.numpy_support import numpy_to_vtk


def add_segmentation(
    masks_kji: Mapping[str, np.ndarray],
    ijk_to_ras: np.ndarray | None = None,
    name: str = "Case",
    has_reference_geometry: bool = True,
    terminology: Mapping[str, str] | None = None,
) -> slicer.vtkMRMLSegmentationNode:
    """A segmentation node with one segment a mask, drawn on the masks' own grid."""
    ijk_to_ras = np.eye(4) if ijk_to_ras is None else ijk_to_ras
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    for segment_name, mask in masks_kji.items():
        image = oriented_image(mask.astype(np.uint8), ijk_to_ras)
        segment_id = node.GetSegmentation().GenerateUniqueSegmentID(segment_name)
        node.AddSegmentFromBinaryLabelmapRepresentation(
            image, segment_name, [0.5, 0.5, 0.5], segment_id
        )
        if terminology and segment_name in terminology:
            node.GetSegmentation().GetSegment(segment_id).SetTerminology(terminology[segment_name])
        if has_reference_geometry:
            geometry = slicer.vtkSegmentationConverter.SerializeImageGeometry(image)
            node.GetSegmentation().SetConversionParameter("Reference image geometry", geometry)
    return node


def paint(segmentation: slicer.vtkMRMLSegmentationNode, name: str, mask_kji: np.ndarray) -> None:
    """What an effect of the Segment Editor does at the end of a stroke, on a grid of 1 mm."""
    segment_id = segmentation.GetSegmentation().GetSegmentIdBySegmentName(name)
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    image = oriented_image(mask_kji.astype(np.uint8), np.eye(4))
    logic.SetBinaryLabelmapToSegment(
        image, segmentation, segment_id, logic.MODE_REPLACE, image.GetExtent()
    )


def oriented_image(voxels_kji: np.ndarray, ijk_to_ras: np.ndarray) -> slicer.vtkOrientedImageData:
    image = slicer.vtkOrientedImageData()
    image.SetDimensions(*voxels_kji.shape[::-1])
    kind = vtk.util.numpy_support.get_vtk_array_type(voxels_kji.dtype)
    array = numpy_to_vtk(np.ascontiguousarray(voxels_kji).ravel(), deep=True, array_type=kind)
    image.GetPointData().SetScalars(array)
    image.SetImageToWorldMatrix(slicer.util.vtkMatrixFromArray(ijk_to_ras))
    return image


def add_volume(
    shape_kji: tuple[int, int, int], ijk_to_ras: np.ndarray | None = None, name: str = "Scan"
) -> slicer.vtkMRMLScalarVolumeNode:
    matrix = np.eye(4) if ijk_to_ras is None else ijk_to_ras
    return slicer.util.addVolumeFromArray(np.zeros(shape_kji, np.int16), matrix, name)


def add_transform(matrix: np.ndarray, name: str = "Transform") -> slicer.vtkMRMLLinearTransformNode:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", name)
    node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    return node


def compare_geometry(a: slicer.vtkMRMLNode, b: slicer.vtkMRMLNode) -> str:
    """Slicer's own words on how the grids of two volumes differ; "" when they are the same."""
    return slicer.modules.volumes.logic().CompareVolumeGeometry(a, b)


def box(shape_kji: tuple[int, int, int], first_kji, last_kji) -> np.ndarray:
    """A mask that is true from the first to the last voxel, both inclusive."""
    mask = np.zeros(shape_kji, dtype=bool)
    k, j, i = (slice(a, b + 1) for a, b in zip(first_kji, last_kji, strict=True))
    mask[k, j, i] = True
    return mask
