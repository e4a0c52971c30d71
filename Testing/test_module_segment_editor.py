"""The Segment Editor inside the panel: made when wanted, and never in the way of other modules.

What the stand-in host has in its place has no effects; it takes what the panel tells it.
"""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install .[slicer-test])")
pytest.importorskip("PySide6", reason="PySide6 is not installed (pip install .[slicer-test])")

import slicer
import slicer.util
from slicer_host.fixtures import model, module, panel, scene  # noqa: F401
from slicer_host.nodes import add_segmentation, add_volume, box

SHAPE_KJI = (6, 20, 24)
EDITOR_TAG = "AnatoMaskGANSegmentEditor"


@pytest.fixture
def edited_panel(panel):
    segmentation = add_segmentation({"bone": box(SHAPE_KJI, (1, 4, 10), (4, 15, 20))})
    panel.ui.inputSelector.setCurrentNode(segmentation)
    panel.ui.referenceSelector.setCurrentNode(add_volume(SHAPE_KJI))
    panel.updateFromScene()
    return panel


def test_the_editor_is_made_when_its_section_is_unfolded(edited_panel) -> None:
    assert edited_panel.segmentEditor.editor is None
    edited_panel.ui.segmentEditorCollapsibleButton.collapsed = False
    editor = edited_panel.segmentEditor.editor
    assert editor.segmentationNode().GetName() == "Case"
    assert editor.sourceVolumeNode().GetName() == "Scan"  # until there is a synthetic volume
    assert editor.mrmlSegmentEditorNode().GetSingletonTag() == EDITOR_TAG


def test_the_editor_leaves_mouse_and_keys_to_other_modules(edited_panel) -> None:
    section = edited_panel.ui.segmentEditorCollapsibleButton
    section.collapsed = False
    editor = edited_panel.segmentEditor.editor
    assert editor._hasViews and editor._hasKeys
    edited_panel.exit()
    assert not editor._hasViews and not editor._hasKeys
    edited_panel.enter()
    assert editor._hasViews and editor._hasKeys
    section.collapsed = True
    assert not editor._hasViews and not editor._hasKeys


def test_the_editor_follows_the_chosen_segmentation(edited_panel) -> None:
    edited_panel.ui.segmentEditorCollapsibleButton.collapsed = False
    other = add_segmentation({"skin": box(SHAPE_KJI, (1, 4, 10), (4, 15, 20))}, name="Other")
    edited_panel.ui.inputSelector.setCurrentNode(other)
    edited_panel.updateFromScene()
    assert edited_panel.segmentEditor.editor.segmentationNode() is other


def test_closing_the_scene_leaves_the_editor_without_nodes_and_usable(edited_panel) -> None:
    edited_panel.ui.segmentEditorCollapsibleButton.collapsed = False
    editor = edited_panel.segmentEditor.editor
    slicer.mrmlScene.Clear(0)
    edited_panel.updateFromScene()
    assert editor.segmentationNode() is None
    assert "Select a segmentation above." in edited_panel.ui.segmentEditorLabel.text
    bone = box(SHAPE_KJI, (1, 4, 10), (4, 15, 20))
    segmentation = add_segmentation({"bone": bone}, name="Next")
    edited_panel.ui.inputSelector.setCurrentNode(segmentation)
    edited_panel.updateFromScene()
    assert editor.segmentationNode() is segmentation
    editor.paint("bone", bone | box(SHAPE_KJI, (1, 4, 3), (4, 15, 9)), np.eye(4))
    editor.undo()
    count = slicer.util.arrayFromSegmentInternalBinaryLabelmap(segmentation, "bone").sum()
    assert count == bone.sum()


def test_a_saved_scene_keeps_one_editor_node(edited_panel, tmp_path) -> None:
    edited_panel.ui.segmentEditorCollapsibleButton.collapsed = False
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"), {})
    slicer.mrmlScene.Clear(0)
    slicer.util.loadNodeFromFile(str(tmp_path / "scene.mrb"), "SceneFile", {"clear": True})
    edited_panel.updateFromScene()
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentEditorNode") == 1
    assert edited_panel.segmentEditor.editor.segmentationNode().GetName() == "Case"
