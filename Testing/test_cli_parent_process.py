"""The program as another one starts it: told of in JSON lines, stopped when its input ends."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from tiny_runs import tiny_run_values, write_tiny_store

from AnatoMaskGANLib.training.one_training import training_process
from AnatoMaskGANLib.volumes import LabelMap, write_label_map

REPOSITORY = Path(__file__).resolve().parents[1]


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "AnatoMaskGANLib.cli", *map(str, arguments), "--attached"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=REPOSITORY, env={**os.environ}, text=True, **pipes)


def output_of(process: subprocess.Popen[str]) -> tuple[str, str]:
    """What it prints until its end; its input stays open."""
    texts = process.stdout.read(), process.stderr.read()
    process.wait(60)
    return texts


def events_of(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def test_a_batch_tells_each_case_and_what_became_of_it(tiny_model: Path, tmp_path: Path) -> None:
    labels = np.zeros((6, 16, 16), dtype=np.uint8)
    labels[1:5, 2:14, 2:14] = 1
    folder = tmp_path / "label-maps"
    folder.mkdir()
    write_label_map(LabelMap(labels, np.diag([2.0, 2.0, 2.0, 1.0])), folder / "a.nii.gz")
    shutil.copy(folder / "a.nii.gz", folder / "c.nii.gz")
    (folder / "b.nii.gz").write_bytes(b"no image")
    more = ("--model", tiny_model, "--labels", "model")
    process = start("synthesize", folder, "--output", tmp_path / "out", *more)
    out, err = output_of(process)
    assert process.returncode == 1
    events = events_of(out)
    assert events[0] == {"event": "batch", "cases": 3}
    kinds = [(event["event"], event["number"]) for event in events if event["event"] != "batch"]
    assert [kind for kind in kinds if kind[0] != "share"] == [
        ("case", 0),
        ("done", 0),
        ("case", 1),
        ("failed", 1),
        ("case", 2),
        ("done", 2),
    ]
    shares = [event["share"] for event in events if event["event"] == "share"]
    assert shares and 0 <= min(shares) <= max(shares) <= 1
    (failed,) = [event for event in events if event["event"] == "failed"]
    assert "b.nii.gz" in failed["name"] and failed["error"] in err
    assert "event" not in err


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A run that would go on for hours."""
    store = write_tiny_store(tmp_path / "store")
    values = tiny_run_values(store, tmp_path / "run", optimizer={"steps": 100_000})
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def first_step(process: subprocess.Popen[str]) -> None:
    for line in process.stdout:
        if line.startswith("{") and json.loads(line)["event"] == "step":
            return
    raise AssertionError(process.stderr.read())


def test_a_training_ends_with_the_program_that_started_it_and_keeps_its_last_step(
    config: Path,
) -> None:
    process = start("train", "--config", config, "--device", "cpu", "--progress", "json")
    first_step(process)
    run = config.parent / "run"
    assert training_process(run) == process.pid
    second = start("train", "--config", config, "--device", "cpu", "--progress", "json")
    assert "Another training is writing" in output_of(second)[1]
    assert second.returncode == 1
    process.stdin.close()
    rest = events_of(process.stdout.read())
    assert process.wait(60) == 130
    assert rest[-1]["event"] == "checkpoint"
    assert training_process(run) is None


def test_a_training_that_may_go_on_is_not_stopped_by_the_end_of_its_input(config: Path) -> None:
    process = start("train", "--config", config, "--device", "cpu", "--progress", "json")
    first_step(process)
    process.stdin.write("go on\n")
    process.stdin.close()
    for _ in range(5):
        first_step(process)
    assert process.poll() is None
    process.terminate()
    output_of(process)
    assert process.returncode == 130


def test_a_run_whose_folder_cannot_be_written_is_refused_in_one_line(config: Path) -> None:
    (config.parent / "run").write_text("a file where the folder should be")
    process = start("train", "--config", config, "--device", "cpu")
    error = output_of(process)[1]
    assert process.returncode == 1
    assert "cannot be written" in error.splitlines()[-1]
