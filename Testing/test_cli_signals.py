"""How the command line ends when it is told to, or when nobody reads it any more."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from tiny_models import label_map_of, random_labels, write_tiny_model
from tiny_runs import tiny_run, tiny_run_values, write_tiny_store

from AnatoMaskGANLib.cli import main
from AnatoMaskGANLib.commands.manifest import read_records
from AnatoMaskGANLib.training import loop
from AnatoMaskGANLib.training.checkpoints import read_tensors
from AnatoMaskGANLib.training.loop import Interrupts, _Reporter
from AnatoMaskGANLib.volumes import write_label_map

REPOSITORY = Path(__file__).resolve().parents[1]
PROGRAM = [sys.executable, "-m", "AnatoMaskGANLib.start"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}


def start(*arguments: str, **more: Any) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [*PROGRAM, *arguments], stdout=pipe, stderr=pipe, text=True, env=ENVIRONMENT, **more
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_command_in_one_line_with_its_number(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    def hear(*_: object) -> list:
        signal.raise_signal(number)
        return []

    monkeypatch.setattr("AnatoMaskGANLib.synthesis.list_models", hear)
    assert main(["models", "list"]) == 128 + number
    assert capsys.readouterr().err == f"anatomaskgan: error: stopped by {number.name}\n"
    assert signal.getsignal(number) == signal.SIG_DFL


def test_an_ignored_hangup_stays_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "AnatoMaskGANLib.synthesis.list_models", lambda: signal.raise_signal(signal.SIGHUP) or []
    )
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert main(["models", "list"]) == 0
        with Interrupts() as interrupts:
            signal.raise_signal(signal.SIGHUP)
        assert not interrupts.came
    finally:
        signal.signal(signal.SIGHUP, before)


def test_ctrl_c_while_the_program_loads_leaves_no_traceback(tmp_path: Path) -> None:
    """A module of the program's that is found first interrupts it as it is imported."""
    (tmp_path / "jsonargparse.py").write_text("raise KeyboardInterrupt\n")
    environment = ENVIRONMENT | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{REPOSITORY}"}
    command = [*PROGRAM, "models", "list"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 130
    assert ended.stderr == "anatomaskgan: error: interrupted\n"


def test_a_closed_pipe_ends_a_batch_quietly_and_keeps_what_is_done(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "model")
    for number in range(6):
        folder = tmp_path / "cases" / f"sub-{number}"
        folder.mkdir(parents=True)
        label_map = label_map_of(random_labels((3, 12, 12), seed=number))
        write_label_map(label_map, folder / "seg.nii.gz")
    places = [str(tmp_path / "cases"), "--output", str(tmp_path / "out")]
    process = start("synthesize", *places, "--model", str(tmp_path / "model"), "--device", "cpu")
    assert process.stdout is not None and process.stderr is not None
    first = process.stdout.readline().strip()
    process.stdout.close()
    errors = process.stderr.read()
    assert process.wait(timeout=120) in (0, 141)
    assert "Traceback" not in errors and "Broken" not in errors and "failed" not in errors
    records = read_records(tmp_path / "out" / "manifest.jsonl")
    assert records and {record["status"] for record in records} == {"done"}
    assert Path(first).is_file()
    assert all((tmp_path / "out" / record["target"]).is_file() for record in records)


@pytest.mark.parametrize("how", ["hangup", "pipe"])
def test_a_lost_connection_loses_no_step_of_a_training(tmp_path: Path, how: str) -> None:
    store = write_tiny_store(tmp_path / "store")
    changes = {"optimizer": {"steps": 500}, "validation": {"every": 0}, "checkpoint_every": 500}
    settings = tiny_run_values(store, tmp_path / "run", **changes)
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(settings))
    process = start("train", "--config", str(path), "--progress", "json", "--device", "cpu")
    assert process.stdout is not None and process.stderr is not None
    step = 0
    while step < 2:
        event = json.loads(process.stdout.readline())
        step = event.get("step", 0)
    if how == "hangup":
        process.send_signal(signal.SIGHUP)
        process.stdout.read()
    else:
        process.stdout.close()
    errors = process.stderr.read()
    assert process.wait(timeout=120) == (130 if how == "hangup" else 141)
    assert "Traceback" not in errors
    _, metadata = read_tensors(tmp_path / "run" / "latest.safetensors")
    assert metadata["step"] >= 2


def test_a_checkpoint_is_written_when_its_minutes_have_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = write_tiny_store(tmp_path / "store")
    now = iter(range(0, 10**6, 60))  # every look at the clock is a minute later
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: float(next(now))))
    saved: list[int] = []
    monkeypatch.setattr(_Reporter, "_save", _noting(_Reporter._save, saved))
    settings = tiny_run(store, tmp_path / "run", checkpoint_every=500, checkpoint_minutes=2.0)
    loop.train(settings)
    assert len(saved) > 1 and saved[:2] == [2, 4]


def _noting(save: Any, saved: list[int]) -> Any:
    def note(self: _Reporter, path: Path) -> None:
        if path.name == "latest.safetensors":
            saved.append(self.trainer.step)
        save(self, path)

    return note
