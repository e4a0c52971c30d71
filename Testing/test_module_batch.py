"""A folder of segmentations from the panel, by clicks, in the stand-in host."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install .[slicer-test])")
pytest.importorskip("PySide6", reason="PySide6 is not installed (pip install .[slicer-test])")

import psutil
from segmentation_files import write_damaged_folder
from slicer_host.fixtures import model, module, panel, scene  # noqa: F401
from slicer_host.user import table_rows, wait

from AnatoMaskGANLib.commands.manifest import read_records
from AnatoMaskGANLib.volumes import read_label_map, read_volume, same_grid


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two good segmentations and a damaged one between them."""
    return write_damaged_folder(tmp_path / "segmentations")


@pytest.fixture
def ready(panel, folder: Path, tmp_path: Path):
    panel.ui.batchInputEdit.setText(str(folder))
    panel.ui.batchOutputEdit.setText(str(tmp_path / "volumes"))
    return panel


def run(panel) -> None:
    panel.ui.batchStartButton.click()
    assert panel.ui.batchCancelButton.enabled and not panel.ui.batchStartButton.enabled
    wait(lambda: panel.ui.batchStartButton.enabled)


def test_a_click_makes_a_volume_of_each_segmentation_and_says_what_failed(
    ready, folder: Path, tmp_path: Path
) -> None:
    values = []
    ready.ui.batchProgressBar.valueChanged.connect(values.append)
    ready.ui.seedSpinBox.value = 7
    run(ready)
    first, bad, last = table_rows(ready.ui.batchTable)
    assert first == ["a.seg.nrrd", "done"] and last == ["c.seg.nrrd", "done"]
    assert bad[0] == "b.seg.nrrd" and "b.seg.nrrd" in bad[1]
    assert ready.ui.batchStateLabel.text.startswith("2 of 3 done, 1 failed")
    assert values == sorted(values) and values[-1] == 100
    volume = read_volume(tmp_path / "volumes" / "a_synthetic.nrrd")
    assert same_grid(volume, read_label_map(folder / "a.seg.nrrd"))
    records = read_records(tmp_path / "volumes" / "manifest.jsonl")
    assert [record["status"] for record in records] == ["done", "failed", "done"]
    assert {record.get("seed") for record in records} == {7}


def test_what_is_done_is_not_made_again(ready, folder: Path, tmp_path: Path) -> None:
    (folder / "b.seg.nrrd").unlink()
    run(ready)
    target = tmp_path / "volumes" / "a_synthetic.nrrd"
    changed = target.stat().st_mtime_ns
    run(ready)
    assert ready.ui.batchStateLabel.text.startswith("2 of 2 done.")
    assert target.stat().st_mtime_ns == changed
    assert "is already there and up to date" in ready.ui.logText.toPlainText()


def test_a_cancelled_batch_ends_its_process_and_the_next_one_goes_on(
    ready, folder: Path, tmp_path: Path
) -> None:
    ready._parameterNode.samples = 100
    ready.ui.batchStartButton.click()
    batch = ready.batchPanel
    process = psutil.Process(batch.job._process._process.pid)
    wait(lambda: any((tmp_path / "volumes").glob("*.nrrd")))
    ready.ui.batchCancelButton.click()
    assert ready.ui.batchStateLabel.text.startswith("Cancelling")
    wait(lambda: ready.ui.batchStartButton.enabled)
    assert not process.is_running()
    assert ready.ui.batchStateLabel.text.startswith("Cancelled: 0 of 3 done")
    assert table_rows(ready.ui.batchTable)[0][1] == "not finished"
    assert not list((tmp_path / "volumes").glob(".*"))


def test_a_process_that_dies_is_told(ready) -> None:
    ready._parameterNode.samples = 100
    ready.ui.batchStartButton.click()
    batch = ready.batchPanel
    wait(lambda: bool(batch.job.cases))
    os.kill(batch.job._process._process.pid, signal.SIGKILL)
    wait(lambda: ready.ui.batchStartButton.enabled)
    assert "ended unexpectedly" in ready.ui.batchStateLabel.text


@pytest.mark.parametrize(
    ("input_folder", "output_folder", "told"),
    [
        ("", "volumes", "Choose the folder of segmentations"),
        ("nowhere", "volumes", "There is no folder"),
        ("segmentations", "", "Choose the folder for the volumes"),
        ("segmentations", "segmentations/volumes", "outside"),
        ("segmentations", "a-file", "File exists"),
        ("empty", "volumes", "contains no volume file"),
    ],
)
def test_folders_that_cannot_be_used_are_told_in_the_panel(
    panel, folder: Path, tmp_path: Path, input_folder: str, output_folder: str, told: str
) -> None:
    (tmp_path / "a-file").write_text("")
    (tmp_path / "empty").mkdir()
    for edit, name in (
        (panel.ui.batchInputEdit, input_folder),
        (panel.ui.batchOutputEdit, output_folder),
    ):
        edit.setText(str(tmp_path / name) if name else "")
    panel.ui.batchStartButton.click()
    wait(lambda: panel.ui.batchStartButton.enabled)
    assert told in panel.ui.batchStateLabel.text


def test_the_batch_ends_with_the_module(ready) -> None:
    ready._parameterNode.samples = 100
    ready.ui.batchStartButton.click()
    batch = ready.batchPanel
    wait(lambda: bool(batch.job.cases))
    process = psutil.Process(batch.job._process._process.pid)
    ready.cleanup()
    assert not process.is_running()
