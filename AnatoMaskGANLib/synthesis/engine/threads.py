"""Runs threads, each of which makes one slice at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Protocol, TypeVar

import torch

MOST_THREADS = 8
"""Slices evaluated side by side; beyond that, Python itself becomes the bottleneck."""

Result = TypeVar("Result")


class Run(Protocol):
    """Runs a function on slices and gives the results in order."""

    def __call__(
        self, function: Callable[[int], Result], numbers: Iterable[int], /
    ) -> Iterator[Result]: ...


@contextmanager
def side_by_side(device: torch.device, threads: int | None = None) -> Iterator[Run]:
    """Runs a function on items, side by side in threads where that pays; results in order.

    Small convolutions use several cores badly, several slices use them well: on a CPU each thread
    evaluates a slice by itself. threads: None takes as many as PyTorch may use.
    """
    before = torch.get_num_threads()
    wanted = min(before if threads is None else threads, MOST_THREADS)
    if device.type != "cpu" or wanted == 1:
        yield _one_after_the_other
        return
    with ThreadPoolExecutor(wanted, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        # PyTorch's setting is each thread's own, but the last one set is what new threads get: all
        # start now, and then it is set back.
        started = threading.Barrier(wanted + 1)
        for _ in range(wanted):
            pool.submit(started.wait)
        started.wait()
        torch.set_num_threads(before)

        def run(function: Callable[[int], Result], numbers: Iterable[int], /) -> Iterator[Result]:
            return pool.map(torch.inference_mode()(function), numbers)

        try:
            yield run
        finally:
            pool.shutdown(cancel_futures=True)


def _one_after_the_other(
    function: Callable[[int], Result], numbers: Iterable[int], /
) -> Iterator[Result]:
    return map(function, numbers)
