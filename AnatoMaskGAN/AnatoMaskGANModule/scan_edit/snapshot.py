"""Keeps the segments as they were, in a hidden copy that is saved with its segmentation."""

from __future__ import annotations

import time

import slicer
import slicer.util
from slicer.i18n import tr as _

SNAPSHOT_ROLE = "AnatoMaskGAN.SegmentsBefore"
# Role of the reference from the hidden copy to its segmentation. It is needed because a copied
# segmentation also refers to the snapshot of the first one.
_OWNER_ROLE = "AnatoMaskGAN.SnapshotOf"
_TIME_ATTRIBUTE = "AnatoMaskGAN.Time"


def snapshotOf(
    segmentationNode: slicer.vtkMRMLSegmentationNode,
) -> slicer.vtkMRMLSegmentationNode | None:
    """Gives the segments as they were when they were first used, or at the last `startFromHere`."""
    snapshot = segmentationNode.GetNodeReference(SNAPSHOT_ROLE)
    if snapshot is None or snapshot.GetNodeReference(_OWNER_ROLE) is not segmentationNode:
        return None
    return snapshot


def isSnapshot(node: slicer.vtkMRMLNode) -> bool:
    """Whether the node is the hidden copy of another segmentation."""
    # this also holds when the segmentation is gone
    return node.GetAttribute(_TIME_ATTRIBUTE) is not None


def timeOf(snapshot: slicer.vtkMRMLSegmentationNode) -> str:
    """Gives when the snapshot was taken, as "02 May, 14:05". It is empty if that is not known."""
    return str(snapshot.GetAttribute(_TIME_ATTRIBUTE) or "")


def remembered(
    segmentationNode: slicer.vtkMRMLSegmentationNode,
) -> slicer.vtkMRMLSegmentationNode:
    """Gives the snapshot, and takes one now if there is none yet."""
    return snapshotOf(segmentationNode) or startFromHere(segmentationNode)


def startFromHere(
    segmentationNode: slicer.vtkMRMLSegmentationNode,
) -> slicer.vtkMRMLSegmentationNode:
    """Takes the snapshot of the segments as they are now."""
    snapshot = snapshotOf(segmentationNode)
    if snapshot is None:
        scene = segmentationNode.GetScene()
        name = _("{name} at the start").format(name=segmentationNode.GetName())
        snapshot = scene.CreateNodeByClass("vtkMRMLSegmentationNode")
        snapshot.UnRegister(None)
        snapshot.SetHideFromEditors(True)
        snapshot.SetName(scene.GenerateUniqueName(name))
        snapshot = scene.AddNode(snapshot)
        snapshot.SetNodeReferenceID(_OWNER_ROLE, segmentationNode.GetID())
        segmentationNode.SetNodeReferenceID(SNAPSHOT_ROLE, snapshot.GetID())
    _copySegments(segmentationNode, snapshot)
    snapshot.SetAttribute(_TIME_ATTRIBUTE, time.strftime("%d %b, %H:%M"))
    return snapshot


def backToStart(segmentationNode: slicer.vtkMRMLSegmentationNode) -> None:
    """Bring the segments back as they were. Does nothing without a snapshot."""
    snapshot = snapshotOf(segmentationNode)
    if snapshot is not None:
        _copySegments(snapshot, segmentationNode)


def _copySegments(
    source: slicer.vtkMRMLSegmentationNode, target: slicer.vtkMRMLSegmentationNode
) -> None:
    with slicer.util.NodeModify(target):
        target.GetSegmentation().DeepCopy(source.GetSegmentation())
        target.SetAndObserveTransformNodeID(source.GetTransformNodeID())
