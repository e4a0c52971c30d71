"""A model trained from the panel, by clicks, in the stand-in host. The host is not Slicer."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import yaml

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install .[slicer-test])")
pytest.importorskip("PySide6", reason="PySide6 is not installed (pip install .[slicer-test])")

import psutil
import slicer
import slicer.util
from slicer_host import window
from slicer_host.fixtures import module, panel, scene  # noqa: F401
from slicer_host.nodes import add_segmentation, add_volume, box
from slicer_host.user import wait
from tiny_archives import case_folders
from tiny_runs import tiny_run_values

from AnatoMaskGANLib.volumes import read_label_map, read_volume

SHAPE_KJI = (20, 24, 24)
CARD = {"Name": "boxes", "TrainingData": "generated boxes", "Licence": "MIT"}


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The bundled model; the folder of installed ones is empty."""
    monkeypatch.setenv("ANATOMASKGAN_MODELS", str(tmp_path / "models"))
    return "brain-t1"


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    return case_folders(tmp_path / "cases")


@pytest.fixture
def settings_file(tmp_path: Path) -> Path:
    """Networks of a few hundred weights."""
    changes = {"data": {"crop": [16, 16]}, "checkpoint_every": 4, "sheet_every": 8}
    values = tiny_run_values(Path("unused"), Path("unused"), **changes)
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.fixture
def ready(panel, cases: Path, settings_file: Path, tmp_path: Path):
    """The section of training, ready for a start of two epochs."""
    fill(panel, cases, settings_file, tmp_path / "training")
    return panel


def fill(panel, cases: Path, settings_file: Path, folder: Path) -> None:
    ui = panel.ui
    ui.trainCollapsibleButton.collapsed = False
    ui.trainCasesEdit.setText(str(cases))
    ui.trainFolderEdit.setText(str(folder))
    ui.trainPresetComboBox.setCurrentIndex(3)
    ui.trainSettingsEdit.setText(str(settings_file))
    ui.trainLengthUnitComboBox.setCurrentIndex(1)
    ui.trainLengthSpinBox.setValue(2)


def wait_for_end(panel) -> str:
    wait(lambda: not panel.trainPanel.isRunning)
    return panel.ui.trainStateLabel.text


def is_stepping(panel) -> bool:
    return "Step " in panel.ui.trainStateLabel.text


def process_of(panel) -> psutil.Process:
    return psutil.Process(panel.trainPanel.job._process._process.pid)


def test_two_epochs_are_trained_shown_and_installed_as_a_model(
    ready, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ui = ready.ui
    assert not ui.trainCurvesLabel.visible and not ui.trainInstallButton.enabled
    ui.trainStartButton.click()
    assert not ui.trainStartButton.enabled and ui.trainStopButton.enabled
    wait(lambda: is_stepping(ready))
    assert ui.trainProgressBar.visible
    assert wait_for_end(ready) == "Trained 16 steps."  # 2 cases of 16 labeled slices, 4 a step
    assert not ui.trainProgressBar.visible and ui.trainStartButton.enabled
    assert ui.trainCurvesLabel.visible and not ui.trainCurvesLabel.pixmap.isNull()
    sheets = [ui.trainSheetComboBox.itemText(n) for n in range(ui.trainSheetComboBox.count)]
    assert sheets == ["step 8", "step 16"]
    assert ui.trainSheetComboBox.currentText == "step 16"
    assert not ui.trainSheetPicture.pixmap.isNull()
    assert "1 validation, 1 test" in ui.logText.toPlainText()

    ui.trainInstallButton.click()
    assert ui.trainStateLabel.text == "Give the model a name."
    for name, told in (
        ("brain-t1", "brain-t1 is the name of a bundled model; choose another."),
        (
            "boxes",
            "Say on which data the model was trained: the card of the model must contain it.",
        ),
    ):
        ui.trainModelNameEdit.setText(name)
        ui.trainInstallButton.click()
        assert ui.trainStateLabel.text == told
    for field, text in CARD.items():
        edit = ui.trainModelNameEdit if field == "Name" else getattr(ui, f"train{field}Edit")
        edit.setText(text)
    ui.trainInstallButton.click()
    wait(lambda: ui.trainStateLabel.text == "Installed the model boxes.")
    wait(lambda: ui.modelComboBox.currentText == "boxes")
    segmentation = add_segmentation({"heart": box(SHAPE_KJI, (4, 4, 4), (15, 19, 19))})
    volume = ready.logic.synthesize(segmentation, model="boxes")
    assert np.isfinite(slicer.util.arrayFromVolume(volume)).all()
    assert "generated boxes" in (tmp_path / "models" / "boxes" / "card.md").read_text()

    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda *texts: True)
    ui.trainTrainingDataEdit.setText("the same boxes")
    ui.trainInstallButton.click()
    wait(lambda: ui.trainInstallButton.enabled)
    assert ui.trainStateLabel.text == "Installed the model boxes."
    assert "the same boxes" in (tmp_path / "models" / "boxes" / "card.md").read_text()


def test_a_check_tells_what_a_run_will_need_and_trains_nothing(ready, tmp_path: Path) -> None:
    ready.ui.trainCheckButton.click()
    text = wait_for_end(ready)
    assert "cases: 2 train, 1 validation, 1 test" in text
    assert "memory" in text and "time per epoch" in text
    assert not (tmp_path / "training" / "run" / "latest.safetensors").exists()
    assert not ready.ui.trainInstallButton.enabled


def test_a_scene_keeps_the_choices_but_none_that_could_run_a_program_or_go_on_alone(
    ready,
    cases: Path,
    tmp_path: Path,
) -> None:
    ui = ready.ui
    ui.batchInputEdit.setText(str(cases))
    ui.trainHeldOutComboBox.setCurrentIndex(2)
    ui.trainModelNameEdit.setText("mine")
    ui.trainFurtherEdit.setText("validation.extractor=program.pt")
    ui.trainGoesOnCheckBox.setChecked(True)
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"), {})
    slicer.mrmlScene.Clear(0)
    ui.trainGoesOnCheckBox.setChecked(False)
    for edit in (ui.trainSettingsEdit, ui.trainFurtherEdit):
        edit.setText("")
    assert (ui.trainFolderEdit.text, ui.batchInputEdit.text) == ("", "")
    slicer.util.loadNodeFromFile(str(tmp_path / "scene.mrb"), "SceneFile", {"clear": True})
    assert ui.trainFolderEdit.text == str(tmp_path / "training")
    assert ui.batchInputEdit.text == ui.trainCasesEdit.text == str(cases)
    assert (ui.trainLengthSpinBox.value, ui.trainHeldOutComboBox.currentIndex) == (2, 2)
    assert ui.trainModelNameEdit.text == "mine"
    assert not ui.trainGoesOnCheckBox.checked
    assert (ui.trainSettingsEdit.text, ui.trainFurtherEdit.text) == ("", "")


def test_the_log_can_be_copied_and_emptied(panel) -> None:
    panel.log.add("training", "step 1")
    panel.ui.copyLogButton.click()
    assert slicer.util.mainWindow() is not None
    assert "training: step 1" in panel.ui.logText.toPlainText()
    panel.ui.clearLogButton.click()
    assert panel.ui.logText.toPlainText() == ""


@pytest.mark.slow
def test_a_stopped_a_killed_and_a_closed_scenes_training_go_on(ready, tmp_path: Path) -> None:
    ui = ready.ui
    ui.trainLengthSpinBox.setValue(10_000)
    ui.trainStartButton.click()
    wait(lambda: is_stepping(ready))
    slicer.mrmlScene.Clear(0)
    slicer.app.processEvents()
    ready.trainPanel.start()  # a second one
    assert "A training is running" in ui.trainStateLabel.text
    wait(lambda: is_stepping(ready))
    ui.trainStopButton.click()
    text = wait_for_end(ready)
    assert text.startswith("Stopped at step ") and "continues from there" in text
    reached = ready.trainPanel.job.step

    fill(ready, tmp_path / "cases", tmp_path / "run.yaml", tmp_path / "training")
    ui.trainLengthSpinBox.setValue(10_000)
    ui.trainStartButton.click()
    wait(lambda: is_stepping(ready))
    assert ready.trainPanel.job.step > reached  # not from the first step
    process_of(ready).kill()
    assert "ended unexpectedly" in wait_for_end(ready)
    assert "checkpoint" in ui.trainStateLabel.text and ui.trainStartButton.enabled


@pytest.mark.slow
def test_a_training_ends_with_the_module_unless_the_user_said_otherwise(
    ready,
    module,
    cases: Path,
    settings_file: Path,
    tmp_path: Path,
) -> None:
    ready.ui.trainLengthSpinBox.setValue(10_000)
    ready.ui.trainStartButton.click()
    wait(lambda: is_stepping(ready))
    process = process_of(ready)
    ready.cleanup()
    assert not process.is_running()

    window.close_module(slicer.modules.anatomaskgan)
    again = window.show_module(window.load_module(module.__file__))
    fill(again, cases, settings_file, tmp_path / "training")
    again.ui.trainLengthSpinBox.setValue(10_000)
    again.ui.trainStartButton.click()
    wait(lambda: is_stepping(again))
    process = process_of(again)
    again.ui.trainGoesOnCheckBox.click()
    window.close_module(slicer.modules.anatomaskgan)
    assert process.is_running()

    later = window.show_module(window.load_module(module.__file__))
    wait(lambda: later.trainPanel.isRunning)  # found in the folder that the scene names
    wait(lambda: is_stepping(later))
    assert later.ui.trainCurvesLabel.pixmap is not None
    later.ui.trainStopButton.click()
    assert wait_for_end(later).startswith("Stopped at step ")
    process.wait(10)


def test_a_process_that_dies_while_it_prepares_is_told(ready) -> None:
    ready.ui.trainStartButton.click()
    os.kill(ready.trainPanel.job._process._process.pid, signal.SIGKILL)
    assert "The training did not start" in wait_for_end(ready)


def test_an_empty_folder_of_cases_is_told_with_what_is_looked_for(ready, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    ready.ui.trainCasesEdit.setText(str(tmp_path / "empty"))
    ready.ui.trainStartButton.click()
    text = wait_for_end(ready)
    assert "The training did not start" in text and "contains no case" in text and "image.*" in text


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"trainFolder": ""}, "Choose the training folder"),
        ({"trainCases": ""}, "Choose the folder of cases"),
        ({"trainCases": "nowhere"}, "There is no folder"),
        ({"trainSettings": "nowhere.yaml"}, "Choose the settings file"),
        ({"trainWindow": "100 to 50"}, "two numbers"),
        ({"trainFurther": "fast"}, "NAME=VALUE"),
        ({"trainFolder": "a-file"}, "File exists"),
    ],
)
def test_what_cannot_be_trained_is_told_before_anything_starts(
    ready, tmp_path: Path, changes: dict[str, str], told: str
) -> None:
    (tmp_path / "a-file").write_text("")
    for name, text in changes.items():
        is_path = text and name in ("trainFolder", "trainCases", "trainSettings")
        getattr(ready.ui, f"{name}Edit").setText(str(tmp_path / text) if is_path else text)
    ready.ui.trainStartButton.click()
    assert told in ready.ui.trainStateLabel.text
    assert not ready.trainPanel.isRunning


def test_a_folder_that_cannot_be_written_is_told(ready, tmp_path: Path) -> None:
    if os.name == "nt" or os.geteuid() == 0:
        folder = Path("/proc/anatomaskgan")
        if not Path("/proc").is_dir():
            pytest.skip("this user may write everywhere")
    else:
        folder = tmp_path / "read-only" / "training"
        folder.parent.mkdir()
        folder.parent.chmod(0o500)
    ready.ui.trainFolderEdit.setText(str(folder))
    ready.ui.trainStartButton.click()
    assert str(folder) in ready.ui.trainStateLabel.text
    assert not ready.trainPanel.isRunning


def test_cases_of_the_scene_are_written_on_the_grid_of_their_scans(
    panel,
    tmp_path: Path,
) -> None:
    ui = panel.ui
    ui.trainSourceComboBox.setCurrentIndex(1)
    ui.trainFolderEdit.setText(str(tmp_path / "training"))
    ui.trainStartButton.click()
    assert "Tick at least one segmentation" in ui.trainStateLabel.text
    ijk_to_ras = np.diag([1.0, 1.0, 2.0, 1.0])
    masks = {"heart": box(SHAPE_KJI, (4, 4, 4), (15, 19, 19))}
    first = add_segmentation(masks, ijk_to_ras, "Patient 1 segmentation")
    add_segmentation(masks, ijk_to_ras, "Patient 2 segmentation")
    volumes = [add_volume(SHAPE_KJI, ijk_to_ras, f"Patient {n} scan") for n in (2, 1)]
    add_volume(SHAPE_KJI, ijk_to_ras, "Patient 1 synthetic")
    wait(lambda: ui.trainPairsTable.rowCount == 2)
    choosers = [ui.trainPairsTable.cellWidget(row, 1) for row in range(2)]
    assert [chooser.currentText for chooser in choosers] == ["Patient 1 scan", "Patient 2 scan"]
    assert choosers[0].count == 3  # synthetic volumes are no scans

    choosers[0].setCurrentIndex(0)
    ui.trainStartButton.click()
    assert "Select the scan of 'Patient 1 segmentation'" in ui.trainStateLabel.text
    choosers[0].setCurrentIndex(2)
    item = ui.trainPairsTable.item(1, 0)
    item.setCheckState(item.checkState().Unchecked)
    slicer.util.arrayFromVolume(volumes[1])[:] = 7
    (pair,) = panel.trainPanel.pairs.pairs()
    assert (pair.segmentationNode, pair.volumeNode) == (first, volumes[1])
    ui.trainStartButton.click()
    case = tmp_path / "training" / "cases" / "Patient-1-segmentation"
    written = read_label_map(case / "seg.nii.gz")
    assert list(written.names.values()) == ["heart"]
    np.testing.assert_allclose(written.ijk_to_ras, ijk_to_ras)
    assert (read_volume(case / "image.nii").voxels_kji == 7).all()
    assert len(list(case.parent.iterdir())) == 1
    # one subject cannot be held out and trained on
    assert "There is one subject for 3 splits" in wait_for_end(panel)
