"""Where a result goes, in which numbers and how it is shown, by clicks, in the stand-in host."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install .[slicer-test])")
pytest.importorskip("PySide6", reason="PySide6 is not installed (pip install .[slicer-test])")

import slicer
import slicer.util
from slicer_host.fixtures import model, module, panel, scene  # noqa: F401
from slicer_host.nodes import add_segmentation, add_volume, box
from slicer_host.pythonqt import qt
from slicer_host.user import choose, voxels, wait

SHAPE_KJI = (6, 20, 24)


@pytest.fixture
def ready_panel(panel):
    masks = {
        "skin": box(SHAPE_KJI, (0, 2, 2), (5, 17, 8)),
        "bone": box(SHAPE_KJI, (1, 4, 10), (4, 15, 20)),
    }
    panel.ui.inputSelector.setCurrentNode(add_segmentation(masks))
    wait(lambda: panel.ui.synthesizeButton.enabled)
    return panel


def synthesize(panel):
    panel.ui.synthesizeButton.click()
    assert "Made" in panel.ui.statusLabel.text, panel.ui.statusLabel.text
    return panel._parameterNode.outputVolume


def num_volumes() -> int:
    return slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")


def test_each_run_fills_the_selected_volume_or_makes_a_new_one(ready_panel) -> None:
    first = synthesize(ready_panel)
    assert synthesize(ready_panel) is first and num_volumes() == 1
    choose(ready_panel.ui.outputModeComboBox, "Always a new volume")
    second = synthesize(ready_panel)
    assert second is not first and num_volumes() == 2
    assert ready_panel.ui.outputSelector.currentNode() is second


def test_several_samples_become_a_sequence_whose_samples_are_chosen_by_seed(ready_panel) -> None:
    panel = ready_panel
    panel.ui.samplesSpinBox.value = 3
    panel.ui.seedSpinBox.value = 7
    output = synthesize(panel)
    assert num_volumes() == 1
    chooser = panel.ui.sampleComboBox
    assert chooser.visible
    assert [chooser.itemText(number) for number in range(chooser.count)] == ["7", "8", "9"]
    first = voxels(output)
    choose(chooser, "9")
    assert panel.logic.provenance(output)["Seed"] == "9"
    assert (voxels(output) != first).any()
    choose(chooser, "7")
    np.testing.assert_array_equal(voxels(output), first)
    panel.ui.samplesSpinBox.value = 1
    synthesize(panel)
    assert not chooser.visible


def test_several_samples_become_a_volume_each_when_that_is_chosen(ready_panel) -> None:
    choose(ready_panel.ui.manySamplesComboBox, "One volume for each sample")
    ready_panel.ui.samplesSpinBox.value = 3
    output = synthesize(ready_panel)
    nodes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    assert [ready_panel.logic.provenance(node)["Seed"] for node in nodes] == ["0", "1", "2"]
    assert [node.GetName().split(", ")[-1] for node in nodes] == ["seed 0", "seed 1", "seed 2"]
    assert output is nodes[0]
    assert slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSequenceNode") is None


def test_card_and_license_of_the_model_are_in_sight(ready_panel) -> None:
    label = ready_panel.ui.modelInfoLabel
    assert label.visible and label.text == "Random weights, for tests. MIT."
    assert "<b>Not for:</b> anything but tests" in label.toolTip


def test_without_noise_every_seed_makes_the_one_same_image(ready_panel) -> None:
    panel = ready_panel
    panel.ui.noiseStrengthSlider.value = 0.0
    first = voxels(synthesize(panel))
    panel.ui.seedSpinBox.value = 8
    np.testing.assert_array_equal(voxels(synthesize(panel)), first)
    panel.ui.noiseStrengthSlider.value = 1.0
    assert (voxels(synthesize(panel)) != first).any()


def test_the_line_below_the_bar_tells_what_is_done_and_how_long_it_will_take(ready_panel) -> None:
    panel, told = ready_panel, []
    panel.ui.progressBar.valueChanged.connect(lambda _: told.append(panel.ui.statusLabel.text))
    panel.ui.samplesSpinBox.value = 2
    synthesize(panel)
    assert any(line.startswith("Slice 2 of ") for line in told), told
    assert any(line.endswith(" s left") for line in told), told


def test_the_noise_length_reaches_the_volume_and_its_record(ready_panel) -> None:
    panel = ready_panel
    first = voxels(synthesize(panel))
    panel.ui.noiseLengthSlider.value = 2.0
    output = synthesize(panel)
    assert (voxels(output) != first).any()
    assert panel.logic.provenance(output)["NoiseLengthScale"] == "2.0"
    panel.ui.noiseLengthSlider.value = 1.0
    again = panel.logic.makeAgain(output)  # by its record, not by what is set
    np.testing.assert_array_equal(voxels(again), voxels(output))


def test_intensities_from_0_to_1_are_the_share_of_the_models_window(ready_panel) -> None:
    panel = ready_panel
    in_units = voxels(synthesize(panel))
    choose(panel.ui.intensitiesComboBox, "0 to 1 (fraction of the model's window)")
    choose(panel.ui.outputModeComboBox, "Always a new volume")
    output = synthesize(panel)
    np.testing.assert_allclose(voxels(output), in_units / 200, atol=1e-6)  # the window is 0 to 200
    display = output.GetScalarVolumeDisplayNode()
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (0, 1)
    assert panel.logic.provenance(output)["Intensities"] == "window"
    again = panel.logic.makeAgain(output)
    np.testing.assert_array_equal(voxels(again), voxels(output))
    scan = slicer.util.addVolumeFromArray(in_units, np.eye(4), "Scan")
    figures = panel.logic.compare(output, scan).figures
    assert figures["mae_foreground"] == pytest.approx(0, abs=1e-3)
    assert "0 to 200" in panel.ui.unitLabel.text


def test_other_intensities_in_the_same_volume_are_shown_by_their_own_window(ready_panel) -> None:
    panel = ready_panel
    display = synthesize(panel).GetScalarVolumeDisplayNode()
    display.SetWindowLevelMinMax(20, 40)
    choose(panel.ui.intensitiesComboBox, "0 to 1 (fraction of the model's window)")
    synthesize(panel)
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (0, 1)
    display.SetWindowLevelMinMax(0.2, 0.4)
    synthesize(panel)
    assert display.GetWindowLevelMax() == pytest.approx(0.4)
    choose(panel.ui.intensitiesComboBox, "Same as the model's training scans")
    synthesize(panel)
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (0, 200)


def test_a_new_volume_is_shown_as_chosen_and_later_as_the_user_set_it(ready_panel) -> None:
    panel = ready_panel
    scan = add_volume(SHAPE_KJI)
    scan.CreateDefaultDisplayNodes()
    scan.GetScalarVolumeDisplayNode().AutoWindowLevelOff()
    scan.GetScalarVolumeDisplayNode().SetWindowLevel(77, 33)
    panel.ui.referenceSelector.setCurrentNode(scan)
    choose(panel.ui.displayPresetComboBox, "Same as the reference volume")
    display = synthesize(panel).GetScalarVolumeDisplayNode()
    assert (display.GetWindow(), display.GetLevel()) == (77, 33)
    display.SetWindowLevel(5, 6)
    synthesize(panel)
    assert (display.GetWindow(), display.GetLevel()) == (5, 6)


def test_a_preset_for_ct_is_not_used_for_a_model_without_hounsfield_units(ready_panel) -> None:
    choose(ready_panel.ui.displayPresetComboBox, "Preset CT ABDOMEN")
    display = synthesize(ready_panel).GetScalarVolumeDisplayNode()
    assert "is for Hounsfield units" in ready_panel.ui.statusLabel.text
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (0, 200)


def test_memory_and_device_are_told_before_the_run(ready_panel, monkeypatch) -> None:
    from AnatoMaskGANModule.models import memory_advice

    panel = ready_panel
    choose(panel.ui.deviceComboBox, "CPU")
    panel.updateFromScene()
    assert "Runs on the CPU, with up to" in panel.ui.deviceAdviceLabel.text
    monkeypatch.setattr(memory_advice, "freeMemory", lambda device: 2**28)
    panel.updateFromScene()
    assert "Close other programs" in panel.ui.deviceAdviceLabel.text
    huge = lambda segmentation, card: (400, 40_000, 40_000)  # noqa: E731
    monkeypatch.setattr(memory_advice, "regionShape", huge)
    panel.updateFromScene()
    assert "choose fewer segments, or a reference volume" in panel.ui.deviceAdviceLabel.text
    assert panel.ui.synthesizeButton.enabled  # advice, not a rule


def test_a_device_that_is_not_there_is_told_before_the_run(ready_panel, monkeypatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    choose(ready_panel.ui.deviceComboBox, "NVIDIA GPU (CUDA)")
    ready_panel.updateFromScene()
    assert "'cuda' does not exist" in ready_panel.ui.deviceAdviceLabel.text


def test_the_log_holds_what_was_made_and_can_be_copied(ready_panel) -> None:
    assert ready_panel.ui.logCollapsibleButton.collapsed
    synthesize(ready_panel)
    assert "synthesis: Made 'Case synthetic'" in ready_panel.ui.logText.toPlainText()
    ready_panel.ui.copyLogButton.click()
    assert "Made 'Case synthetic'" in qt.QApplication.clipboard().text()


@pytest.mark.parametrize(
    ("seconds", "share", "words"),
    [(5, 0.04, None), (10, 0.5, "10 s"), (60, 0.1, "9 min"), (3600, 0.25, "3 h 0 min")],
)
def test_the_time_that_is_left_follows_from_the_done_share(seconds, share, words) -> None:
    from AnatoMaskGANModule.host.status import inWords, remainingSeconds

    left = remainingSeconds(seconds, share)
    assert (None if left is None else inWords(left)) == words
