"""The part of a batch that this process does when several processes or machines share it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from AnatoMaskGANLib.commands.errors import UsageError

Case = TypeVar("Case")


@dataclass(frozen=True)
class Shard:
    """Part `number` (from 0) of `count` parts."""

    number: int = 0
    count: int = 1

    def part_of(self, cases: Sequence[Case]) -> list[Case]:
        """Every count-th case, so that neighboring cases, which are often alike, are spread."""
        return list(cases[self.number :: self.count])

    @property
    def is_whole(self) -> bool:
        """Whether this process does all cases."""
        return self.count == 1


def shard_of(text: str | None, environment: Mapping[str, str] = os.environ) -> Shard:
    """The shard "i/n" (i from 0), else the rank that torchrun gave this process, else all cases.

    Raises UsageError for a text that names no shard.
    """
    if text is None:
        rank, world = environment.get("RANK"), environment.get("WORLD_SIZE")
        if rank is None or world is None:
            return Shard()
        text = f"{rank}/{world}"
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and int(number) < int(count)):
        raise UsageError(
            f"The shard is {text!r}; expected i/n with i from 0 to n - 1, for instance 0/4 to 3/4 "
            "on four machines."
        )
    return Shard(int(number), int(count))


def device_of_rank(device: str, environment: Mapping[str, str] = os.environ) -> str:
    """The device; for `cuda` and `auto` the process's own GPU if torchrun started several."""
    rank = environment.get("LOCAL_RANK")
    if rank is None or device not in ("auto", "cuda"):
        return device
    import torch

    num_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return f"cuda:{int(rank) % num_devices}" if num_devices > 1 else device
