"""Nodes that belong to a synthetic volume: it refers to each by a role, which scenes keep."""

from __future__ import annotations

import slicer


def referred_node(
    synthetic_node: slicer.vtkMRMLScalarVolumeNode, role: str, class_name: str, word: str
) -> slicer.vtkMRMLNode:
    """The node of that role; a new one, named after the volume and the word, when there is none."""
    node = synthetic_node.GetNodeReference(role)
    if node is None:
        scene = synthetic_node.GetScene()
        name = scene.GenerateUniqueName(f"{synthetic_node.GetName()} {word}")
        node = scene.AddNewNodeByClass(class_name, name)
        synthetic_node.SetNodeReferenceID(role, node.GetID())
    return node
