"""The volume that live resynthesis fills: written whole, or where an edit changed it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import slicer
from vtk import vtkMatrix4x4

from AnatoMaskGANModule.parameters import AnatoMaskGANParameterNode
from AnatoMaskGANModule.synthesis.request import SEGMENTATION_ROLE
from AnatoMaskGANModule.synthesis.result import MadeVolumes, OutputStyle, putVolumes, volumeToFill

if TYPE_CHECKING:
    from AnatoMaskGANLib.mrml import NodeGrid
    from AnatoMaskGANLib.synthesis import ChangedRegion


@dataclass(frozen=True)
class _Content:
    """The content that the node was filled with."""

    grid: NodeGrid
    dtype: np.dtype
    window: tuple[float, float] | None
    """The model's window."""
    style: OutputStyle
    provenance: Mapping[str, str]


class LiveOutput:
    """node: the volume that was filled; None before the first."""

    def __init__(self) -> None:
        self.node: slicer.vtkMRMLScalarVolumeNode | None = None
        # All volumes that were filled, one for each segmentation.
        self._filled: list[slicer.vtkMRMLScalarVolumeNode] = []
        self._content: _Content | None = None

    def forget(self) -> None:
        """The next volume is the first one."""
        self.node, self._filled, self._content = None, [], None

    def volumeToFill(
        self, parameterNode: AnatoMaskGANParameterNode
    ) -> slicer.vtkMRMLScalarVolumeNode | None:
        """The selected volume, unless it is of another segmentation or one of several samples.

        None stands for a new volume. It is made next to the samples, which filling would destroy.
        With the next patient's segmentation the volume of the one before is kept; it is followed
        again when its own segmentation is selected again.
        """
        volume = volumeToFill(parameterNode)
        if volume is None:
            return None
        for candidate in (volume, *self._filled):
            if self._isForLive(candidate, parameterNode.inputSegmentation):
                return candidate
        return None

    def _isForLive(
        self,
        volume: slicer.vtkMRMLScalarVolumeNode,
        segmentationNode: slicer.vtkMRMLSegmentationNode,
    ) -> bool:
        from AnatoMaskGANLib.mrml import samples_browser

        if volume.GetScene() is None or samples_browser(volume) is not None:
            return False
        return volume.GetNodeReference(SEGMENTATION_ROLE) in (None, segmentationNode)

    def put(
        self, made: MadeVolumes, target: slicer.vtkMRMLScalarVolumeNode | None, style: OutputStyle
    ) -> slicer.vtkMRMLScalarVolumeNode:
        """The target, a new node if None, filled with the one volume that was made."""
        from AnatoMaskGANLib.mrml import provenance_of

        node = putVolumes(made, target, style, logging.info)
        if node not in self._filled:
            self._filled.append(node)
        dtype = slicer.util.arrayFromVolume(node).dtype
        (volume,) = made.volumes
        self._content = _Content(made.export.grid, dtype, volume.window, style, provenance_of(node))
        self.node = node
        return node

    def change(
        self,
        changed: ChangedRegion | None,
        voxels_kji: np.ndarray | None,
        provenance: Mapping[str, str],
    ) -> None:
        """Write the box that changed, None for none; the node keeps its window and its place.

        Only where `isInPlace`.
        """
        from AnatoMaskGANLib.mrml import provenance_of, update_record

        content = self._content
        if self.node is None or content is None:
            return
        with slicer.util.NodeModify(self.node):
            if changed is not None and voxels_kji is not None:
                slicer.util.arrayFromVolume(self.node)[changed.slices] = content.style.voxels(
                    voxels_kji, content.window
                )
                slicer.util.arrayFromVolumeModified(self.node)
            update_record(self.node, content.style.provenance(provenance))
        self._content = replace(content, provenance=provenance_of(self.node))

    def isOn(self, grid: NodeGrid) -> bool:
        """Whether this is the grid that the node got, below the same transform."""
        if self._content is None:
            return False
        mine = self._content.grid
        isSame = (mine.shape_kji, mine.transform_node_id) == (
            grid.shape_kji,
            grid.transform_node_id,
        )
        return isSame and np.allclose(mine.ijk_to_node, grid.ijk_to_node)

    @property
    def isInPlace(self) -> bool:
        """Whether the node still has the shape, the kind of voxels and the place that it got.

        And the provenance: else something else was synthesized into it.
        """
        from AnatoMaskGANLib.mrml import provenance_of

        node, content = self.node, self._content
        if node is None or content is None or node.GetImageData() is None:
            return False
        voxels, grid = slicer.util.arrayFromVolume(node), content.grid
        if voxels.shape != tuple(grid.shape_kji) or voxels.dtype != content.dtype:
            return False
        ijkToNode = vtkMatrix4x4()
        node.GetIJKToRASMatrix(ijkToNode)
        isMoved = not np.allclose(slicer.util.arrayFromVTKMatrix(ijkToNode), grid.ijk_to_node)
        if isMoved or provenance_of(node) != content.provenance:
            return False
        return bool(node.GetTransformNodeID() == grid.transform_node_id)
