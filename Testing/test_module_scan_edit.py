"""Editing a real scan in place, by clicks, in the stand-in host."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install .[slicer-test])")
pytest.importorskip("PySide6", reason="PySide6 is not installed (pip install .[slicer-test])")

import slicer
import slicer.util
from slicer_host.fixtures import model, module, panel, scene  # noqa: F401
from slicer_host.nodes import add_segmentation, box, compare_geometry, paint
from slicer_host.user import shown_volumes

SHAPE_KJI = (12, 30, 36)
SKIN = box(SHAPE_KJI, (0, 2, 2), (11, 27, 33))
BONE = box(SHAPE_KJI, (3, 8, 6), (8, 20, 14))
GROWTH = box(SHAPE_KJI, (4, 10, 15), (7, 16, 18))


@pytest.fixture
def panel_with_scan(panel):
    """The panel with a scan and its segments; "Remember segments" was clicked."""
    segmentation = add_segmentation({"skin": SKIN, "bone": BONE})
    rng = np.random.default_rng(3)
    voxels = np.where(BONE, 180, 60) + rng.integers(-20, 20, SHAPE_KJI)
    scan = slicer.util.addVolumeFromArray(voxels.astype(np.int16), np.eye(4), "Scan")
    scan.CreateDefaultDisplayNodes()
    scan.GetScalarVolumeDisplayNode().AutoWindowLevelOff()
    scan.GetScalarVolumeDisplayNode().SetWindowLevel(333, 44)
    panel._parameterNode.inputSegmentation = segmentation
    panel._parameterNode.editedScan = scan
    panel._parameterNode.marginMm = 2.0
    panel.ui.editCollapsibleButton.collapsed = False
    panel.updateFromScene()
    panel.ui.rememberButton.click()
    panel.updateFromScene()
    yield panel
    panel.views.hide()


@pytest.fixture
def edited_panel(panel_with_scan):
    """The bone has grown since; the scan is not edited yet."""
    paint(panel_with_scan._parameterNode.inputSegmentation, "bone", BONE | GROWTH)
    panel_with_scan.updateFromScene()
    return panel_with_scan


def test_only_the_edit_and_its_margin_become_synthetic(edited_panel) -> None:
    panel = edited_panel
    scan = panel._parameterNode.editedScan
    before = slicer.util.arrayFromVolume(scan).copy()
    panel.ui.editScanButton.click()
    edited = panel._parameterNode.outputVolume
    assert "Made 'Scan edited, synthetic'" in panel.ui.statusLabel.text
    assert compare_geometry(edited, scan) == ""
    voxels = slicer.util.arrayFromVolume(edited)
    assert voxels.dtype == before.dtype
    reach = box(SHAPE_KJI, (2, 8, 13), (9, 18, 20))
    np.testing.assert_array_equal(voxels[~reach], before[~reach])
    assert (voxels[GROWTH] != before[GROWTH]).mean() > 0.5
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(scan), before)
    record = panel.logic.provenance(edited)
    assert (record["EditedInPlace"], record["SyntheticData"]) == ("YES", "YES")
    shown = edited.GetScalarVolumeDisplayNode()
    assert (shown.GetWindow(), shown.GetLevel()) == (333, 44)


def test_the_scan_can_be_seen_as_it_was(edited_panel) -> None:
    panel = edited_panel
    assert not panel.ui.showBeforeButton.enabled and not panel.ui.editSideBySideButton.enabled
    panel.ui.editScanButton.click()
    composite = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSliceCompositeNode")
    edited, scan = panel._parameterNode.outputVolume, panel._parameterNode.editedScan
    assert composite.GetBackgroundVolumeID() == edited.GetID()
    panel.ui.showBeforeButton.click()
    assert composite.GetBackgroundVolumeID() == scan.GetID()
    panel.ui.showBeforeButton.click()
    assert composite.GetBackgroundVolumeID() == edited.GetID()


def test_without_an_edit_nothing_is_made(panel_with_scan) -> None:
    count = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")
    panel_with_scan.ui.editScanButton.click()
    assert "there is no edit" in panel_with_scan.ui.statusLabel.text
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == count


def test_an_edited_scan_is_not_offered_to_be_made_again_from_segments_alone(
    edited_panel,
) -> None:
    edited_panel.ui.editScanButton.click()
    assert not edited_panel.logic.isMadeHere(edited_panel._parameterNode.outputVolume)


def test_remembered_segments_keep_names_and_terminology(panel_with_scan) -> None:
    parameters = panel_with_scan._parameterNode
    entry = "AnatoMaskGAN~SCT^123037004^Anatomical Structure~SCT^272673000^Bone~^^~~^^~^^"
    parameters.inputSegmentation.GetSegmentation().GetSegment("bone").SetTerminology(entry)
    panel_with_scan.ui.rememberButton.click()
    kept = parameters.segmentationBefore.GetSegmentation().GetSegment("bone")
    assert (kept.GetName(), kept.GetTerminology()) == ("bone", entry)


def test_scan_edit_and_difference_are_shown_side_by_side(edited_panel) -> None:
    edited_panel.ui.editScanButton.click()
    edited_panel.ui.editSideBySideButton.click()
    assert shown_volumes("Real") == ["Scan"] * 2
    assert shown_volumes("Synthetic") == ["Scan edited, synthetic"] * 2
    (name, _) = shown_volumes("Difference")
    difference = slicer.util.arrayFromVolume(slicer.util.getNode(name))
    edited = slicer.util.arrayFromVolume(edited_panel._parameterNode.outputVolume)
    scan = slicer.util.arrayFromVolume(edited_panel._parameterNode.editedScan)
    np.testing.assert_array_equal(difference, edited.astype(float) - scan)
    edited_panel.ui.showBeforeButton.click()  # the scan in the column of the edit
    assert shown_volumes("Synthetic") == ["Scan"] * 2
    edited_panel.ui.showBeforeButton.click()
    assert shown_volumes("Synthetic") == ["Scan edited, synthetic"] * 2


def test_margin_and_seam_reach_the_edit_and_its_record(edited_panel) -> None:
    panel, made = edited_panel, {}
    panel.ui.marginSlider.value = 3.0
    for number, seam in enumerate(("smooth", "scaled", "none")):
        panel.ui.seamComboBox.currentIndex = number
        panel.ui.editScanButton.click()
        output = panel._parameterNode.outputVolume
        record = panel.logic.provenance(output)
        assert (record["EditSeam"], record["EditMarginMm"]) == (seam, "3")
        made[seam] = slicer.util.arrayFromVolume(output)[GROWTH].astype(float)
    assert (made["smooth"] != made["scaled"]).any() and (made["scaled"] != made["none"]).any()


def test_an_edit_without_a_scan_is_refused(edited_panel) -> None:
    segmentation = edited_panel._parameterNode.inputSegmentation
    with pytest.raises(ValueError, match="No real scan is selected. Select"):
        edited_panel.logic.editInPlace(None, segmentation, segmentation)
    labels = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "Labels")
    with pytest.raises(ValueError, match="got 'Labels', a vtkMRMLLabelMapVolumeNode. Select"):
        edited_panel.logic.editInPlace(labels, segmentation, segmentation)


def test_synthesize_makes_a_new_volume_when_an_edited_scan_is_selected(edited_panel) -> None:
    panel = edited_panel
    panel.ui.editScanButton.click()
    edited = panel._parameterNode.outputVolume
    before, record = slicer.util.arrayFromVolume(edited).copy(), panel.logic.provenance(edited)
    panel.ui.showBeforeButton.click()
    panel.ui.synthesizeButton.click()
    made = panel._parameterNode.outputVolume
    assert made is not edited and "Made 'Case synthetic'" in panel.ui.statusLabel.text
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(edited), before)
    assert panel.logic.provenance(edited) == record
    assert panel.logic.isMadeHere(made) and panel.ui.makeAgainButton.visible
    assert not panel.ui.showBeforeButton.checked


def test_a_script_that_fills_an_edited_scan_leaves_nothing_of_its_record(edited_panel) -> None:
    logic, parameters = edited_panel.logic, edited_panel._parameterNode
    edited_panel.ui.editScanButton.click()
    output = logic.synthesize(
        parameters.inputSegmentation, parameters.outputVolume, model=parameters.model
    )
    fresh = logic.synthesize(parameters.inputSegmentation, model=parameters.model)
    assert logic.provenance(output) == logic.provenance(fresh)
    np.testing.assert_array_equal(
        slicer.util.arrayFromVolume(logic.makeAgain(output)), slicer.util.arrayFromVolume(output)
    )
