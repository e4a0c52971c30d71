"""Batches that are made ahead are the same batches."""

from __future__ import annotations

import threading
import time

import pytest

from AnatoMaskGANLib.training.prefetch import PrefetchingSampler


class CountingSampler:
    """Stands for a StackSampler: its batch is its step and rank."""

    def __init__(self) -> None:
        self.made: list[tuple[int, int]] = []

    def batch(self, step: int, rank: int = 0) -> tuple[int, int]:
        if step == 13:
            raise ValueError("no thirteenth")
        self.made.append((step, rank))
        return step, rank


def test_every_batch_is_that_of_its_step_and_rank() -> None:
    with PrefetchingSampler(CountingSampler()) as ahead:
        steps = [0, 1, 2, 7, 8, 3, 3]  # jumps and a repeat included
        assert [ahead.batch(step, 1) for step in steps] == [(step, 1) for step in steps]


def test_the_next_batches_are_made_without_being_asked_for() -> None:
    sampler = CountingSampler()
    with PrefetchingSampler(sampler, num_ahead=2) as ahead:
        ahead.batch(0)
        deadline = time.monotonic() + 5
        while len(sampler.made) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert sampler.made == [(0, 0), (1, 0), (2, 0)]


def test_an_error_comes_at_its_own_step() -> None:
    with PrefetchingSampler(CountingSampler()) as ahead:
        assert ahead.batch(12) == (12, 0)
        with pytest.raises(ValueError, match="thirteenth"):
            ahead.batch(13)


def test_the_thread_ends_when_it_is_closed() -> None:
    ahead = PrefetchingSampler(CountingSampler())
    ahead.batch(0)
    ahead.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("stacks")]
