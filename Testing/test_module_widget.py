"""The panel in the stand-in host, with real clicks. The host is not the application."""

from __future__ import annotations

import sys
import time
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install .[slicer-test])")
pytest.importorskip("PySide6", reason="PySide6 is not installed (pip install .[slicer-test])")

import slicer
import slicer.util
from slicer_host import user, window
from slicer_host.fixtures import model, module, panel, scene  # noqa: F401
from slicer_host.nodes import add_segmentation, add_volume, box, compare_geometry

COLUMN_LABEL = 1
SHAPE_KJI = (6, 20, 24)


def limb() -> dict[str, np.ndarray]:
    return {
        "skin": box(SHAPE_KJI, (0, 2, 2), (5, 17, 6)),
        "bone": box(SHAPE_KJI, (1, 4, 8), (4, 15, 14)),
        "marrow": box(SHAPE_KJI, (1, 6, 16), (4, 13, 20)),
    }


def has_followed_the_scene() -> bool:
    return not slicer.modules.AnatoMaskGANWidget._updateTimer.active


def wait(until: Callable[[], bool] = has_followed_the_scene) -> None:
    """Let the window work until something is so; AssertionError if it does not become so."""
    user.wait(until)


def choose(chooser, text: str) -> None:
    """What a user does with a combo box."""
    chooser.setCurrentIndex(chooser.findText(text))
    chooser.activated.emit(chooser.currentIndex)


def table_texts(panel) -> list[list[str]]:
    table = panel.ui.labelTable
    rows = []
    for row in range(table.rowCount):
        chooser = table.cellWidget(row, COLUMN_LABEL)
        texts = [table.item(row, column).text() for column in range(table.columnCount)]
        if chooser is not None:
            texts[COLUMN_LABEL] = f"<{chooser.currentText}>"
        rows.append(texts)
    return rows


def test_a_click_on_synthesize_makes_the_volume(panel) -> None:
    segmentation = add_segmentation(limb())
    scan = add_volume(SHAPE_KJI)
    panel.ui.inputSelector.setCurrentNode(segmentation)
    panel.ui.referenceSelector.setCurrentNode(scan)
    panel.ui.seedSpinBox.value = 12
    wait(lambda: panel.ui.synthesizeButton.enabled)
    assert panel.ui.synthesizeButton.enabled
    panel.ui.synthesizeButton.click()
    output = panel._parameterNode.outputVolume
    assert panel.ui.outputSelector.currentNode() is output
    assert compare_geometry(output, scan) == ""
    assert panel.logic.provenance(output)["Seed"] == "12"
    assert "Made 'Case synthetic'" in panel.ui.statusLabel.text
    assert "Synthetic, not for diagnosis" in panel.ui.provenanceLabel.text
    composite = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSliceCompositeNode")
    assert composite.GetBackgroundVolumeID() == output.GetID()


def test_the_result_is_not_hidden_by_its_segments(panel) -> None:
    segmentation = add_segmentation(limb())
    panel.ui.inputSelector.setCurrentNode(segmentation)
    wait(lambda: panel.ui.synthesizeButton.enabled)
    panel.ui.synthesizeButton.click()
    assert not segmentation.GetDisplayNode().GetVisibility()
    panel.ui.showSegmentsCheckBox.click()
    assert segmentation.GetDisplayNode().GetVisibility()


def test_a_click_on_make_again_makes_the_same_voxels_beside(panel) -> None:
    panel.ui.inputSelector.setCurrentNode(add_segmentation(limb()))
    panel.ui.seedSpinBox.value = 4
    wait(lambda: panel.ui.synthesizeButton.enabled)
    assert not panel.ui.provenanceWidget.visible
    panel.ui.synthesizeButton.click()
    panel.ui.seedSpinBox.value = 5  # the record counts, not what is set now
    wait()
    assert panel.ui.provenanceWidget.visible
    panel.ui.makeAgainButton.click()
    assert "Made 'Case synthetic_1'" in panel.ui.statusLabel.text
    first, again = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    np.testing.assert_array_equal(
        slicer.util.arrayFromVolume(first), slicer.util.arrayFromVolume(again)
    )
    assert panel._parameterNode.outputVolume is first


def test_a_second_click_fills_the_same_volume(panel) -> None:
    panel.ui.inputSelector.setCurrentNode(add_segmentation(limb()))
    wait(lambda: panel.ui.synthesizeButton.enabled)
    panel.ui.synthesizeButton.click()
    first = panel._parameterNode.outputVolume
    panel.ui.randomSeedButton.click()
    panel.ui.synthesizeButton.click()
    assert panel._parameterNode.outputVolume is first
    assert panel.logic.provenance(first)["Seed"] == str(panel._parameterNode.seed)


def test_while_running_only_cancel_can_be_pressed_and_the_bar_moves(panel) -> None:
    panel.ui.inputSelector.setCurrentNode(add_segmentation(limb()))
    wait(lambda: panel.ui.synthesizeButton.enabled)
    seen = []

    def look() -> None:
        seen.append(
            (
                panel.ui.progressBar.value,
                panel.ui.synthesizeButton.enabled,
                panel.ui.cancelButton.enabled,
                panel.ui.inputsCollapsibleButton.enabled,
                panel.ui.progressBar.visible,
            )
        )

    panel.ui.progressBar.valueChanged.connect(look)
    panel.ui.synthesizeButton.click()
    values, can_start, can_cancel, can_change, is_shown = zip(*seen, strict=True)
    assert values[-1] == 100 and list(values) == sorted(values) and len(values) > 3
    assert not any(can_start) and all(can_cancel) and not any(can_change) and all(is_shown)
    assert panel.ui.synthesizeButton.enabled and not panel.ui.cancelButton.enabled
    assert not panel.ui.progressBar.visible


def test_a_click_on_cancel_while_running_leaves_the_scene_as_it_was(panel) -> None:
    panel.ui.inputSelector.setCurrentNode(add_segmentation(limb()))
    wait(lambda: panel.ui.synthesizeButton.enabled)
    count = slicer.mrmlScene.GetNumberOfNodes()

    def cancel(value: int) -> None:
        if value > 30:
            panel.ui.cancelButton.click()

    panel.ui.progressBar.valueChanged.connect(cancel)
    panel.ui.synthesizeButton.click()
    panel.ui.progressBar.valueChanged.disconnect(cancel)
    assert panel.ui.statusLabel.text == "Cancelled; nothing was changed."
    assert slicer.mrmlScene.GetNumberOfNodes() == count
    panel.ui.synthesizeButton.click()
    assert "Made" in panel.ui.statusLabel.text


def test_closing_the_scene_while_running_ends_the_run(panel) -> None:
    panel.ui.inputSelector.setCurrentNode(add_segmentation(limb()))
    wait(lambda: panel.ui.synthesizeButton.enabled)

    def close(value: int) -> None:
        if value > 30 and slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode"):
            slicer.mrmlScene.Clear(0)

    panel.ui.progressBar.valueChanged.connect(close)
    panel.ui.synthesizeButton.click()
    panel.ui.progressBar.valueChanged.disconnect(close)
    assert slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode") is None
    assert panel._parameterNode is not None
    wait()
    assert not panel.ui.synthesizeButton.enabled


def test_the_label_table_tells_what_each_segment_becomes_and_why(panel) -> None:
    panel.ui.inputSelector.setCurrentNode(
        add_segmentation({"Skin": limb()["skin"], "cortical bone": limb()["bone"]})
    )
    wait()
    assert table_texts(panel) == [["Skin", "skin", "name"], ["cortical bone", "bone", "alias"]]
    assert panel.ui.labelSummaryLabel.text == "All 2 segments are matched."
    assert not panel.ui.unmatchedWidget.visible


def test_unmatched_segments_stay_in_sight_and_need_a_decision(panel) -> None:
    panel.ui.inputSelector.setCurrentNode(
        add_segmentation({"skin": limb()["skin"], "antenna": limb()["marrow"]})
    )
    wait()
    assert table_texts(panel)[1] == ["antenna", "<Choose a label...>", "unmatched"]
    assert "1 of 2 segments are unknown" in panel.ui.labelSummaryLabel.text
    assert "antenna" in panel.ui.labelSummaryLabel.text
    assert panel.ui.unmatchedWidget.visible
    assert not panel.ui.synthesizeButton.enabled
    assert "Decide on the unmatched segments" in panel.ui.statusLabel.text
    panel.ui.unmatchedComboBox.currentIndex = 1
    wait(lambda: panel.ui.synthesizeButton.enabled)
    panel.ui.synthesizeButton.click()
    assert "Made" in panel.ui.statusLabel.text


def test_a_label_chosen_in_the_table_decides(panel) -> None:
    panel.ui.inputSelector.setCurrentNode(
        add_segmentation({"skin": limb()["skin"], "antenna": limb()["marrow"]})
    )
    wait()
    chooser = panel.ui.labelTable.cellWidget(1, COLUMN_LABEL)
    choose(chooser, "marrow")
    wait(lambda: panel.ui.synthesizeButton.enabled)
    assert table_texts(panel)[1] == ["antenna", "<marrow>", "your choice"]
    panel.ui.synthesizeButton.click()
    record = panel.logic.provenance(panel._parameterNode.outputVolume)
    assert "3 (user)" in record["LabelMatches"]


def test_a_double_click_lets_a_matched_label_be_changed_and_taken_back(panel) -> None:
    panel.ui.inputSelector.setCurrentNode(add_segmentation(limb()))
    wait()
    panel.ui.labelTable.cellDoubleClicked.emit(1, COLUMN_LABEL)
    chooser = panel.ui.labelTable.cellWidget(1, COLUMN_LABEL)
    assert chooser.currentText == "bone"
    choose(chooser, "Background")
    wait()
    assert table_texts(panel)[1] == ["bone", "<Background>", "your choice"]
    choose(panel.ui.labelTable.cellWidget(1, COLUMN_LABEL), "By the rules")
    wait()
    assert table_texts(panel)[1] == ["bone", "bone", "name"]


def test_segments_that_are_hidden_or_unticked_are_left_out(panel) -> None:
    segmentation = add_segmentation(limb())
    panel.ui.inputSelector.setCurrentNode(segmentation)
    skin, bone, marrow = segmentation.GetSegmentation().GetSegmentIDs()
    panel.ui.segmentChoiceComboBox.currentIndex = 1
    segmentation.GetDisplayNode().SetSegmentVisibility(marrow, False)
    wait()
    assert [row[2] for row in table_texts(panel)] == ["name", "name", "left out"]
    panel.ui.segmentChoiceComboBox.currentIndex = 2
    wait()
    item = panel.ui.labelTable.item(0, 0)
    unticked = item.checkState().Unchecked
    item.setCheckState(unticked)
    wait()
    assert [row[2] for row in table_texts(panel)] == ["left out", "name", "name"]
    assert panel.ui.labelSummaryLabel.text == "All 2 segments are matched. Left out: 1."
    panel.ui.synthesizeButton.click()
    assert (
        panel.logic.provenance(panel._parameterNode.outputVolume)["LabelMatches"].count("->") == 2
    )
    for row in (1, 2):
        panel.ui.labelTable.item(row, 0).setCheckState(unticked)
        wait()
    assert panel.ui.statusLabel.text == "No segment is chosen: show or tick at least one."


def test_choices_for_the_segments_of_one_segmentation_do_not_cross_to_another(panel) -> None:
    from AnatoMaskGANModule.synthesis.request import sourceOfPanel

    panel.ui.inputSelector.setCurrentNode(add_segmentation(limb(), name="First"))
    wait()
    first = panel._parameterNode.inputSegmentation
    second = add_segmentation(limb(), name="Second")
    by_the_rules = [["skin", "skin", "name"], ["bone", "bone", "name"], ["marrow"] * 2 + ["name"]]

    def choose_for_first() -> None:
        panel.ui.segmentChoiceComboBox.currentIndex = 2
        item = panel.ui.labelTable.item(0, 0)
        item.setCheckState(item.checkState().Unchecked)
        wait()
        panel.labelPanel.onLabelChosen("bone", "marrow")
        wait()
        assert [row[2] for row in table_texts(panel)] == ["left out", "your choice", "name"]

    wait()
    choose_for_first()
    panel.ui.inputSelector.setCurrentNode(second)
    source = sourceOfPanel(panel._parameterNode)  # at once, not when the panel follows
    assert (len(source.segmentIDs), source.labels) == (3, {})
    wait()
    assert table_texts(panel) == by_the_rules
    panel.ui.inputSelector.setCurrentNode(first)
    wait()
    choose_for_first()
    slicer.mrmlScene.RemoveNode(first)
    wait()
    panel.ui.inputSelector.setCurrentNode(second)
    wait()
    assert table_texts(panel) == by_the_rules


def test_choices_of_a_scene_of_an_earlier_version_are_those_of_its_segmentation(
    panel, tmp_path: Path
) -> None:
    panel.ui.inputSelector.setCurrentNode(add_segmentation(limb()))
    wait()
    panel.labelPanel.onLabelChosen("bone", "marrow")
    wait()
    node = slicer.util.getNode("AnatoMaskGAN")
    with slicer.util.NodeModify(node):  # as it was saved then
        node.RemoveNodeReferenceIDs("choicesOf")
        node.UnsetParameter("areChoicesOwned")
        assert slicer.util.saveScene(str(tmp_path / "scene.mrb"), {})
    slicer.mrmlScene.Clear(0)
    wait()
    panel.ui.inputSelector.setCurrentNode(add_segmentation(limb(), name="Other"))
    wait()
    slicer.util.loadNodeFromFile(str(tmp_path / "scene.mrb"), "SceneFile", {"clear": True})
    wait()
    assert table_texts(panel)[1] == ["bone", "<marrow>", "your choice"]


def test_segments_added_after_the_selection_make_the_button_work(panel) -> None:
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Growing")
    panel.ui.inputSelector.setCurrentNode(segmentation)
    wait()
    assert panel.ui.statusLabel.text == "The segmentation has no segments yet."
    segment_id = segmentation.GetSegmentation().AddEmptySegment("", "skin")
    wait(lambda: panel.ui.synthesizeButton.enabled)
    assert panel.ui.synthesizeButton.enabled and panel.ui.statusLabel.text == ""
    segmentation.GetSegmentation().GetSegment(segment_id).SetName("antenna")
    wait(lambda: not panel.ui.synthesizeButton.enabled)
    assert "No segment is known to this model" in panel.ui.statusLabel.text
    segmentation.GetSegmentation().RemoveSegment(segment_id)
    wait()
    assert panel.ui.labelTable.rowCount == 0


def test_an_error_stays_in_the_panel_and_the_next_run_works(panel) -> None:
    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Blank")
    empty.GetSegmentation().AddEmptySegment("", "skin")
    panel.ui.inputSelector.setCurrentNode(empty)
    wait(lambda: panel.ui.synthesizeButton.enabled)
    panel.ui.synthesizeButton.click()
    assert "no voxel" in panel.ui.statusLabel.text
    assert not panel.ui.progressBar.visible
    panel.ui.inputSelector.setCurrentNode(add_segmentation(limb()))
    wait()
    panel.ui.synthesizeButton.click()
    assert "Made" in panel.ui.statusLabel.text


def test_without_a_segmentation_the_sample_data_are_one_click_away(panel) -> None:
    wait()
    assert panel.ui.sampleDataButton.visible
    assert panel.ui.statusLabel.text == "Select a segmentation."
    panel.ui.sampleDataButton.click()
    wait()
    assert panel._parameterNode.inputSegmentation.GetName() == "Brain labels"
    assert panel._parameterNode.referenceVolume.GetName() == "Brain T1"
    assert not panel.ui.sampleDataButton.visible


def test_the_module_loads_without_pytorch_and_says_what_to_install(
    module: types.ModuleType, panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_segmentation(limb())
    for name in [n for n in sys.modules if n.split(".")[0] == "AnatoMaskGANLib"]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("torch", "safetensors"):
        monkeypatch.setitem(sys.modules, name, None)
    window.close_module(slicer.modules.anatomaskgan)
    bare = window.show_module(window.load_module(module.__file__))
    wait()
    assert bare.ui.packagesFrame.visible
    assert "PyTorch" in bare.ui.packagesLabel.text and "safetensors" in bare.ui.packagesLabel.text
    assert bare.ui.statusLabel.text == "Install the missing packages first."
    assert not bare.ui.synthesizeButton.enabled
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda *texts: True)
    bare.ui.installButton.click()
    assert "PyTorch extension" in bare.ui.statusLabel.text


def test_settings_are_saved_with_the_scene_and_restored(panel, tmp_path: Path) -> None:
    panel.ui.inputSelector.setCurrentNode(add_segmentation(limb()))
    panel.ui.seedSpinBox.value = 33
    panel.ui.noiseStrengthSlider.value = 0.5
    panel.ui.deviceComboBox.currentIndex = 1
    panel.labelPanel.onLabelChosen("bone", "marrow")
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"), {})
    slicer.mrmlScene.Clear(0)
    wait()
    assert (panel.ui.seedSpinBox.value, panel.ui.noiseStrengthSlider.value) == (0, 1)
    properties = {"clear": True}
    slicer.util.loadNodeFromFile(str(tmp_path / "scene.mrb"), "SceneFile", properties)
    wait()
    assert (panel.ui.seedSpinBox.value, panel.ui.noiseStrengthSlider.value) == (33, 0.5)
    assert panel._parameterNode.device.value == "cpu"
    assert panel.ui.inputSelector.currentNode().GetName() == "Case"
    assert table_texts(panel)[1] == ["bone", "<marrow>", "your choice"]


def test_a_removed_segmentation_leaves_an_empty_table(panel) -> None:
    segmentation = add_segmentation(limb())
    panel.ui.inputSelector.setCurrentNode(segmentation)
    wait()
    assert panel.ui.labelTable.rowCount == 3
    slicer.mrmlScene.RemoveNode(segmentation)
    wait()
    assert panel.ui.labelTable.rowCount == 0
    assert not panel.ui.synthesizeButton.enabled


def test_three_hundred_segments_are_listed_at_once(panel) -> None:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Many")
    panel.ui.inputSelector.setCurrentNode(node)
    for number in range(300):
        node.GetSegmentation().AddEmptySegment("", f"skin {number}" if number else "skin")
    begin = time.monotonic()
    panel.updateFromScene()
    assert time.monotonic() - begin < 2
    assert panel.ui.labelTable.rowCount == 300


def test_the_panel_can_be_left_and_made_again(module: types.ModuleType, panel) -> None:
    panel.ui.inputSelector.setCurrentNode(add_segmentation(limb()))
    panel.ui.seedSpinBox.value = 5
    window.close_module(slicer.modules.anatomaskgan)
    again = window.show_module(window.load_module(module.__file__))
    wait()
    assert again.ui.seedSpinBox.value == 5
    assert again.ui.inputSelector.currentNode().GetName() == "Case"


def test_the_module_has_its_own_icon_and_category(module: types.ModuleType) -> None:
    instance = slicer.modules.AnatoMaskGANInstance
    assert instance.parent.categories == ["Image Synthesis"]
    assert not instance.parent.icon.isNull()
    assert "research" in instance.parent.helpText


def test_synthesize_and_cancel_have_keys(panel) -> None:
    """The keys stand on the buttons; which window has the focus is not the panel's to decide."""
    from PySide6.QtGui import QKeySequence

    keys = [
        QKeySequence(button.shortcut).toString()
        for button in (panel.ui.synthesizeButton, panel.ui.cancelButton)
    ]
    assert keys == ["Ctrl+Return", "Ctrl+."]


def test_every_control_of_the_panel_says_what_it_does(panel) -> None:
    from slicer_host.pythonqt import qt

    kinds = (qt.QAbstractButton, qt.QComboBox, qt.QAbstractSpinBox, slicer.qMRMLNodeComboBox)
    panel.updateFromScene()
    silent = [
        name
        for name, widget in vars(panel.ui).items()
        if isinstance(widget, kinds) and not widget.toolTip and not name.startswith("qt_")
    ]
    assert silent == []
