"""A run goes on with the threads that it began with, and tells what it cannot take over."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_runs import tiny_run, write_tiny_store

from AnatoMaskGANLib.training.loop import train
from AnatoMaskGANLib.training.numerics import go_on_with, numerics_now

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_a_run_that_goes_on_with_other_threads_ends_with_the_same_weights(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = write_tiny_store(tmp_path / "store")
    torch.set_num_threads(2)
    train(tiny_run(store, tmp_path / "whole", keep_every=2))
    halved = tmp_path / "halved"
    halved.mkdir()
    half = (tmp_path / "whole" / "step-0000002.safetensors").read_bytes()
    (halved / "latest.safetensors").write_bytes(half)
    torch.set_num_threads(1)
    with caplog.at_level(logging.WARNING):
        train(tiny_run(store, halved, keep_every=2))
    assert "began with 2 threads and this process has 1; continuing with 2" in caplog.text
    assert torch.get_num_threads() == 2
    whole, resumed = (load_file(tmp_path / n / "latest.safetensors") for n in ("whole", "halved"))
    assert [name for name in whole if not torch.equal(whole[name], resumed[name])] == []


def test_what_cannot_be_taken_over_is_told(caplog: pytest.LogCaptureFixture) -> None:
    now = numerics_now(CPU, 1)
    go_on_with(now, CPU, 1)
    go_on_with({}, CPU, 1)  # a checkpoint of an earlier version
    assert caplog.text == ""
    go_on_with(now | {"torch": "1.0", "device": "cuda"}, CPU, 1)
    assert "not to the same bits: the device (cuda, now cpu)" in caplog.text
    assert "the version of PyTorch (1.0, now" in caplog.text


@pytest.mark.parametrize("threads", [0, -1, 10**9, "2", None])
def test_a_number_of_threads_without_sense_is_not_taken(threads: object) -> None:
    before = torch.get_num_threads()
    go_on_with({"threads": threads}, CPU, 1)
    assert torch.get_num_threads() == before
