"""A store that changes while it is trained on is told, and ends no process."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_runs import tiny_run, write_tiny_store

from AnatoMaskGANLib.training.loop import train
from AnatoMaskGANLib.training.store_watch import StoreWatch
from AnatoMaskGANLib.volumes.case_store import StoreError, open_store


def zero(path: Path) -> None:
    with open(path, "r+b") as file:
        file.seek(200)
        file.write(bytes(path.stat().st_size - 200))


def truncate(path: Path) -> None:
    with open(path, "r+b") as file:
        file.truncate(200)


def replace(path: Path) -> None:
    shutil.copy(path, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


@pytest.mark.parametrize("change", [zero, truncate, replace, Path.unlink])
def test_a_store_that_changes_under_a_training_stops_it(
    tmp_path: Path, change: Callable[[Path], Any]
) -> None:
    store = write_tiny_store(tmp_path / "store", ("train", "validation"))
    steps = []

    def on_event(event: dict[str, Any]) -> None:
        if event["event"] == "step":
            steps.append(event["step"])
            if event["step"] == 2:
                change(store / "sub-0" / "image.npy")

    settings = tiny_run(store, tmp_path / "run", optimizer={"steps": 40}, validation={"every": 0})
    with pytest.raises(StoreError, match=r"image.npy was changed, truncated or moved"):
        train(settings, on_event=on_event)
    assert len(steps) < 10  # what was read ahead is used up, and no more


def test_a_store_that_stays_is_not_told(tmp_path: Path) -> None:
    store = open_store(write_tiny_store(tmp_path / "store"))
    watch = StoreWatch(store.cases)
    for case in store.cases:
        watch.check(case)
