from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from tiny_runs import tiny_run, tiny_run_values, write_tiny_store

from AnatoMaskGANLib.config import SettingsError
from AnatoMaskGANLib.training.loop import train
from AnatoMaskGANLib.training.processes import Processes

pytest.importorskip("lightning_fabric", reason="several processes need lightning-fabric")

REPOSITORY = Path(__file__).resolve().parents[1]
# Sums over two processes and over one batch differ by the order of float32 additions, which Adam's
# division by a small second moment makes larger in the first steps.
LOSS_TOLERANCE = 2e-4
WEIGHT_TOLERANCE = 2e-3
STEPS = 3
TWO = SimpleNamespace(count=2)


def run_processes(config: Path, count: int) -> list[dict[str, float]]:
    """The losses of every step of a run of several processes that talk by gloo."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "AnatoMaskGANLib.cli", "train", "--config", str(config)]
    command += ["--device", "cpu", "--progress", "json"]
    processes = [
        subprocess.Popen(
            command,
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # What torchrun tells every process that it starts.
            env={
                **os.environ,
                "OMP_NUM_THREADS": "1",
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
                "WORLD_SIZE": str(count),
                "LOCAL_WORLD_SIZE": str(count),
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "GROUP_RANK": "0",
                "TORCHELASTIC_RUN_ID": "test",
            },
        )
        for rank in range(count)
    ]
    outputs = [process.communicate(timeout=240) for process in processes]
    assert [process.returncode for process in processes] == [0] * count, outputs
    lines = [line for line in outputs[0][0].splitlines() if line.startswith("{")]
    events = [json.loads(line) for line in lines]
    assert "event" not in outputs[1][0], "only the first process tells what happens"
    return [event["losses"] for event in events if event["event"] == "step"]


@pytest.mark.parametrize("norm", ["batch", pytest.param("group", marks=pytest.mark.slow)])
def test_two_processes_give_the_losses_and_weights_of_one_with_the_doubled_batch(
    tmp_path: Path, norm: str
) -> None:
    """Batch normalization shares its statistics; group normalization needs none."""
    store = write_tiny_store(tmp_path / "store")
    changes: dict[str, Any] = {
        "optimizer": {"steps": STEPS, "lr_generator": 1e-4, "lr_discriminator": 1e-4},
        "generator": {"norm": norm},
        "losses": {"r1": 1.0, "r1_every": 2},
        "validation": {"every": 0},
    }
    one: list[dict[str, float]] = []
    train(
        tiny_run(store, tmp_path / "one", **changes, data={"batch_size": 2}),
        on_event=lambda event: one.append(event["losses"]) if event["event"] == "step" else None,
    )
    values = tiny_run_values(store, tmp_path / "two", **changes, data={"batch_size": 1})
    (tmp_path / "two.yaml").write_text(yaml.safe_dump(values))
    two = run_processes(tmp_path / "two.yaml", 2)
    assert len(one) == len(two) == STEPS
    for a, b in zip(one, two, strict=True):
        assert a.keys() == b.keys()
        for name in a:
            assert b[name] == pytest.approx(a[name], rel=LOSS_TOLERANCE, abs=LOSS_TOLERANCE), name
    weights = [load_file(tmp_path / run / "latest.safetensors") for run in ("one", "two")]
    for name, value in weights[0].items():
        if name.startswith(("module/generator/", "module/ema/")):
            torch.testing.assert_close(
                weights[1][name], value, rtol=WEIGHT_TOLERANCE, atol=WEIGHT_TOLERANCE
            )


def test_several_processes_do_not_train_semi_supervised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("AnatoMaskGANLib.training.loop.Processes", lambda device: TWO)
    data = {"supervision": "semi", "guidance": "superpixels", "batch_size": 4}
    run = tiny_run(tmp_path / "store", tmp_path / "run", direction="image+labels", data=data)
    with pytest.raises(SettingsError, match="train semi in one process, with optimizer.accumulate"):
        train(run)


def test_several_processes_without_lightning_fabric_are_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setitem(sys.modules, "lightning.fabric", None)
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    with pytest.raises(ImportError, match="WORLD_SIZE is 2.*pip install lightning-fabric"):
        Processes(torch.device("cpu"))
