"""Nodes that belong to a synthetic volume: it refers to each by a role, which scenes keep."""

from __future__ import annotations

import slicer

# The role of a node's reference back to its volume. A copy of a volume also refers to the nodes of
# the first one.
OWNER_ROLE = "AnatoMaskGAN.Owner"


def own_node(
    synthetic_node: slicer.vtkMRMLScalarVolumeNode, role: str
) -> slicer.vtkMRMLNode | None:
    """The node of that role; None without one, and for that of the volume this is a copy of."""
    node = synthetic_node.GetNodeReference(role)
    owner = node.GetNodeReference(OWNER_ROLE) if node is not None else None
    # Scenes of older versions hold no owner.
    return node if owner is None or owner is synthetic_node else None


def referred_node(
    synthetic_node: slicer.vtkMRMLScalarVolumeNode, role: str, class_name: str, word: str
) -> slicer.vtkMRMLNode:
    """The volume's own node of that role; a new one, named after both, when there is none."""
    node = own_node(synthetic_node, role)
    if node is None:
        scene = synthetic_node.GetScene()
        name = scene.GenerateUniqueName(f"{synthetic_node.GetName()} {word}")
        node = scene.AddNewNodeByClass(class_name, name)
        synthetic_node.SetNodeReferenceID(role, node.GetID())
    node.SetNodeReferenceID(OWNER_ROLE, synthetic_node.GetID())
    return node
