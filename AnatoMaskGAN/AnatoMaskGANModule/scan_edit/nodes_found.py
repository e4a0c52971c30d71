"""Finds the scan that belongs to a segmentation without asking the user."""

from __future__ import annotations

import slicer

from AnatoMaskGANModule.parameters import AnatoMaskGANParameterNode
from AnatoMaskGANModule.synthesis.request import SCALAR_VOLUME_CLASS


def scanOf(
    segmentationNode: slicer.vtkMRMLSegmentationNode,
) -> slicer.vtkMRMLScalarVolumeNode | None:
    """Gives the volume that the segmentation was drawn on, or else the first volume that this
    program did not make. None if there is no such volume."""
    from AnatoMaskGANLib.mrml import provenance_of

    role = slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
    drawnOn = segmentationNode.GetNodeReference(role)
    scene = segmentationNode.GetScene()
    count = scene.GetNumberOfNodesByClass(SCALAR_VOLUME_CLASS)
    volumes = [scene.GetNthNodeByClass(number, SCALAR_VOLUME_CLASS) for number in range(count)]
    for volume in (drawnOn, *volumes):
        # this class includes its subclasses, such as volumes of labels and of vectors
        isScan = volume is not None and volume.GetClassName() == SCALAR_VOLUME_CLASS
        if isScan and volume.GetImageData() is not None and not provenance_of(volume):
            return volume
    return None


def findScan(parameterNode: AnatoMaskGANParameterNode) -> None:
    """Select the scan of the selected segmentation, unless a scan is selected."""
    node = parameterNode.inputSegmentation
    if node is not None and parameterNode.followedScan is None:
        found = scanOf(node)
        if found is not None:
            parameterNode.followedScan = found
