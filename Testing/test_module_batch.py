"""A folder of segmentations from the panel, by clicks, in the stand-in host."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install .[slicer-test])")
pytest.importorskip("PySide6", reason="PySide6 is not installed (pip install .[slicer-test])")

import psutil  # noqa: E402
import slicer  # noqa: E402
from slicer_host.fixtures import model, module, panel, scene  # noqa: E402, F401

from AnatoMaskGANLib.commands.manifest import read_records  # noqa: E402
from AnatoMaskGANLib.volumes import (  # noqa: E402
    LabelMap,
    read_label_map,
    read_volume,
    same_grid,
    write_label_map,
)

IJK_TO_RAS = np.diag([-2.0, -2.0, 2.0, 1.0])


def wait(until: Callable[[], bool], seconds: float = 240) -> None:
    """Let the window work until something is so."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not until():
        slicer.app.processEvents()
        time.sleep(0.01)
    assert until()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two good segmentations and a damaged one between them."""
    labels_kji = np.zeros((12, 16, 16), dtype=np.uint8)
    labels_kji[2:10, 2:14, 2:14] = 1
    labels_kji[4:8, 5:11, 5:11] = 2
    folder = tmp_path / "segmentations"
    folder.mkdir()
    names = {1: "skin", 2: "bone"}
    write_label_map(LabelMap(labels_kji, IJK_TO_RAS, names), folder / "a.seg.nrrd")
    shutil.copy(folder / "a.seg.nrrd", folder / "c.seg.nrrd")
    (folder / "b.seg.nrrd").write_bytes((folder / "a.seg.nrrd").read_bytes()[:250])
    return folder


@pytest.fixture
def ready(panel, folder: Path, tmp_path: Path):
    panel.ui.batchInputEdit.setText(str(folder))
    panel.ui.batchOutputEdit.setText(str(tmp_path / "volumes"))
    return panel


def run(panel) -> None:
    panel.ui.batchStartButton.click()
    assert panel.ui.batchCancelButton.enabled and not panel.ui.batchStartButton.enabled
    wait(lambda: panel.ui.batchStartButton.enabled)


def rows(panel) -> list[list[str]]:
    table = panel.ui.batchTable
    return [
        [table.item(row, column).text() for column in range(2)] for row in range(table.rowCount)
    ]


def test_a_click_makes_a_volume_of_each_segmentation_and_says_what_failed(
    ready, folder: Path, tmp_path: Path
) -> None:
    values = []
    ready.ui.batchProgressBar.valueChanged.connect(values.append)
    ready.ui.seedSpinBox.value = 7
    run(ready)
    first, bad, last = rows(ready)
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
    assert "was made already" in ready.ui.logText.toPlainText()


def test_a_cancelled_batch_ends_its_process_and_the_next_one_goes_on(
    ready, folder: Path, tmp_path: Path
) -> None:
    ready._parameterNode.samples = 100
    ready.ui.batchStartButton.click()
    batch = ready.workPanels.batch
    process = psutil.Process(batch.job._process.processID)
    wait(lambda: any((tmp_path / "volumes").glob("*.nrrd")))
    ready.ui.batchCancelButton.click()
    assert ready.ui.batchStateLabel.text.startswith("Cancelling")
    wait(lambda: ready.ui.batchStartButton.enabled)
    assert not process.is_running()
    assert ready.ui.batchStateLabel.text.startswith("Cancelled: 0 of 3 done")
    assert rows(ready)[0][1] == "not finished"
    assert not list((tmp_path / "volumes").glob(".*"))


def test_a_process_that_dies_is_told(ready) -> None:
    ready._parameterNode.samples = 100
    ready.ui.batchStartButton.click()
    batch = ready.workPanels.batch
    wait(lambda: bool(batch.job.cases))
    os.kill(batch.job._process.processID, signal.SIGKILL)
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
        ("empty", "volumes", "holds no volume file"),
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
    batch = ready.workPanels.batch
    wait(lambda: bool(batch.job.cases))
    process = psutil.Process(batch.job._process.processID)
    ready.cleanup()
    assert not process.is_running()
