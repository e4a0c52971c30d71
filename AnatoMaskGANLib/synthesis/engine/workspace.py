"""Memory that features of slice after slice are written to.

Pages that come fresh from the system cost more time than the arithmetic on them: a stage of
224x224 pixels and 128 features took five times as long when every step had memory of its own.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


class Workspace:
    """Named pieces of memory for one slice at a time; a name's content lives until it is taken
    again.
    """

    def __init__(self, dtype: torch.dtype, device: torch.device) -> None:
        self._dtype = dtype
        self._device = device
        self._held: dict[str, Tensor] = {}

    def take(self, name: str, *shape: int) -> Tensor:
        """Memory of this shape, with whatever it holds."""
        size = math.prod(shape)
        held = self._held.get(name)
        if held is None or held.numel() < size:
            self._held.pop(name, None)  # before the larger one is made
            held = self._held[name] = torch.empty(size, dtype=self._dtype, device=self._device)
        return held[:size].view(shape)

    def take_padded(self, name: str, height: int, width: int, num_features: int) -> Tensor:
        """[h+2,w,F] whose first and last rows are zero."""
        padded = self.take(name, height + 2, width, num_features)
        padded[0].zero_()
        padded[-1].zero_()
        return padded


class Workspaces:
    """As many as there are threads at work at once."""

    def __init__(self, dtype: torch.dtype, device: torch.device) -> None:
        self._dtype = dtype
        self._device = device
        self._free: list[Workspace] = []
        self._lock = threading.Lock()

    @contextmanager
    def one(self) -> Iterator[Workspace]:
        """A workspace that no other thread uses meanwhile."""
        with self._lock:
            taken = self._free.pop() if self._free else Workspace(self._dtype, self._device)
        try:
            yield taken
        finally:
            with self._lock:
                self._free.append(taken)

    def forget(self) -> None:
        """Gives the memory back."""
        with self._lock:
            self._free.clear()
