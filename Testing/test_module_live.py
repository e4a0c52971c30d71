"""Live resynthesis in the stand-in host: the volume follows the edits of its segmentation."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install .[slicer-test])")
pytest.importorskip("PySide6", reason="PySide6 is not installed (pip install .[slicer-test])")

import psutil
import slicer
import slicer.util
import vtk
from slicer_host import window
from slicer_host.fixtures import model, module, panel_with_process, scene  # noqa: F401
from slicer_host.nodes import add_segmentation, add_transform, add_volume, box, paint
from slicer_host.user import voxels, wait

SHAPE_KJI = (24, 40, 48)


def limb() -> dict[str, np.ndarray]:
    return {
        "skin": box(SHAPE_KJI, (0, 2, 2), (23, 36, 12)),
        "bone": box(SHAPE_KJI, (1, 4, 16), (20, 30, 28)),
    }


def state_of(panel) -> str:
    return panel.live.state.value


def is_up_to_date(panel) -> bool:
    return state_of(panel) == "up to date"


@pytest.fixture
def live_panel(panel_with_process):
    """The panel after a click on "Resynthesize while editing", its first volume made."""
    panel = panel_with_process
    panel.ui.inputSelector.setCurrentNode(add_segmentation(limb()))
    wait(lambda: panel.ui.liveCheckBox.enabled)
    panel.ui.liveCheckBox.click()
    wait(lambda: is_up_to_date(panel))
    return panel


def test_the_volume_follows_a_stroke_in_place_as_a_full_synthesis_would(live_panel) -> None:
    parameters = live_panel._parameterNode
    segmentation, output = parameters.inputSegmentation, parameters.outputVolume
    before, record = voxels(output), live_panel.logic.provenance(output)
    display = output.GetDisplayNode()
    display.SetWindowLevelMinMax(11, 99)
    count = slicer.mrmlScene.GetNumberOfNodes()
    paint(segmentation, "bone", limb()["bone"] | box(SHAPE_KJI, (10, 31, 20), (11, 34, 26)))
    wait(lambda: state_of(live_panel) == "pending")
    assert "Edited" in live_panel.ui.liveStateLabel.text
    wait(lambda: is_up_to_date(live_panel))
    after = voxels(output)
    assert parameters.outputVolume is output
    assert slicer.mrmlScene.GetNumberOfNodes() == count
    assert (after != before).any()
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (11, 99)
    new_record = live_panel.logic.provenance(output)
    assert new_record["LabelMapSHA256"] != record["LabelMapSHA256"]
    live_panel.ui.liveCheckBox.click()
    whole = live_panel.logic.synthesize(segmentation, model=parameters.model)
    np.testing.assert_allclose(after, voxels(whole), atol=1e-5 * 200)
    assert live_panel.logic.provenance(whole)["LabelMapSHA256"] == new_record["LabelMapSHA256"]


def test_edits_while_an_update_runs_become_one_more_update(live_panel, monkeypatch) -> None:
    client = live_panel.logic.backend.client
    sent = []
    update = client.update
    monkeypatch.setattr(client, "update", lambda labels: sent.append(labels) or update(labels))
    segmentation = live_panel._parameterNode.inputSegmentation
    paint(segmentation, "bone", limb()["bone"] | box(SHAPE_KJI, (4, 31, 20), (5, 34, 26)))
    wait(lambda: state_of(live_panel) == "running")
    for column in (20, 22, 24):
        mask = limb()["bone"] | box(SHAPE_KJI, (4, 31, column), (5, 36, column + 2))
        paint(segmentation, "bone", mask)
    wait(lambda: is_up_to_date(live_panel) and not live_panel._updateTimer.active)
    wait(lambda: is_up_to_date(live_panel))
    assert len(sent) == 2


def test_an_edit_that_leaves_every_label_costs_no_synthesis(live_panel, monkeypatch) -> None:
    client = live_panel.logic.backend.client
    monkeypatch.setattr(client, "update", lambda labels: pytest.fail("nothing changed"))
    segmentation = live_panel._parameterNode.inputSegmentation
    segmentation.GetSegmentation().GetNthSegment(0).SetColor([1, 0, 0])
    segmentation.GetSegmentation().Modified()
    paint(segmentation, "bone", limb()["bone"])
    wait(lambda: state_of(live_panel) == "pending")
    wait(lambda: is_up_to_date(live_panel))


def test_another_seed_makes_the_whole_volume_again(live_panel) -> None:
    output = live_panel._parameterNode.outputVolume
    live_panel.ui.seedSpinBox.value = 8
    wait(lambda: not is_up_to_date(live_panel))
    wait(lambda: is_up_to_date(live_panel))
    assert live_panel.logic.provenance(output)["Seed"] == "8"
    assert live_panel._parameterNode.outputVolume is output


def test_a_segment_that_the_model_does_not_know_is_told_and_following_goes_on(live_panel) -> None:
    segmentation = live_panel._parameterNode.inputSegmentation
    segment = segmentation.GetSegmentation().GetNthSegment(1)
    segment.SetName("antenna")
    wait(lambda: state_of(live_panel) == "failed")
    assert "antenna" in live_panel.ui.liveStateLabel.text
    segment.SetName("bone")
    wait(lambda: is_up_to_date(live_panel))


def test_synthesize_waits_while_the_volume_follows_by_itself(live_panel) -> None:
    wait(lambda: not live_panel._updateTimer.active)
    assert not live_panel.ui.synthesizeButton.enabled
    live_panel.ui.liveCheckBox.click()
    wait(lambda: live_panel.ui.synthesizeButton.enabled)
    assert live_panel.ui.liveStateLabel.text == ""
    live_panel.ui.synthesizeButton.click()
    assert "Made" in live_panel.ui.statusLabel.text


@pytest.mark.parametrize("gone", ["segmentation", "output", "scene"])
def test_following_ends_with_its_nodes(live_panel, gone: str) -> None:
    parameters = live_panel._parameterNode
    segmentation, output = parameters.inputSegmentation, parameters.outputVolume
    if gone == "scene":
        slicer.mrmlScene.Clear(0)
    elif gone == "output":
        paint(segmentation, "bone", limb()["bone"] | box(SHAPE_KJI, (4, 31, 20), (5, 34, 26)))
        wait(lambda: state_of(live_panel) == "running")
        slicer.mrmlScene.RemoveNode(output)
    else:
        slicer.mrmlScene.RemoveNode(segmentation)
    wait(lambda: state_of(live_panel) == "off")
    assert not live_panel.ui.liveCheckBox.checked


def test_observers_and_process_end_with_the_panel(live_panel) -> None:
    segmentation = live_panel._parameterNode.inputSegmentation
    window.close_module(slicer.modules.anatomaskgan)
    assert state_of(live_panel) == "off"
    assert live_panel.live.Observations == [] or not live_panel.live.Observations
    assert live_panel.logic.backend._client is None
    paint(segmentation, "bone", limb()["skin"])
    slicer.app.processEvents()
    assert state_of(live_panel) == "off"
    window.show_module(slicer.modules.anatomaskgan)


def test_window_slice_position_and_field_of_view_stay_when_the_volume_follows(live_panel) -> None:
    parameters = live_panel._parameterNode
    logic = slicer.app.applicationLogic().GetSliceLogicByLayoutName("Red")
    slice_node = logic.GetSliceNode()
    assert logic.GetSliceCompositeNode().GetBackgroundVolumeID() == parameters.outputVolume.GetID()
    logic.SetSliceOffset(7.0)
    slice_node.SetFieldOfView(22.0, 22.0, 1.0)
    display = parameters.outputVolume.GetDisplayNode()
    display.SetWindowLevel(44, 55)
    mask = limb()["bone"] | box(SHAPE_KJI, (10, 31, 20), (11, 34, 26))
    paint(parameters.inputSegmentation, "bone", mask)
    wait(lambda: state_of(live_panel) == "running")
    wait(lambda: is_up_to_date(live_panel))
    assert logic.GetSliceOffset() == 7.0
    assert min(slice_node.GetFieldOfView()[:2]) == 22.0  # the other follows the view's shape
    assert (display.GetWindow(), display.GetLevel()) == (44, 55)


def test_undo_in_the_segment_editor_brings_the_volume_back(live_panel) -> None:
    """The editor in the panel is a stand-in; its undo is that of Slicer's own editor logic."""
    parameters = live_panel._parameterNode
    wait(lambda: not live_panel._updateTimer.active)
    live_panel.ui.segmentEditorCollapsibleButton.collapsed = False
    editor = live_panel.segmentEditor.editor
    assert editor.segmentationNode() is parameters.inputSegmentation
    assert editor.sourceVolumeNode() is parameters.outputVolume
    before = voxels(parameters.outputVolume)
    larger = limb()["bone"] | box(SHAPE_KJI, (10, 31, 20), (11, 34, 26))
    editor.paint("bone", larger, np.eye(4))
    wait(lambda: state_of(live_panel) == "running")
    wait(lambda: is_up_to_date(live_panel))
    assert (voxels(parameters.outputVolume) != before).any()
    editor.undo()
    wait(lambda: state_of(live_panel) == "running")
    wait(lambda: is_up_to_date(live_panel))
    np.testing.assert_allclose(voxels(parameters.outputVolume), before, atol=1e-5 * 200)


def test_a_live_volume_follows_in_the_chosen_intensities(live_panel) -> None:
    parameters = live_panel._parameterNode
    output, before = parameters.outputVolume, voxels(parameters.outputVolume)
    live_panel.ui.intensitiesComboBox.currentIndex = 1
    wait(lambda: not is_up_to_date(live_panel))
    wait(lambda: is_up_to_date(live_panel))
    np.testing.assert_allclose(voxels(output), before / 200, atol=1e-5)  # the window is 0 to 200
    mask = limb()["bone"] | box(SHAPE_KJI, (10, 31, 20), (11, 34, 26))
    paint(parameters.inputSegmentation, "bone", mask)
    wait(lambda: state_of(live_panel) == "running")
    wait(lambda: is_up_to_date(live_panel))
    assert voxels(output).max() <= 1
    assert live_panel.logic.provenance(output)["Intensities"] == "window"


def test_a_process_that_dies_is_told_in_the_log_and_following_goes_on(live_panel) -> None:
    psutil.Process(live_panel.logic.backend.client._process.pid).kill()
    mask = limb()["bone"] | box(SHAPE_KJI, (10, 31, 20), (11, 34, 26))
    paint(live_panel._parameterNode.inputSegmentation, "bone", mask)
    wait(lambda: "started again" in live_panel.ui.logText.toPlainText())
    wait(lambda: is_up_to_date(live_panel))


def test_the_module_can_be_reloaded_while_the_volume_follows(live_panel) -> None:
    segmentation = live_panel._parameterNode.inputSegmentation
    old_process = psutil.Process(live_panel.logic.backend.client._process.pid)
    paint(segmentation, "bone", limb()["bone"] | box(SHAPE_KJI, (4, 31, 20), (5, 34, 26)))
    wait(lambda: state_of(live_panel) == "running")
    window.close_module(slicer.modules.anatomaskgan)
    again = window.show_module(window.load_module(slicer.modules.anatomaskgan.path))
    assert not old_process.is_running()
    assert state_of(again) == "off" and not again.ui.liveCheckBox.checked
    wait(lambda: again.ui.liveCheckBox.enabled)
    again.ui.liveCheckBox.click()
    wait(lambda: is_up_to_date(again))


def test_an_edited_scan_is_not_what_follows_the_brush(panel_with_process) -> None:
    panel = panel_with_process
    edited = slicer.util.addVolumeFromArray(np.full(SHAPE_KJI, 7, np.float32), np.eye(4), "Edited")
    for key in ("SyntheticData", "EditedInPlace"):
        edited.SetAttribute(f"AnatoMaskGAN.{key}", "YES")
    panel._parameterNode.outputVolume = edited
    panel.ui.inputSelector.setCurrentNode(add_segmentation(limb()))
    wait(lambda: panel.ui.liveCheckBox.enabled)
    panel.ui.liveCheckBox.click()
    wait(lambda: is_up_to_date(panel))
    assert panel._parameterNode.outputVolume is not edited
    assert (voxels(edited) == 7).all()


def stroke(row: int = 10) -> np.ndarray:
    """The bone with a little more of it."""
    return limb()["bone"] | box(SHAPE_KJI, (row, 31, 20), (row + 1, 34, 26))


def assert_whole(panel) -> None:
    """The live volume is what a synthesis of its segments as they are now makes."""
    parameters = panel._parameterNode
    live = voxels(parameters.outputVolume)
    whole = panel.logic.synthesize(
        parameters.inputSegmentation,
        referenceVolume=parameters.referenceVolume,
        model=parameters.model,
        seed=parameters.seed,
    )
    np.testing.assert_allclose(live, voxels(whole), atol=1e-5 * 200)


def test_runs_of_a_script_on_the_same_process_leave_the_volume_following(live_panel) -> None:
    parameters, logic = live_panel._parameterNode, live_panel.logic
    output = parameters.outputVolume
    again = logic.makeAgain(output)  # while nothing runs
    np.testing.assert_allclose(voxels(again), voxels(output), atol=1e-5 * 200)
    paint(parameters.inputSegmentation, "bone", stroke())
    wait(lambda: state_of(live_panel) == "running")
    other = add_segmentation(limb(), name="Other")
    np.testing.assert_allclose(  # while an update runs
        voxels(logic.synthesize(other, model=parameters.model)), voxels(again), atol=1e-5 * 200
    )
    wait(lambda: is_up_to_date(live_panel))
    paint(parameters.inputSegmentation, "bone", stroke(4))
    wait(lambda: state_of(live_panel) == "running")
    wait(lambda: is_up_to_date(live_panel))
    assert_whole(live_panel)
    assert parameters.outputVolume is output


def test_a_cancelled_run_of_a_script_leaves_the_volume_following(live_panel) -> None:
    from AnatoMaskGANLib.synthesis import SynthesisCancelledError

    parameters, logic = live_panel._parameterNode, live_panel.logic
    paint(parameters.inputSegmentation, "bone", stroke())
    wait(lambda: state_of(live_panel) == "running")
    with pytest.raises(SynthesisCancelledError):
        logic.synthesize(
            add_segmentation(limb(), name="Other"),
            model=parameters.model,
            progressCallback=lambda share, text: logic.cancel(),
        )
    wait(lambda: is_up_to_date(live_panel))
    assert_whole(live_panel)


def test_following_that_ends_leaves_the_run_of_a_script_alone(live_panel) -> None:
    parameters = live_panel._parameterNode
    paint(parameters.inputSegmentation, "bone", stroke())
    wait(lambda: state_of(live_panel) == "running")
    made = live_panel.logic.synthesize(
        add_segmentation(limb(), name="Other"),
        model=parameters.model,
        progressCallback=lambda share, text: live_panel.live.stop(),
    )
    assert made.GetName() == "Other synthetic"
    assert state_of(live_panel) == "off"


def test_make_again_waits_while_the_volume_follows_by_itself(live_panel) -> None:
    wait(lambda: not live_panel._updateTimer.active)
    assert not live_panel.ui.makeAgainButton.enabled
    live_panel.ui.liveCheckBox.click()
    wait(lambda: live_panel.ui.makeAgainButton.enabled)


def changed_in_shape(volume) -> None:
    slicer.util.updateVolumeFromArray(volume, np.zeros((5, 6, 7), np.float32))


def changed_in_kind(volume) -> None:
    slicer.util.updateVolumeFromArray(volume, voxels(volume).astype(np.uint8))


def moved(volume) -> None:
    volume.SetOrigin(100, 100, 100)


def put_below_a_transform(volume) -> None:
    shift = np.eye(4)
    shift[0, 3] = 7
    volume.SetAndObserveTransformNodeID(add_transform(shift).GetID())


@pytest.mark.parametrize("when", ["while nothing runs", "while an update runs"])
@pytest.mark.parametrize(
    "change", [changed_in_shape, changed_in_kind, moved, put_below_a_transform]
)
def test_a_volume_that_others_changed_is_made_whole_again(live_panel, change, when: str) -> None:
    parameters = live_panel._parameterNode
    output = parameters.outputVolume
    if when == "while an update runs":
        paint(parameters.inputSegmentation, "bone", stroke())
        wait(lambda: state_of(live_panel) == "running")
    change(output)
    wait(lambda: not is_up_to_date(live_panel))
    wait(lambda: is_up_to_date(live_panel))
    assert_whole(live_panel)
    assert parameters.outputVolume is output
    assert output.GetOrigin() == (0, 0, 0) and output.GetTransformNodeID() is None
    assert voxels(output).dtype == np.float32


def test_an_error_while_the_volume_is_filled_is_told_and_the_next_edit_begins_anew(
    live_panel, monkeypatch
) -> None:
    def refused(*arguments) -> None:
        raise OSError("no more memory")

    segmentation = live_panel._parameterNode.inputSegmentation
    with monkeypatch.context() as broken:
        broken.setattr("AnatoMaskGANLib.mrml.update_record", refused)
        paint(segmentation, "bone", stroke())
        wait(lambda: state_of(live_panel) == "failed")
    assert live_panel.ui.liveStateLabel.text == "Not up to date: no more memory"
    paint(segmentation, "bone", stroke(4))
    wait(lambda: is_up_to_date(live_panel))
    assert_whole(live_panel)


def test_the_volume_follows_its_segmentation_below_a_bent_transform(live_panel) -> None:
    parameters = live_panel._parameterNode
    before, after = vtk.vtkPoints(), vtk.vtkPoints()
    for corner in ((0, 0, 0), (40, 0, 0), (0, 40, 0), (0, 0, 24), (40, 40, 24)):
        before.InsertNextPoint(corner)
        after.InsertNextPoint(corner[0] + (5 if corner == (40, 0, 0) else 0), *corner[1:])
    bend = vtk.vtkThinPlateSplineTransform()
    bend.SetSourceLandmarks(before)
    bend.SetTargetLandmarks(after)
    bend.SetBasisToR()
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", "bent")
    transform.SetAndObserveTransformToParent(bend)
    assert not transform.IsTransformToWorldLinear()
    parameters.inputSegmentation.SetAndObserveTransformNodeID(transform.GetID())
    wait(lambda: not is_up_to_date(live_panel))
    wait(lambda: is_up_to_date(live_panel))
    assert parameters.outputVolume.GetTransformNodeID() == transform.GetID()
    parameters.inputSegmentation.SetAndObserveTransformNodeID(None)
    wait(lambda: not is_up_to_date(live_panel))
    wait(lambda: is_up_to_date(live_panel))
    assert parameters.outputVolume.GetTransformNodeID() is None
    assert_whole(live_panel)


def test_another_segmentation_gets_a_volume_of_its_own(live_panel) -> None:
    parameters = live_panel._parameterNode
    first, before = parameters.outputVolume, voxels(parameters.outputVolume)
    parameters.inputSegmentation = add_segmentation(limb(), name="Second")
    wait(lambda: not is_up_to_date(live_panel))
    wait(lambda: is_up_to_date(live_panel))
    second = parameters.outputVolume
    assert (first.GetName(), second.GetName()) == ("Case synthetic", "Second synthetic")
    np.testing.assert_array_equal(voxels(first), before)
    for volume, name in ((first, "Case"), (second, "Second")):
        assert live_panel.logic.provenance(volume)["Segmentation"] == name
        assert volume.GetNodeReference("AnatoMaskGAN.Segmentation").GetName() == name
    paint(parameters.inputSegmentation, "bone", stroke())
    wait(lambda: state_of(live_panel) == "running")
    wait(lambda: is_up_to_date(live_panel))
    assert parameters.outputVolume is second
    np.testing.assert_array_equal(voxels(first), before)
    parameters.inputSegmentation = slicer.util.getNode("Case")
    wait(lambda: not is_up_to_date(live_panel))
    wait(lambda: is_up_to_date(live_panel))
    assert parameters.outputVolume is first


def test_a_reference_volume_on_the_same_grid_is_referred_to(live_panel) -> None:
    parameters = live_panel._parameterNode
    output = parameters.outputVolume
    parameters.referenceVolume = add_volume(SHAPE_KJI)
    wait(lambda: not is_up_to_date(live_panel))
    wait(lambda: is_up_to_date(live_panel))
    assert parameters.outputVolume is output
    assert output.GetNodeReference("AnatoMaskGAN.Reference") is parameters.referenceVolume


def test_a_replaced_segmentation_object_is_followed_and_listed(live_panel) -> None:
    parameters = live_panel._parameterNode
    other = add_segmentation({"skin": limb()["skin"], "marrow": stroke()}, name="Frame")
    parameters.inputSegmentation.SetAndObserveSegmentation(other.GetSegmentation())
    wait(lambda: not is_up_to_date(live_panel))
    wait(lambda: is_up_to_date(live_panel))
    assert_whole(live_panel)
    names = [match.segmentName for match in live_panel.labelPanel.matches]
    assert names == ["skin", "marrow"]
    paint(parameters.inputSegmentation, "marrow", stroke(4))
    wait(lambda: not is_up_to_date(live_panel))
    wait(lambda: is_up_to_date(live_panel))
    assert_whole(live_panel)
    parameters.inputSegmentation.GetSegmentation().GetNthSegment(1).SetName("bone")
    wait(lambda: [match.segmentName for match in live_panel.labelPanel.matches] == ["skin", "bone"])


def test_following_goes_on_after_temporary_files_were_cleaned(live_panel) -> None:
    shutil.rmtree(live_panel.logic.backend.client._folder)
    paint(live_panel._parameterNode.inputSegmentation, "bone", stroke())
    wait(lambda: state_of(live_panel) == "running")
    wait(lambda: is_up_to_date(live_panel))
    assert_whole(live_panel)
    assert "lost its temporary files" in live_panel.ui.logText.toPlainText()


def test_a_full_disk_is_told_and_the_next_edit_begins_anew(live_panel, monkeypatch) -> None:
    def refused(label_map) -> None:
        raise OSError("No space left on device")

    segmentation = live_panel._parameterNode.inputSegmentation
    with monkeypatch.context() as full:
        full.setattr(live_panel.logic.backend.client, "update", refused)
        paint(segmentation, "bone", stroke())
        wait(lambda: state_of(live_panel) == "failed")
    assert "No space left" in live_panel.ui.liveStateLabel.text
    paint(segmentation, "bone", stroke(4))
    wait(lambda: is_up_to_date(live_panel))
    assert_whole(live_panel)


def test_several_samples_stay_beside_a_live_volume(panel_with_process) -> None:
    panel = panel_with_process
    panel.ui.inputSelector.setCurrentNode(add_segmentation(limb()))
    panel._parameterNode.samples = 2
    wait(lambda: panel.ui.synthesizeButton.enabled)
    panel.ui.synthesizeButton.click()
    samples = panel._parameterNode.outputVolume
    wait(lambda: panel.ui.liveCheckBox.enabled)
    panel.ui.liveCheckBox.click()
    wait(lambda: is_up_to_date(panel))
    live = panel._parameterNode.outputVolume
    assert live is not samples
    assert panel.logic.samplesBrowser(samples).GetNumberOfItems() == 2
    paint(panel._parameterNode.inputSegmentation, "bone", stroke())
    wait(lambda: not is_up_to_date(panel))
    wait(lambda: is_up_to_date(panel))
    assert panel._parameterNode.outputVolume is live


def test_the_volume_follows_its_reference_volume_that_is_moved(live_panel) -> None:
    parameters = live_panel._parameterNode
    reference = parameters.referenceVolume = add_volume(SHAPE_KJI)
    wait(lambda: not is_up_to_date(live_panel))
    wait(lambda: is_up_to_date(live_panel))
    shift = np.eye(4)
    shift[0, 3] = 1
    transform = add_transform(shift)
    reference.SetAndObserveTransformNodeID(transform.GetID())
    wait(lambda: not is_up_to_date(live_panel))
    wait(lambda: is_up_to_date(live_panel))
    assert parameters.outputVolume.GetTransformNodeID() == transform.GetID()
    assert_whole(live_panel)
    reference.SetOrigin(0, 2, 0)
    wait(lambda: not is_up_to_date(live_panel))
    wait(lambda: is_up_to_date(live_panel))
    assert parameters.outputVolume.GetOrigin() == (0, 2, 0)
    assert_whole(live_panel)


def test_a_volume_selected_during_the_first_run_is_the_one_that_is_filled(
    panel_with_process,
) -> None:
    panel = panel_with_process
    panel.ui.inputSelector.setCurrentNode(add_segmentation(limb()))
    wait(lambda: panel.ui.liveCheckBox.enabled)
    panel.ui.liveCheckBox.click()
    wait(lambda: state_of(panel) == "running")
    chosen = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Mine")
    panel._parameterNode.outputVolume = chosen
    wait(lambda: is_up_to_date(panel))
    assert panel._parameterNode.outputVolume is chosen
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 1
    assert_whole(panel)


def test_a_reference_volume_removed_during_a_run_leaves_no_trace(live_panel, monkeypatch) -> None:
    from AnatoMaskGANModule.synthesis import live_output

    put, references = live_output.putVolumes, []

    def recorded(made, *arguments) -> object:
        references.append(made.source.referenceVolume)
        return put(made, *arguments)

    monkeypatch.setattr(live_output, "putVolumes", recorded)
    parameters = live_panel._parameterNode
    moved_grid = np.eye(4)
    moved_grid[0, 3] = 2
    parameters.referenceVolume = add_volume(SHAPE_KJI, moved_grid)
    wait(lambda: state_of(live_panel) == "running")
    slicer.mrmlScene.RemoveNode(parameters.referenceVolume)
    wait(lambda: is_up_to_date(live_panel))
    output = parameters.outputVolume
    assert references == [None]
    assert output.GetNodeReferenceID("AnatoMaskGAN.Reference") is None
    assert output.GetOrigin() == (0, 0, 0)
    assert_whole(live_panel)


def test_what_a_script_makes_in_the_live_volume_is_not_mixed_with_it(live_panel) -> None:
    parameters, logic = live_panel._parameterNode, live_panel.logic
    output = parameters.outputVolume
    paint(parameters.inputSegmentation, "bone", stroke())
    wait(lambda: state_of(live_panel) == "running")
    logic.synthesize(parameters.inputSegmentation, output, model=parameters.model, seed=5)
    wait(lambda: is_up_to_date(live_panel) and logic.provenance(output)["Seed"] == "0")
    assert_whole(live_panel)
