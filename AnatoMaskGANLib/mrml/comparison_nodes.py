"""Reads the volume nodes of a comparison, and makes the nodes that show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import slicer
import slicer.util
import vtk

from AnatoMaskGANLib.mrml.label_map_export import NodeGrid, ijk_to_ras_of
from AnatoMaskGANLib.mrml.referred_nodes import own_node, referred_node
from AnatoMaskGANLib.mrml.volume_nodes import place_beside, update_scalar_volume
from AnatoMaskGANLib.volumes import Volume, VolumeError, same_grid

# A comparison made once more goes into the nodes of the first one.
DIFFERENCE_ROLE = "AnatoMaskGAN.Difference"
TABLE_ROLE = "AnatoMaskGAN.Table"
METRICS_ROLE = "AnatoMaskGAN.Figures"
COMPARED_ROLE = "AnatoMaskGAN.ComparedWith"
# A difference of this fraction of the model's window is shown black or white.
SHOWN_DIFFERENCE = 0.25


def volume_of_node(volume_node: slicer.vtkMRMLScalarVolumeNode) -> Volume:
    """The voxels of a node and where they lie, below its parent transform as for label maps.

    Raises VolumeError for a node without voxels.
    """
    if volume_node.GetImageData() is None:
        raise VolumeError(
            f"The volume {volume_node.GetName()!r} has no voxels; expected a loaded scan."
        )
    voxels = slicer.util.arrayFromVolume(volume_node)
    return Volume(np.array(voxels), ijk_to_ras_of(grid_of_volume(volume_node), volume_node))


def update_difference(
    synthetic_node: slicer.vtkMRMLScalarVolumeNode,
    difference: Volume,
    grid: NodeGrid,
    segmentation_node: slicer.vtkMRMLSegmentationNode,
) -> slicer.vtkMRMLScalarVolumeNode:
    """The node with the difference of a synthetic volume and a real one, placed next to both.

    `difference.window` is the model's; a quarter of it up or down is shown white or black.
    """
    node = referred_node(synthetic_node, DIFFERENCE_ROLE, "vtkMRMLScalarVolumeNode", "difference")
    update_scalar_volume(node, difference, grid, {})
    if difference.window is not None:
        low, high = difference.window
        limit = SHOWN_DIFFERENCE * (high - low)
        node.GetScalarVolumeDisplayNode().SetWindowLevelMinMax(-limit, limit)
    place_beside(node, segmentation_node)
    return node


def update_edit_difference(
    edited_node: slicer.vtkMRMLScalarVolumeNode, scan_node: slicer.vtkMRMLScalarVolumeNode
) -> slicer.vtkMRMLScalarVolumeNode:
    """The node with an edited scan minus the scan, shown over half of the scan's own window.

    Raises VolumeError when the two do not lie on one grid.
    """
    edited, scan = volume_of_node(edited_node), volume_of_node(scan_node)
    if not same_grid(edited, scan):
        raise VolumeError(
            f"{edited_node.GetName()!r} is not on the grid of {scan_node.GetName()!r}; "
            "expected the scan that it was made from. Select that scan."
        )
    node = referred_node(edited_node, DIFFERENCE_ROLE, "vtkMRMLScalarVolumeNode", "difference")
    voxels = edited.voxels_kji.astype(np.float32) - scan.voxels_kji.astype(np.float32)
    update_scalar_volume(node, Volume(voxels, edited.ijk_to_ras), grid_of_volume(edited_node), {})
    shown = scan_node.GetScalarVolumeDisplayNode()
    limit = shown.GetWindow() / 2 if shown is not None else float(np.abs(voxels).max()) or 1.0
    node.GetScalarVolumeDisplayNode().SetWindowLevelMinMax(-limit, limit)
    place_beside(node, edited_node)
    return node


def grid_of_volume(volume_node: slicer.vtkMRMLScalarVolumeNode) -> NodeGrid:
    """The grid of a node's voxels, below its parent transform."""
    matrix = vtk.vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(matrix)
    shape_kji = slicer.util.arrayFromVolume(volume_node).shape
    return NodeGrid(
        shape_kji, slicer.util.arrayFromVTKMatrix(matrix), volume_node.GetTransformNodeID()
    )


def update_table(
    synthetic_node: slicer.vtkMRMLScalarVolumeNode, columns: Mapping[str, Sequence[str | float]]
) -> slicer.vtkMRMLTableNode:
    """The table node of a comparison: a column for each name, of texts or of numbers."""
    node = referred_node(synthetic_node, TABLE_ROLE, "vtkMRMLTableNode", "by segment")
    _fill_table(node, columns)
    return node


def update_metrics(
    synthetic_node: slicer.vtkMRMLScalarVolumeNode,
    real_node: slicer.vtkMRMLScalarVolumeNode,
    metrics: Mapping[str, float],
) -> slicer.vtkMRMLTableNode:
    """The table node with the metrics by their keys, so that a saved scene keeps them."""
    node = referred_node(synthetic_node, METRICS_ROLE, "vtkMRMLTableNode", "figures")
    _fill_table(node, {"Figure": list(metrics), "Value": list(metrics.values())})
    synthetic_node.SetNodeReferenceID(COMPARED_ROLE, real_node.GetID())
    return node


def metrics_of(synthetic_node: slicer.vtkMRMLScalarVolumeNode) -> dict[str, float]:
    """The metrics of the last comparison of the volume, also from a saved scene; empty if none."""
    node = own_node(synthetic_node, METRICS_ROLE)
    table = node.GetTable() if node is not None else None
    if table is None or any(table.GetColumnByName(name) is None for name in ("Figure", "Value")):
        return {}
    return {
        table.GetValueByName(row, "Figure").ToString(): table.GetValueByName(
            row, "Value"
        ).ToDouble()
        for row in range(table.GetNumberOfRows())
    }


def difference_of(
    synthetic_node: slicer.vtkMRMLScalarVolumeNode,
) -> slicer.vtkMRMLScalarVolumeNode | None:
    """The difference volume of the last comparison; None if there was none."""
    return own_node(synthetic_node, DIFFERENCE_ROLE)


def compared_with(
    synthetic_node: slicer.vtkMRMLScalarVolumeNode,
) -> slicer.vtkMRMLScalarVolumeNode | None:
    """The real scan of the last comparison; None if there was none."""
    return synthetic_node.GetNodeReference(COMPARED_ROLE)


def _fill_table(
    node: slicer.vtkMRMLTableNode, columns: Mapping[str, Sequence[str | float]]
) -> None:
    node.RemoveAllColumns()
    for name, values in columns.items():
        is_text = any(isinstance(value, str) for value in values)
        array = vtk.vtkStringArray() if is_text else vtk.vtkDoubleArray()
        array.SetName(name)
        for value in values:
            array.InsertNextValue(value)
        node.AddColumn(array)
