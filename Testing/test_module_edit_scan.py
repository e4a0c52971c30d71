"""A scan that follows its segmentation, by clicks and by the logic, in the stand-in host."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install .[slicer-test])")
pytest.importorskip("PySide6", reason="PySide6 is not installed (pip install .[slicer-test])")

import slicer
import slicer.util
import vtk
from edit_phantoms import BODY, KIDNEY, LIVER, phantom
from slicer_host.fixtures import (  # noqa: F401
    model,
    module,
    panel,
    panel_with_process,
    scene,
)
from slicer_host.nodes import add_segmentation, compare_geometry, paint
from slicer_host.user import choose, shown_volumes, voxels, wait

SCAN, LABELS = phantom()
MASKS = {name: LABELS.labels_kji == value for value, name in LABELS.names.items()}
SHAPE_KJI = LABELS.shape_kji


def ball(k: float, j: float, i: float, radius: float) -> np.ndarray:
    places = np.indices(SHAPE_KJI) - np.array([k, j, i])[:, None, None, None]
    return (places**2).sum(axis=0) <= radius**2


LESION = ball(12, 24, 13, 3)


def add_scan(name: str = "CT", array: np.ndarray = SCAN.voxels_kji):
    node = slicer.util.addVolumeFromArray(array.copy(), np.eye(4), name)
    node.CreateDefaultDisplayNodes()
    node.GetScalarVolumeDisplayNode().AutoWindowLevelOff()
    node.GetScalarVolumeDisplayNode().SetWindowLevel(400, 40)
    return node


@pytest.fixture
def logic(module, scene):
    return module.AnatoMaskGANLogic()


@pytest.fixture
def case(logic):
    """A scan and its segmentation, whose segments are remembered."""
    scan, segmentation = add_scan(), add_segmentation(MASKS)
    logic.startEditFromHere(segmentation)
    return scan, segmentation


@pytest.fixture
def edit_panel(panel):
    """The panel of someone who loads a scan and a segmentation, and does nothing else."""
    add_scan()
    segmentation = add_segmentation(MASKS)
    panel.initializeParameterNode()
    panel.updateFromScene()
    assert panel._parameterNode.inputSegmentation is segmentation
    yield panel
    panel.views.hide()


def edited_scans() -> list:
    from AnatoMaskGANLib.mrml import is_edited_scan

    nodes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    return [node for node in nodes if is_edited_scan(node)]


# Without a window


def test_a_painted_edit_moves_the_scan_and_leaves_it_alone(logic, case) -> None:
    scan, segmentation = case
    before = voxels(scan)
    paint(segmentation, "kidney", ball(11.5, 23.5, 33.5, 9))
    edited = logic.editScan(scan, segmentation)
    assert compare_geometry(edited, scan) == ""
    after = voxels(edited)
    assert after.dtype == before.dtype
    np.testing.assert_array_equal(voxels(scan), before)
    grown = ball(11.5, 23.5, 33.5, 8) & ~MASKS["kidney"]
    assert abs(after[grown].mean() - 160) < 15 and before[grown].mean() < -50
    np.testing.assert_array_equal(after[:, :, :6], before[:, :, :6])
    record = logic.provenance(edited)
    assert record["EditedScan"] == "YES" and "SyntheticData" not in record
    assert "a real person's data" in record["Notice"]
    assert int(record["VoxelsMoved"]) > 1000 and record["EditOf"] == "CT"
    display = edited.GetScalarVolumeDisplayNode()
    assert (display.GetWindow(), display.GetLevel()) == (400, 40)


def test_it_is_what_the_core_makes_of_the_same_maps(logic, case) -> None:
    from AnatoMaskGANLib.editing import edit_scan
    from AnatoMaskGANLib.editing.changes import changed_label_maps

    scan, segmentation = case
    (step,) = changed_label_maps(LABELS, ["grow liver by 3 mm"])
    expected = edit_scan(SCAN, LABELS, step.label_map)
    edited = logic.editScan(scan, segmentation, changes=["grow liver by 3 mm"])
    np.testing.assert_array_equal(voxels(edited), expected.volume.voxels_kji)
    assert int(logic.provenance(edited)["VoxelsMoved"]) == expected.num_moved


def test_a_change_in_words_leaves_the_segmentation_as_it_is(logic, case) -> None:
    scan, segmentation = case
    logic.editScan(scan, segmentation, changes=["move kidney by 3,0,0 mm"])
    kidney = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, "kidney", scan)
    np.testing.assert_array_equal(kidney != 0, MASKS["kidney"])


def test_a_series_becomes_a_sequence(logic, case) -> None:
    scan, segmentation = case
    edited = logic.editScan(scan, segmentation, changes=["resize kidney to 50/150 %"])
    browser = logic.samplesBrowser(edited)
    assert browser.GetNumberOfItems() == 2
    sequence = browser.GetMasterSequenceNode()
    assert [sequence.GetNthIndexValue(number) for number in range(2)] == ["50", "150"]
    first = voxels(edited)
    browser.SetSelectedItemNumber(1)
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
    assert (voxels(edited) != first).any()
    assert logic.provenance(edited)["EditStep"] == "150"
    single = logic.editScan(scan, segmentation, changes=["resize kidney to 150 %"])
    np.testing.assert_array_equal(voxels(single), voxels(edited))


def test_a_lesion_looks_as_asked_and_a_rim_is_put_around_it(logic, case) -> None:
    scan, segmentation = case
    edited = logic.editScan(
        scan,
        segmentation,
        changes=["add lesion in liver with 10 mm"],
        looks={"lesion": "20,5"},
    )
    painted = int(logic.provenance(edited)["VoxelsPainted"])
    inside = voxels(edited)[ball(11.5, 23.5, 13.5, 3)]
    assert painted > 300 and abs(inside.mean() - 20) < 3


def test_a_lesion_can_be_added_to_a_scan_without_any_segment(logic, scene) -> None:
    scan = add_scan()
    segmentation = add_segmentation({})
    logic.startEditFromHere(segmentation)
    segmentation.GetSegmentation().AddEmptySegment("lesion", "lesion")
    slicer.util.updateSegmentBinaryLabelmapFromArray(
        LESION.astype(np.uint8), segmentation, "lesion", scan
    )
    edited = logic.editScan(scan, segmentation, looks={"lesion": "300,1"})
    assert abs(voxels(edited)[ball(12, 24, 13, 1)].mean() - 300) < 5


def test_a_segment_that_vanishes_is_filled_as_asked(logic, case) -> None:
    scan, segmentation = case
    segmentation.GetSegmentation().RemoveSegment("kidney")
    lines: list[str] = []
    around = logic.editScan(scan, segmentation, logCallback=lines.append)
    assert abs(voxels(around)[ball(11.5, 23.5, 33.5, 3)].mean() + 80) < 15
    assert any("Removed and filled like the surroundings" in line for line in lines)
    fluid = logic.editScan(scan, segmentation, fills={"kidney": "fluid"})
    assert abs(voxels(fluid)[ball(11.5, 23.5, 33.5, 3)].mean() - 8) < 5


def test_all_segments_can_vanish(logic, case) -> None:
    scan, segmentation = case
    segmentation.GetSegmentation().RemoveAllSegments()
    edited = logic.editScan(scan, segmentation)
    assert int(logic.provenance(edited)["VoxelsFilled"]) > 0


def test_overlapping_segments_are_told(logic, case) -> None:
    scan, segmentation = case
    segmentation.GetSegmentation().AddEmptySegment("lesion", "lesion")
    image = slicer.vtkOrientedImageData()
    segmentation.GetBinaryLabelmapRepresentation("liver", image)
    slicer.util.updateSegmentBinaryLabelmapFromArray(
        LESION.astype(np.uint8), segmentation, "lesion", scan
    )
    lines: list[str] = []
    logic.editScan(scan, segmentation, looks={"lesion": "fluid"}, logCallback=lines.append)
    hidden = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, "liver", scan)[LESION] != 0
    assert any("Segments overlap" in line for line in lines) == bool(hidden.any())


def test_made_again_it_has_the_same_voxels(logic, case) -> None:
    scan, segmentation = case
    paint(segmentation, "liver", ball(11.5, 23.5, 13.5, 10))
    edited = logic.editScan(
        scan,
        segmentation,
        changes=["add cyst in liver with 6 mm"],
        looks={"cyst": "fluid;rim 1 contrast-enhanced"},
    )
    again = logic.makeEditAgain(edited)
    assert again is not edited
    np.testing.assert_array_equal(voxels(again), voxels(edited))
    assert logic.provenance(again) == logic.provenance(edited)


def test_what_changed_since_cannot_be_made_again(logic, case) -> None:
    scan, segmentation = case
    edited = logic.editScan(scan, segmentation, changes=["grow liver by 2 mm"])
    paint(segmentation, "kidney", ball(11.5, 23.5, 33.5, 4))
    with pytest.raises(ValueError, match="cannot be made again: 'Case' has changed"):
        logic.makeEditAgain(edited)
    with pytest.raises(ValueError, match="'CT' is not an edited scan"):
        logic.makeEditAgain(scan)
    edited.SetAttribute("AnatoMaskGAN.EditMethod", "older")
    with pytest.raises(ValueError, match="made by the method 'older'"):
        logic.makeEditAgain(edited)
    slicer.mrmlScene.RemoveNode(scan)
    with pytest.raises(ValueError, match="are not in the scene"):
        logic.makeEditAgain(edited)


def test_the_scan_itself_is_changed_only_when_it_is_given(logic, case) -> None:
    scan, segmentation = case
    before = voxels(scan)
    paint(segmentation, "kidney", ball(11.5, 23.5, 33.5, 9))
    expected = voxels(logic.editScan(scan, segmentation))
    np.testing.assert_array_equal(voxels(scan), before)
    assert logic.editScan(scan, segmentation, scan) is scan
    np.testing.assert_array_equal(voxels(scan), expected)
    with pytest.raises(ValueError, match="as they were at the start"):  # they fit it now
        logic.editScan(scan, segmentation)


def test_an_edited_scan_is_no_synthetic_volume(logic, case) -> None:
    scan, segmentation = case
    edited = logic.editScan(scan, segmentation, changes=["grow liver by 2 mm"])
    assert not logic.isMadeHere(edited)
    with pytest.raises(ValueError, match="contains an image that was not synthesized"):
        logic.synthesize(segmentation, edited)


def test_a_scene_keeps_the_start_of_the_edits(logic, case, tmp_path: Path) -> None:
    scan, segmentation = case
    paint(segmentation, "kidney", ball(11.5, 23.5, 33.5, 9))
    expected = voxels(logic.editScan(scan, segmentation))
    copy = slicer.vtkMRMLScene()
    del copy
    from AnatoMaskGANModule.scan_edit import snapshot

    start = snapshot.snapshotOf(segmentation)
    assert start.GetHideFromEditors() and start.GetSaveWithScene()
    for node in (scan, segmentation, start):
        node.AddDefaultStorageNode()
        node.GetStorageNode().SetFileName(str(tmp_path / f"{node.GetID()}.nrrd"))
        assert node.GetStorageNode().WriteData(node)
    slicer.mrmlScene.SetURL(str(tmp_path / "scene.mrml"))
    assert slicer.mrmlScene.Commit()
    slicer.mrmlScene.Clear(0)
    slicer.mrmlScene.SetURL(str(tmp_path / "scene.mrml"))
    assert slicer.mrmlScene.Connect()
    loaded = slicer.util.getNode("Case")
    edited = logic.editScan(slicer.util.getNode("CT"), loaded)
    np.testing.assert_array_equal(voxels(edited), expected)
    slicer.mrmlScene.SetURL("")


def test_a_copy_of_a_segmentation_has_a_start_of_its_own(logic, case) -> None:
    from AnatoMaskGANModule.scan_edit import snapshot

    scan, segmentation = case
    copy = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Copy")
    copy.Copy(segmentation)
    assert snapshot.snapshotOf(copy) is None
    with pytest.raises(ValueError, match="It is not known how the segments of"):
        logic.editScan(scan, copy)


# Bad input


def test_bad_nodes_are_refused(logic, case) -> None:
    scan, segmentation = case
    with pytest.raises(ValueError, match="No scan is selected"):
        logic.editScan(None, segmentation)
    vector = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "RGB")
    with pytest.raises(ValueError, match="got 'RGB', a vtkMRMLVectorVolumeNode"):
        logic.editScan(vector, segmentation)
    colors = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Colors")
    image = vtk.vtkImageData()
    image.SetDimensions(4, 4, 4)
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 3)
    colors.SetAndObserveImageData(image)
    with pytest.raises(ValueError, match="has 3 numbers for each voxel"):
        logic.editScan(colors, segmentation)
    with pytest.raises(ValueError, match="Expected a segmentation node"):
        logic.editScan(scan, scan)
    with pytest.raises(ValueError, match="contains an image that is no edited scan"):
        logic.editScan(scan, segmentation, add_scan("Other"), changes=["grow liver by 2 mm"])
    with pytest.raises(ValueError, match="got a vtkMRMLVectorVolumeNode"):
        logic.editScan(scan, segmentation, vector, changes=["grow liver by 2 mm"])
    with pytest.raises(TypeError, match="There is no choice 'look'; expected looks"):
        logic.editScan(scan, segmentation, look={})


def test_bad_edits_are_refused_and_leave_the_scene_alone(logic, case) -> None:
    scan, segmentation = case
    count = slicer.mrmlScene.GetNumberOfNodes()
    for choices, words in (
        ({}, "there is no edit"),
        ({"changes": ["fatten liver"]}, "expected one such as"),
        ({"changes": ["grow spleen by 2 mm"]}, "No label has the name 'spleen'"),
        ({"changes": ["add cyst in liver with 6 mm"]}, "expected a look for each"),
        ({"changes": ["grow liver by 2 mm"], "looks": {"liver": "pretty"}}, "The look is 'pretty'"),
    ):
        with pytest.raises(ValueError, match=words):
            logic.editScan(scan, segmentation, **choices)
    with pytest.raises(ValueError, match="are a series of 2 steps"):
        logic.changeSegments(scan, segmentation, ["resize liver to 50/150 %"])
    assert slicer.mrmlScene.GetNumberOfNodes() == count


def test_a_scan_with_nan_and_one_elsewhere_are_refused(logic, case) -> None:
    _scan, segmentation = case
    array = SCAN.voxels_kji.astype(np.float32)
    array[3, 4, 5] = np.nan
    with pytest.raises(ValueError, match="no numbers|not finite|NaN"):
        logic.editScan(add_scan("Holes", array), segmentation, changes=["grow liver by 2 mm"])
    far = add_scan("Far")
    far.SetOrigin(900, 900, 900)
    with pytest.raises(ValueError, match="has a voxel on the grid of 'Far'"):
        logic.editScan(far, segmentation, changes=["grow liver by 2 mm"])


def test_a_cancelled_edit_leaves_nothing(logic, case) -> None:
    from AnatoMaskGANLib.synthesis import SynthesisCancelledError

    scan, segmentation = case
    count = slicer.mrmlScene.GetNumberOfNodes()
    with pytest.raises(SynthesisCancelledError):
        logic.editScan(
            scan,
            segmentation,
            progressCallback=lambda share, text: logic.cancel(),
            changes=["grow liver by 2 mm"],
        )
    assert slicer.mrmlScene.GetNumberOfNodes() == count


def test_changed_segments_keep_what_others_hide(logic, case) -> None:
    scan, segmentation = case
    logic.changeSegments(scan, segmentation, ["grow kidney by 3 mm"], fixed=["liver"])
    kidney = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, "kidney", scan) != 0
    liver = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, "liver", scan) != 0
    assert kidney.sum() > 2 * MASKS["kidney"].sum() and (kidney & MASKS["kidney"]).any()
    np.testing.assert_array_equal(liver, MASKS["liver"])
    logic.undoSegmentEdits(segmentation)
    kidney = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, "kidney", scan) != 0
    np.testing.assert_array_equal(kidney, MASKS["kidney"])


# The picture


def test_the_picture_is_marked_as_an_edited_scan(logic, case, tmp_path: Path) -> None:
    from PIL import Image

    scan, segmentation = case
    edited = logic.editScan(scan, segmentation, changes=["grow kidney by 4 mm"])
    logic.saveEditPicture(edited, str(tmp_path / "edit.png"))
    pixels = np.array(Image.open(tmp_path / "edit.png"))
    assert pixels.shape[2] == 3 and pixels.shape[1] > 3 * 300
    third = pixels.shape[1] // 3
    is_mark = (pixels[..., 0] > 200) & (pixels[..., 2] < 100)
    inner = slice(30, -30)  # without the head and the line below
    assert is_mark[inner, third : 2 * third].sum() > 200  # burned in, in both slices
    assert is_mark[:30, third : 2 * third].any(axis=1).sum() > 10  # the head, uncut
    assert not is_mark[inner, : third - 20].any()
    with pytest.raises(ValueError, match="'CT' is no edited scan"):
        logic.saveEditPicture(scan, str(tmp_path / "scan.png"))
    with pytest.raises(OSError, match="is not there"):
        logic.saveEditPicture(edited, str(tmp_path / "missing" / "edit.png"))
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(OSError, match="could not be written"):
        logic.saveEditPicture(edited, str(tmp_path / "folder.png"))
    slicer.util.updateVolumeFromArray(edited, voxels(scan))
    with pytest.raises(ValueError, match="there is nothing to show"):
        logic.saveEditPicture(edited, str(tmp_path / "same.png"))


def test_the_picture_shows_the_patient_upright_as_radiologists_look() -> None:
    from AnatoMaskGANLib.volumes import Volume
    from AnatoMaskGANModule.scan_edit.picture import _inRas, _upright

    array = np.zeros((4, 6, 8), np.float32)
    array[3, 0, 1] = 1  # K 3, J 0, I 1
    lps = np.diag([-1.0, -1.0, 2.0, 1.0])  # I to the left, J to the back
    ras, sizes = _inRas(Volume(array, lps))
    assert sizes == [8.0, 6.0, 8.0]
    assert np.argwhere(ras == 1).tolist() == [[6, 5, 3]]  # far right, far front, top
    shown = _upright((ras[:, :, 3] * 255).astype(np.uint8), (60, 80))
    line, column = np.argwhere(shown).mean(axis=0) / shown.shape
    assert line < 0.25 and column < 0.25  # front at the top, the patient's right on the left


# By clicks


def test_scan_and_start_are_found_by_themselves(edit_panel) -> None:
    from AnatoMaskGANModule.scan_edit import snapshot

    parameters, ui = edit_panel._parameterNode, edit_panel.ui
    assert parameters.followedScan.GetName() == "CT"
    assert snapshot.snapshotOf(parameters.inputSegmentation) is not None
    assert ui.scanEditButton.enabled and "segments of" in ui.scanEditStartStateLabel.text
    layout = ui.scanEditCollapsibleButton.parent().layout()
    assert layout.indexOf(ui.scanEditCollapsibleButton) < layout.indexOf(ui.inputsCollapsibleButton)
    assert not ui.scanEditCollapsibleButton.collapsed


def test_a_painted_edit_is_found_whenever_it_was_made(edit_panel) -> None:
    parameters, ui = edit_panel._parameterNode, edit_panel.ui
    paint(parameters.inputSegmentation, "kidney", ball(11.5, 23.5, 33.5, 9))
    ui.scanEditButton.click()
    assert "voxels moved" in ui.scanEditStateLabel.text, ui.statusLabel.text
    edited = parameters.followedOutput
    assert edited.GetName() == "CT edited"
    composite = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSliceCompositeNode")
    assert composite.GetBackgroundVolumeID() == edited.GetID()
    ui.scanEditBeforeButton.click()
    assert composite.GetBackgroundVolumeID() == parameters.followedScan.GetID()
    ui.scanEditBeforeButton.click()
    assert composite.GetBackgroundVolumeID() == edited.GetID()
    ui.scanEditSideBySideButton.click()
    assert shown_volumes("Real") == ["CT"] * 2 and shown_volumes("Edited") == ["CT edited"] * 2
    paint(parameters.inputSegmentation, "kidney", ball(11.5, 23.5, 33.5, 8))
    ui.scanEditButton.click()  # into the same volume
    assert parameters.followedOutput is edited
    assert edited_scans() == [edited]


def test_one_click_grows_moves_and_removes(edit_panel) -> None:
    parameters, ui = edit_panel._parameterNode, edit_panel.ui
    scan = parameters.followedScan
    choose(ui.scanEditChangeComboBox, "Grow")
    choose(ui.scanEditSegmentComboBox, "kidney")
    ui.scanEditAmountEdit.setText("3")
    ui.scanEditChangeButton.click()
    kidney = slicer.util.arrayFromSegmentBinaryLabelmap(
        parameters.inputSegmentation, "kidney", scan
    )
    assert (kidney != 0).sum() > 2 * MASKS["kidney"].sum()
    grown = voxels(parameters.followedOutput)
    assert (grown != SCAN.voxels_kji).any()
    ui.scanEditUndoButton.click()
    choose(ui.scanEditChangeComboBox, "Move")
    ui.scanEditAmountEdit.setText("0, 3, 0")
    ui.scanEditChangeButton.click()
    kidney = slicer.util.arrayFromSegmentBinaryLabelmap(
        parameters.inputSegmentation, "kidney", scan
    )
    moved = np.argwhere(kidney != 0).mean(axis=0) - np.argwhere(MASKS["kidney"]).mean(axis=0)
    np.testing.assert_allclose(moved, [0, 3, 0], atol=0.1)
    ui.scanEditUndoButton.click()
    choose(ui.scanEditChangeComboBox, "Remove")
    assert not ui.scanEditAmountEdit.enabled
    ui.scanEditChangeButton.click()
    assert "Removed and filled like the surroundings" in ui.scanEditWarningsLabel.text
    assert ui.scanEditQuestionsTable.visible
    chooser = ui.scanEditQuestionsTable.cellWidget(0, 1)
    assert chooser.currentText == "around"
    choose(chooser, "fluid")
    assert dict(parameters.editFills.items()) == {"kidney": "fluid"}
    filled = voxels(parameters.followedOutput)[ball(11.5, 23.5, 33.5, 3)]
    assert abs(filled.mean() - 8) < 5


def test_a_lesion_gets_a_look_without_being_asked_for(edit_panel) -> None:
    parameters, ui = edit_panel._parameterNode, edit_panel.ui
    choose(ui.scanEditChangeComboBox, "Add a lesion in it")
    choose(ui.scanEditSegmentComboBox, "liver")
    ui.scanEditAmountEdit.setText("8")
    ui.scanEditChangeButton.click()
    chooser = ui.scanEditQuestionsTable.cellWidget(0, 1)
    assert (ui.scanEditQuestionsTable.item(0, 0).text(), chooser.currentText) == (
        "lesion, new",
        "fluid",
    )
    assert abs(voxels(parameters.followedOutput)[ball(11.5, 23.5, 13.5, 2)].mean() - 8) < 8
    chooser.setCurrentText("250,4")
    chooser.lineEdit().editingFinished.emit()
    assert abs(voxels(parameters.followedOutput)[ball(11.5, 23.5, 13.5, 2)].mean() - 250) < 8
    chooser.setCurrentText("nonsense")
    chooser.lineEdit().editingFinished.emit()
    assert "The look is 'nonsense'" in ui.statusLabel.text


def test_a_lesion_can_be_put_at_the_crosshair(edit_panel) -> None:
    ui = edit_panel.ui
    slicer.util.getNode("vtkMRMLCrosshairNode*").SetCrosshairRAS(13.0, 24.0, 12.0)
    choose(ui.scanEditChangeComboBox, "Add a lesion at the crosshair")
    assert not ui.scanEditSegmentComboBox.enabled
    assert edit_panel.scanEditPanel.changePanel.words() == (
        "add lesion at 13.00,24.00,12.00 with 15 mm"
    )
    ui.scanEditAmountEdit.setText("5")
    ui.scanEditChangeButton.click()
    node = edit_panel._parameterNode.inputSegmentation
    segment = node.GetSegmentation().GetSegmentIdBySegmentName("lesion")
    scan = edit_panel._parameterNode.followedScan
    mask = slicer.util.arrayFromSegmentBinaryLabelmap(node, segment, scan) != 0
    np.testing.assert_allclose(np.argwhere(mask).mean(axis=0), [12, 24, 13], atol=0.6)


def test_a_series_by_a_click_leaves_the_segments(edit_panel) -> None:
    parameters, ui = edit_panel._parameterNode, edit_panel.ui
    choose(ui.scanEditChangeComboBox, "Change its size")
    choose(ui.scanEditSegmentComboBox, "kidney")
    ui.scanEditAmountEdit.setText("50/150")
    ui.scanEditChangeButton.click()
    browser = edit_panel.logic.samplesBrowser(parameters.followedOutput)
    assert browser.GetNumberOfItems() == 2
    kidney = slicer.util.arrayFromSegmentBinaryLabelmap(
        parameters.inputSegmentation, "kidney", parameters.followedScan
    )
    np.testing.assert_array_equal(kidney != 0, MASKS["kidney"])
    choose(ui.scanEditChangeComboBox, "Move")
    ui.scanEditAmountEdit.setText("0, 4, 0 in 2 steps")
    assert edit_panel.scanEditPanel.changePanel.words() == "move kidney by 0, 4, 0 mm in 2 steps"


def test_start_from_here_keeps_the_edited_scan_and_begins_anew(edit_panel) -> None:
    parameters, ui = edit_panel._parameterNode, edit_panel.ui
    paint(parameters.inputSegmentation, "kidney", ball(11.5, 23.5, 33.5, 9))
    ui.scanEditButton.click()
    edited = parameters.followedOutput
    ui.scanEditStartButton.click()
    assert parameters.followedOutput is None and edited.GetScene() is not None
    ui.scanEditButton.click()
    assert "there is no edit" in ui.statusLabel.text


def test_make_again_and_picture_by_clicks(edit_panel, tmp_path: Path, monkeypatch) -> None:
    parameters, ui = edit_panel._parameterNode, edit_panel.ui
    assert not ui.scanEditAgainButton.enabled and not ui.scanEditPictureButton.enabled
    paint(parameters.inputSegmentation, "kidney", ball(11.5, 23.5, 33.5, 9))
    ui.scanEditButton.click()
    ui.scanEditAgainButton.click()
    assert "the same voxels" in ui.scanEditStateLabel.text
    path = tmp_path / "before-after.png"
    monkeypatch.setattr(edit_panel.scanEditPanel, "askForFile", lambda name: "")
    ui.scanEditPictureButton.click()
    monkeypatch.setattr(edit_panel.scanEditPanel, "askForFile", lambda name: str(path))
    ui.scanEditPictureButton.click()
    assert path.is_file() and str(path) in ui.scanEditStateLabel.text


def test_without_a_scan_the_button_says_what_is_missing(panel) -> None:
    panel._parameterNode.inputSegmentation = add_segmentation(MASKS)
    panel.updateFromScene()
    assert not panel.ui.scanEditButton.enabled
    assert panel.ui.scanEditButton.toolTip == "Select the scan."
    add_scan()
    wait(lambda: panel.ui.scanEditButton.enabled)


def test_a_snapshot_is_not_taken_for_a_segmentation(edit_panel) -> None:
    first = edit_panel._parameterNode.inputSegmentation
    slicer.mrmlScene.RemoveNode(first)
    edit_panel.initializeParameterNode()
    assert edit_panel._parameterNode.inputSegmentation is None


def test_the_record_tells_the_segments_and_the_changes(logic, case) -> None:
    scan, segmentation = case
    edited = logic.editScan(scan, segmentation, changes=["grow liver by 2 mm"], fixed=["kidney"])
    record = logic.provenance(edited)
    assert json.loads(record["EditSegments"]) == {"body": BODY, "liver": LIVER, "kidney": KIDNEY}
    assert json.loads(record["EditChanges"]) == {
        "changes": ["grow liver by 2 mm"],
        "fixed": ["kidney"],
    }


# Live


@pytest.fixture
def following(panel_with_process):
    """The panel, whose edited scan follows every stroke."""
    add_scan()
    add_segmentation(MASKS)
    panel_with_process.initializeParameterNode()
    panel_with_process.updateFromScene()
    panel_with_process.ui.scanEditFollowCheckBox.click()
    up_to_date(panel_with_process)
    yield panel_with_process
    panel_with_process.views.hide()


def up_to_date(panel) -> None:
    follower = panel.scanEditPanel.follower
    wait(lambda: follower.state.value in ("up to date", "failed"), 120)
    assert follower.state.value == "up to date", follower.text


def painted(panel, mask: np.ndarray) -> np.ndarray:
    """The edited scan after a stroke at the kidney."""
    paint(panel._parameterNode.inputSegmentation, "kidney", mask)
    wait(lambda: panel.scanEditPanel.follower.state.value in ("pending", "running"))
    up_to_date(panel)
    return voxels(panel._parameterNode.followedOutput)


def test_every_stroke_shows_and_undo_brings_the_very_voxels_back(following) -> None:
    parameters, ui = following._parameterNode, following.ui
    edited = parameters.followedOutput
    np.testing.assert_array_equal(voxels(edited), SCAN.voxels_kji)
    first = painted(following, ball(11.5, 23.5, 33.5, 8))
    second = painted(following, ball(11.5, 23.5, 33.5, 10))
    assert (first != SCAN.voxels_kji).any() and (second != first).any()
    assert "Up to date" in ui.scanEditStateLabel.text and "moved" in ui.scanEditStateLabel.text
    np.testing.assert_array_equal(painted(following, ball(11.5, 23.5, 33.5, 8)), first)
    np.testing.assert_array_equal(painted(following, MASKS["kidney"]), SCAN.voxels_kji)
    assert parameters.followedOutput is edited and edited_scans() == [edited]
    np.testing.assert_array_equal(voxels(parameters.followedScan), SCAN.voxels_kji)


def test_what_followed_is_what_the_button_makes(following) -> None:
    live = painted(following, ball(11.5, 23.5, 33.5, 9))
    edited = following._parameterNode.followedOutput
    record = following.logic.provenance(edited)
    following.ui.scanEditFollowCheckBox.click()
    assert not following.scanEditPanel.follower.isOn
    following.ui.scanEditAgainButton.click()
    assert "the same voxels" in following.ui.scanEditStateLabel.text
    following.ui.scanEditButton.click()
    np.testing.assert_array_equal(voxels(edited), live)
    assert following.logic.provenance(edited) == record


def test_only_the_changed_box_of_labels_is_sent(following) -> None:
    painted(following, ball(11.5, 23.5, 33.5, 8))
    client = following.logic.backend.client
    sent = []
    write = client._write

    def note(message) -> None:
        sent.append(message)
        write(message)

    client._write = note
    painted(following, ball(11.5, 23.5, 33.5, 9))
    quick, final = [message for message in sent if message["kind"] == "edit"]
    assert quick["start"] is None and final["start"] is None
    start, stop = quick["box"]
    assert all(0 <= a < b for a, b in zip(start, stop, strict=True))
    assert stop[1] - start[1] <= 19 and stop[2] - start[2] <= 19
    assert quick["is_quick"] and not final["is_quick"] and final["box"] is None


def test_a_new_segment_is_followed_and_asked_about(following) -> None:
    parameters, ui = following._parameterNode, following.ui
    segmentation = parameters.inputSegmentation
    choose(ui.scanEditChangeComboBox, "Add a lesion in it")
    choose(ui.scanEditSegmentComboBox, "liver")
    ui.scanEditAmountEdit.setText("8")
    ui.scanEditChangeButton.click()
    up_to_date(following)
    wait(lambda: ui.scanEditQuestionsTable.rowCount == 1)
    inside = ball(11.5, 23.5, 13.5, 2)
    assert abs(voxels(parameters.followedOutput)[inside].mean() - 8) < 8
    choose(ui.scanEditQuestionsTable.cellWidget(0, 1), "soft-tissue")
    wait(lambda: abs(voxels(parameters.followedOutput)[inside].mean() - 45) < 5)
    up_to_date(following)
    segmentation.GetSegmentation().RemoveSegment(
        segmentation.GetSegmentation().GetSegmentIdBySegmentName("lesion")
    )


def test_a_process_that_was_ended_is_told_the_scan_again(following) -> None:
    painted(following, ball(11.5, 23.5, 33.5, 8))
    following.logic.backend.close()
    second = painted(following, ball(11.5, 23.5, 33.5, 10))
    following.ui.scanEditFollowCheckBox.click()
    following.ui.scanEditButton.click()
    np.testing.assert_array_equal(voxels(following._parameterNode.followedOutput), second)


def test_a_process_that_was_killed_is_told_the_scan_again(following) -> None:
    import psutil

    first = painted(following, ball(11.5, 23.5, 33.5, 8))
    psutil.Process(following.logic.backend.client._process.pid).kill()
    second = painted(following, ball(11.5, 23.5, 33.5, 10))
    assert (second != first).any()
    np.testing.assert_array_equal(painted(following, ball(11.5, 23.5, 33.5, 8)), first)


def test_start_from_here_while_it_follows(following) -> None:
    parameters = following._parameterNode
    painted(following, ball(11.5, 23.5, 33.5, 8))
    edited = parameters.followedOutput
    following.ui.scanEditStartButton.click()
    up_to_date(following)
    wait(lambda: parameters.followedOutput not in (None, edited))
    up_to_date(following)
    np.testing.assert_array_equal(voxels(parameters.followedOutput), SCAN.voxels_kji)


def test_an_edited_scan_that_is_removed_is_made_anew(following) -> None:
    parameters = following._parameterNode
    first = painted(following, ball(11.5, 23.5, 33.5, 8))
    slicer.mrmlScene.RemoveNode(parameters.followedOutput)
    painted(following, ball(11.5, 23.5, 33.5, 10))
    np.testing.assert_array_equal(painted(following, ball(11.5, 23.5, 33.5, 8)), first)


def test_what_cannot_be_followed_is_told(following) -> None:
    array = SCAN.voxels_kji.astype(np.float32)
    array[2, 2, 2] = np.nan
    parameters = following._parameterNode
    parameters.followedScan = add_scan("Holes", array)
    follower = following.scanEditPanel.follower
    wait(lambda: follower.state.value == "failed")
    assert "Not up to date" in following.ui.scanEditStateLabel.text
    parameters.followedScan = slicer.util.getNode("CT")
    wait(lambda: follower.state.value == "up to date")


def test_closing_the_scene_ends_the_following(following) -> None:
    slicer.mrmlScene.Clear(0)
    assert not following.scanEditPanel.follower.isOn
    assert not following.ui.scanEditFollowCheckBox.checked


def test_the_button_leaves_the_window_free_and_makes_the_same(panel_with_process) -> None:
    panel = panel_with_process
    add_scan()
    segmentation = add_segmentation(MASKS)
    panel.initializeParameterNode()
    panel.updateFromScene()
    paint(segmentation, "kidney", ball(11.5, 23.5, 33.5, 9))
    panel.ui.scanEditButton.click()
    parameters = panel._parameterNode
    here = type(panel.logic)()  # without a process
    expected = here.editScan(parameters.followedScan, segmentation)
    np.testing.assert_array_equal(voxels(parameters.followedOutput), voxels(expected))
    choose(panel.ui.scanEditChangeComboBox, "Change its size")
    choose(panel.ui.scanEditSegmentComboBox, "liver")
    panel.ui.scanEditAmountEdit.setText("50/150")
    panel.ui.scanEditChangeButton.click()
    series = here.editScan(
        parameters.followedScan, segmentation, changes=["resize liver to 50/150 %"]
    )
    for number in range(2):
        shown = []
        for volume in (parameters.followedOutput, series):
            browser = panel.logic.samplesBrowser(volume)
            browser.SetSelectedItemNumber(number)
            slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
            shown.append(voxels(volume))
        np.testing.assert_array_equal(*shown)


def test_an_edit_is_not_run_before_it_has_a_scan() -> None:
    from AnatoMaskGANLib.synthesis import Progress
    from AnatoMaskGANModule.synthesis.backends import DirectBackend

    with pytest.raises(RuntimeError, match="call startEdit first"):
        DirectBackend().runEdit(LABELS, None, Progress())


def test_labels_read_from_layers_are_those_that_slicer_merges(logic, case) -> None:
    from AnatoMaskGANLib.mrml import label_map_from_segmentation, segment_entries
    from AnatoMaskGANLib.mrml.label_map_export import merged_labels
    from AnatoMaskGANLib.mrml.layer_labels import layer_labels

    scan, segmentation = case
    segmentation.GetSegmentation().AddEmptySegment("empty", "empty")
    paint(segmentation, "kidney", ball(11.5, 23.5, 30.5, 13))  # over the liver, in another layer
    values = {"body": 5, "liver": 300, "kidney": 7, "empty": 8}
    entries = segment_entries(segmentation, None, values)
    expected = label_map_from_segmentation(segmentation, scan, None, values).label_map.labels_kji
    assert (expected == 7).sum() > 5000
    np.testing.assert_array_equal(layer_labels(segmentation, scan, entries), expected)
    np.testing.assert_array_equal(merged_labels(segmentation, scan, entries), expected)
    assert not merged_labels(segmentation, scan, []).any()
    smaller = add_scan("Part", SCAN.voxels_kji[2:20, 5:40, 10:])
    smaller.SetOrigin(10, 5, 2)
    np.testing.assert_array_equal(
        layer_labels(segmentation, smaller, entries), expected[2:20, 5:40, 10:]
    )
    turned = slicer.util.addVolumeFromArray(np.zeros((48, 24, 48), np.int16))  # I, K, J of the scan
    turned.SetIJKToRASMatrix(
        slicer.util.vtkMatrixFromArray(
            np.array([[0, 0, -1, 47], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1.0]])
        )
    )
    np.testing.assert_array_equal(
        layer_labels(segmentation, turned, entries), expected.transpose(2, 0, 1)[::-1]
    )
    turned.SetIJKToRASMatrix(
        slicer.util.vtkMatrixFromArray(
            np.array([[1.0, 0, 0, 0], [0, 2, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
        )
    )
    assert layer_labels(segmentation, turned, entries) is None
    smaller.SetOrigin(10.5, 5, 2)
    assert layer_labels(segmentation, smaller, entries) is None
