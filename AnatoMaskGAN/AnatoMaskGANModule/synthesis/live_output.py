"""The volume that live resynthesis fills: written whole, or where an edit changed it."""

from typing import Any

import numpy as np
import slicer
from vtk import vtkMatrix4x4

from AnatoMaskGANModule.logic import AnatoMaskGANLogic
from AnatoMaskGANModule.parameters import AnatoMaskGANParameterNode
from AnatoMaskGANModule.synthesis.request import SEGMENTATION_ROLE, VolumeSource
from AnatoMaskGANModule.synthesis.result import OutputStyle


class LiveOutput:
    """node: the volume that was filled; None before the first."""

    def __init__(self, logic: AnatoMaskGANLogic) -> None:
        self._logic = logic
        self.forget()

    def forget(self) -> None:
        """The next volume is the first one."""
        self.node: Any = None
        self._made: list[Any] = []  # all volumes that were filled, one a segmentation
        self._grid = self._dtype = self._window = self._record = None
        self._style = OutputStyle()

    def volumeToFill(self, parameterNode: AnatoMaskGANParameterNode) -> Any:
        """The selected volume, unless it is of another segmentation or one of several samples.

        None: a new one, beside the samples, which would be lost in it.
        With the next patient's segmentation the volume of the one before is kept; it is followed
        again when its own segmentation is selected again.
        """
        volume = self._logic.volumeToFill(parameterNode)
        if volume is None:
            return None
        for candidate in (volume, *self._made):
            if self._isForLive(candidate, parameterNode.inputSegmentation):
                return candidate
        return None

    def _isForLive(self, volume, segmentationNode) -> bool:
        if volume.GetScene() is None or self._logic.samplesBrowser(volume) is not None:
            return False
        return volume.GetNodeReference(SEGMENTATION_ROLE) in (None, segmentationNode)

    def put(
        self, source: VolumeSource, target, volume, seed: int, export, style: OutputStyle
    ) -> None:
        """Fill the target, None for a new node, with a core `Volume` of the source's export."""
        self.node = self._logic.putVolumes(source, target, [volume], [seed], export, style)
        if self.node not in self._made:
            self._made.append(self.node)
        self._grid, self._style, self._window = export.grid, style, volume.window
        self._dtype = slicer.util.arrayFromVolume(self.node).dtype
        self._record = self._logic.provenance(self.node)

    def change(self, changed, voxels_kji, provenance) -> None:
        """Write the box that changed, None for none; the node keeps its window and its place.

        Only where `isInPlace`.
        """
        with slicer.util.NodeModify(self.node):
            if changed is not None:
                slicer.util.arrayFromVolume(self.node)[changed.slices] = self._style.voxels(
                    voxels_kji, self._window
                )
                slicer.util.arrayFromVolumeModified(self.node)
            self._logic.updateRecord(self.node, self._style.record(provenance))
        self._record = self._logic.provenance(self.node)

    def isOn(self, grid) -> bool:
        """Whether this is the core's `NodeGrid` that the node got, below the same transform."""
        mine = self._grid
        isSame = (mine.shape_kji, mine.transform_node_id) == (
            grid.shape_kji,
            grid.transform_node_id,
        )
        return isSame and np.allclose(mine.ijk_to_node, grid.ijk_to_node)

    @property
    def isInPlace(self) -> bool:
        """Whether the node still has the shape, the kind of voxels and the place that it got.

        And the record: else something else was synthesized into it.
        """
        node, grid = self.node, self._grid
        if node is None or node.GetImageData() is None:
            return False
        voxels = slicer.util.arrayFromVolume(node)
        if voxels.shape != tuple(grid.shape_kji) or voxels.dtype != self._dtype:
            return False
        ijkToNode = vtkMatrix4x4()
        node.GetIJKToRASMatrix(ijkToNode)
        isMoved = not np.allclose(slicer.util.arrayFromVTKMatrix(ijkToNode), grid.ijk_to_node)
        if isMoved or self._logic.provenance(node) != self._record:
            return False
        return node.GetTransformNodeID() == grid.transform_node_id
