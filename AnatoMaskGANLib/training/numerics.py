"""Device and software that a run computes with: they decide the last bits of its weights.

Sums are split by the number of threads, and every split rounds otherwise. So a run that goes on
takes the threads that it began with. What cannot be taken over (device, processor, version of
PyTorch, number of processes) is reported.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import torch

_log = logging.getLogger(__name__)

_MOST_THREADS = 1024
_NAMES = {
    "device": "the device",
    "processor": "the instructions of the processor",
    "torch": "the version of PyTorch",
    "processes": "the number of processes",
}


def numerics_now(device: torch.device, num_processes: int) -> dict[str, Any]:
    """The threads, device and software of this run, for a checkpoint."""
    return {
        "threads": torch.get_num_threads(),
        "device": device.type,
        "processor": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__.partition("+")[0],
        "processes": num_processes,
    }


def go_on_with(before: Mapping[str, Any], device: torch.device, num_processes: int) -> None:
    """Takes over the threads of a checkpoint, and logs what differs.

    before: as `numerics_now` gave it; empty for a checkpoint of an earlier version.
    """
    now = numerics_now(device, num_processes)
    threads = before.get("threads")
    if isinstance(threads, int) and 1 <= threads <= _MOST_THREADS and threads != now["threads"]:
        _log.warning(
            "the run began with %d threads and this process has %d; continuing with %d, because "
            "with another number the weights would differ in their last bits",
            *(threads, now["threads"], threads),
        )
        torch.set_num_threads(threads)
    differing = [
        f"{text} ({before[name]}, now {now[name]})"
        for name, text in _NAMES.items()
        if name in before and before[name] != now[name]
    ]
    if differing:
        _log.warning(
            "the run goes on, but not to the same bits: %s changed since its checkpoint",
            ", ".join(differing),
        )
