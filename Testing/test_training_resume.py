from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from tiny_runs import tiny_run, tiny_run_values, write_tiny_store

from AnatoMaskGANLib.training import run_identity
from AnatoMaskGANLib.training import trainer as trainer_module
from AnatoMaskGANLib.training.checkpoints import (
    STATE_VERSION,
    RunStateError,
    read_run_state,
    read_tensors,
    write_run_state,
    write_tensors,
)
from AnatoMaskGANLib.training.loop import Interrupts, train
from AnatoMaskGANLib.training.trainer import TrainingDivergedError
from AnatoMaskGANLib.volumes.case_store import open_store

REPOSITORY = Path(__file__).resolve().parents[1]
STEPS = 9


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_store(tmp_path_factory.mktemp("data") / "store")


def all_methods(store: Path, output: Path) -> dict[str, Any]:
    """A run in which all that could depend on the past is switched on."""
    return tiny_run_values(
        store,
        output,
        optimizer={"steps": STEPS, "adversarial_start": 2, "freeze_statistics_from": 0.7},
        losses={"r1": 1.0, "r1_every": 2, "flip_consistency": 1.0},
        data={"affine_share": 1.0},
        checkpoint_every=2,
        validation={"every": 3, "cases": 1, "slices": 4},
    )


def start_training(config: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "AnatoMaskGANLib.cli", "train", "--config", str(config)]
    command += ["--device", "cpu", "--progress", "json"]
    return subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )


def tensors_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "latest.safetensors")


def assert_equal_to_the_bit(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


def test_a_run_killed_at_a_random_step_ends_with_the_weights_of_an_uninterrupted_one(
    store: Path, tmp_path: Path
) -> None:
    for name in ("whole", "killed"):
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(all_methods(store, tmp_path / name)))
    whole = start_training(tmp_path / "whole.yaml")
    killed = start_training(tmp_path / "killed.yaml")
    last_step = Random(os.getpid()).randint(3, STEPS - 1)
    for line in killed.stdout:
        event = json.loads(line)
        if event["event"] == "step" and event["step"] == last_step:
            killed.send_signal(signal.SIGKILL)
            break
    killed.wait()
    assert killed.returncode == -signal.SIGKILL
    resumed = start_training(tmp_path / "killed.yaml")
    events = [json.loads(line) for line in resumed.stdout]
    whole_events = [json.loads(line) for line in whole.stdout]
    assert resumed.wait() == 0 and whole.wait() == 0
    assert events[0]["step"] in (last_step - last_step % 2, last_step - last_step % 2 - 2)
    assert_equal_to_the_bit(tensors_of(tmp_path / "whole"), tensors_of(tmp_path / "killed"))
    assert whole_events[-1]["event"] == events[-1]["event"] == "done"
    for table in ("log.csv", "validation.csv"):
        rows = [(tmp_path / run / table).read_text().splitlines() for run in ("whole", "killed")]
        assert [row.split(",")[0] for row in rows[0]] == [row.split(",")[0] for row in rows[1]]


def test_gradient_accumulation_resumes_exactly_too(store: Path, tmp_path: Path) -> None:
    changes = {"optimizer": {"steps": 4, "accumulate": 2}, "keep_every": 2}
    whole, halved = tmp_path / "whole", tmp_path / "halved"
    train(tiny_run(store, whole, **changes))
    halved.mkdir()
    (halved / "latest.safetensors").write_bytes((whole / "step-0000002.safetensors").read_bytes())
    train(tiny_run(store, halved, **changes))
    assert_equal_to_the_bit(tensors_of(whole), tensors_of(halved))


def test_ctrl_c_ends_after_a_whole_step_which_is_saved(store: Path, tmp_path: Path) -> None:
    def interrupt(event: dict[str, Any]) -> None:
        if event["event"] == "step" and event["step"] == 3:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(tiny_run(store, tmp_path / "stopped"), on_event=interrupt)
    train(tiny_run(store, tmp_path / "whole"))
    starts: list[int] = []
    train(
        tiny_run(store, tmp_path / "stopped"),
        on_event=lambda event: starts.append(event["step"]) if event["event"] == "start" else None,
    )
    assert starts == [3]
    assert_equal_to_the_bit(tensors_of(tmp_path / "whole"), tensors_of(tmp_path / "stopped"))


def test_a_checkpoint_of_another_configuration_is_refused_with_what_differs(
    store: Path, tmp_path: Path
) -> None:
    train(tiny_run(store, tmp_path, optimizer={"steps": 1}))
    with pytest.raises(RunStateError, match=r"losses\.r1 was 0\.0 and is 1\.0"):
        train(tiny_run(store, tmp_path, losses={"r1": 1.0}))


def test_a_checkpoint_of_another_store_is_refused(store: Path, tmp_path: Path) -> None:
    train(tiny_run(store, tmp_path / "run", optimizer={"steps": 1}))
    other = write_tiny_store(tmp_path / "other", ("train", "train", "validation"))
    with pytest.raises(RunStateError, match="another store: cases"):
        train(tiny_run(other, tmp_path / "run"))


def exchange_labels(store: Path, case: str) -> None:
    path = store / case / "labels.npy"
    labels = np.load(path)
    np.save(path, np.array([0, 1, 3, 2], labels.dtype)[labels])


def test_a_store_whose_labels_were_changed_is_refused_and_a_moved_one_is_not(
    tmp_path: Path,
) -> None:
    store = write_tiny_store(tmp_path / "store")
    train(tiny_run(store, tmp_path / "run", optimizer={"steps": 1}))
    moved = shutil.copytree(store, tmp_path / "moved")
    train(tiny_run(moved, tmp_path / "run", optimizer={"steps": 2}))
    exchange_labels(moved, "sub-1")
    with pytest.raises(RunStateError, match=r"arrays of sub-1 in .*moved have changed \(1 of 4"):
        train(tiny_run(moved, tmp_path / "run", optimizer={"steps": 3}))
    train(tiny_run(store, tmp_path / "run", optimizer={"steps": 3}))


def test_a_run_that_noted_no_contents_goes_on_and_notes_them(store: Path, tmp_path: Path) -> None:
    train(tiny_run(store, tmp_path, optimizer={"steps": 1}))
    latest = tmp_path / "latest.safetensors"
    tensors, metadata = read_tensors(latest)
    noted = metadata.pop("contents")
    header = {"version": str(STATE_VERSION), "run": json.dumps(metadata)}
    write_tensors(latest, tensors, header)
    train(tiny_run(store, tmp_path, optimizer={"steps": 2}))
    assert read_tensors(latest)[1]["contents"] == noted


@pytest.mark.parametrize("whole_bytes", [2**24, 2**10])
def test_contents_are_known_by_every_part_of_the_arrays_that_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole_bytes: int
) -> None:
    monkeypatch.setattr(run_identity, "_WHOLE_BYTES", whole_bytes)
    store = write_tiny_store(tmp_path / "store", has_guidance=True)
    noted = run_identity.describe_contents(open_store(store))
    assert len(set(noted.values())) == len(noted) == 4
    assert run_identity.changed_cases(open_store(store), noted) == []
    for case, part, place in (("sub-0", "image", 0), ("sub-2", "labels", -1)):
        array = np.load(store / case / f"{part}.npy")
        array.flat[place] += 1
        np.save(store / case / f"{part}.npy", array)
    assert run_identity.changed_cases(open_store(store), noted) == ["sub-0", "sub-2"]


def test_a_damaged_checkpoint_is_refused(store: Path, tmp_path: Path) -> None:
    train(tiny_run(store, tmp_path, optimizer={"steps": 1}))
    latest = tmp_path / "latest.safetensors"
    latest.write_bytes(latest.read_bytes()[:-100])
    with pytest.raises(RunStateError, match="not a readable run state"):
        train(tiny_run(store, tmp_path))


def test_a_crash_while_writing_leaves_the_checkpoint_before(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = train(tiny_run(store, tmp_path, optimizer={"steps": 1}))
    before = path.read_bytes()

    def write_half(target: Path, content: bytes) -> None:
        with open(target, "wb") as file:
            file.write(content if target.suffix != ".safetensors" else content[:1000])
        if target.suffix == ".safetensors":
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", write_half)
    with pytest.raises(ValueError, match="No space left"):
        train(tiny_run(store, tmp_path, optimizer={"steps": 2}))
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir() if file.name.startswith(".writing")] == []


def test_a_loss_that_is_no_number_stops_with_what_to_try(store: Path, tmp_path: Path) -> None:
    path = train(tiny_run(store, tmp_path, optimizer={"steps": 2}))
    before = path.read_bytes()
    losses = {"squared_error": 3e38}
    with pytest.raises(TrainingDivergedError, match="lower lr_generator"):
        train(tiny_run(store, tmp_path / "diverging", losses=losses))
    assert path.read_bytes() == before
    assert trainer_module._LARGEST_LOSS < 3e38


def test_numbered_and_best_checkpoints_can_be_gone_on_from(store: Path, tmp_path: Path) -> None:
    train(tiny_run(store, tmp_path, keep_every=2))
    names = {file.name for file in tmp_path.glob("*.safetensors")}
    assert {"best.safetensors", "latest.safetensors", "step-0000002.safetensors"} <= names
    starts: list[int] = []
    train(
        tiny_run(store, tmp_path, keep_every=2),
        on_event=lambda event: starts.append(event["step"]) if event["event"] == "start" else None,
        resume_from="2",
    )
    assert starts == [2]
    with pytest.raises(RunStateError, match="it has best, latest, step-0000002"):
        train(tiny_run(store, tmp_path, keep_every=2), resume_from="3")


def test_a_checkpoint_of_another_version_or_with_other_weights_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "latest.safetensors"
    write_tensors(path, {"a": torch.zeros(1)}, {"version": "0", "run": "{}"})
    with pytest.raises(RunStateError, match="is of version 0, but this program reads"):
        read_tensors(path)
    write_run_state(path, {"layer": torch.nn.Linear(2, 2)}, {}, {"step": 1})
    with pytest.raises(RunStateError, match="belongs to a run of other settings: layer does not"):
        read_run_state(path, {"layer": torch.nn.Linear(2, 3)}, {})


def test_a_second_ctrl_c_stops_at_once_and_the_handlers_before_are_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Interrupts() as interrupts:
        signal.raise_signal(signal.SIGINT)
        assert interrupts.came
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) == before
