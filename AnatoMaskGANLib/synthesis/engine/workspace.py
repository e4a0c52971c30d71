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


class Scratch:
    """A piece of memory for one use at a time; it grows to the largest use and is kept."""

    def __init__(self, dtype: torch.dtype, device: torch.device) -> None:
        self._dtype = dtype
        self._device = device
        self._held: Tensor | None = None
        self._is_lent = False

    @contextmanager
    def lent(self, *shape: int) -> Iterator[Tensor]:
        """Memory of this shape, with whatever it holds, until the context ends.

        Raises RuntimeError where another use has not ended.
        """
        if self._is_lent:
            raise RuntimeError(
                f"Scratch memory for {shape} is asked for where it is in use; expected an end of "
                "that use first. Give the new use a field of its own in Workspace."
            )
        self._is_lent = True
        try:
            yield self.overwritten(*shape)
        finally:
            self._is_lent = False

    @contextmanager
    def padded(self, height: int, width: int, num_features: int) -> Iterator[Tensor]:
        """[h+2,w,F] whose first and last rows are zero, until the context ends."""
        with self.lent(height + 2, width, num_features) as padded:
            padded[0].zero_()
            padded[-1].zero_()
            yield padded

    def overwritten(self, *shape: int) -> Tensor:
        """Memory of this shape, whether or not it is in use."""
        size = math.prod(shape)
        if self._held is None or self._held.numel() < size:
            self._held = None  # freed before the larger one is made
            self._held = torch.empty(size, dtype=self._dtype, device=self._device)
        return self._held[:size].view(shape)


class Workspace:
    """The scratch memory of one slice at a time, a field for every use.

    Shape letters: h x w the grid of a stage, n pixels of it or of a part, F features.
    """

    def __init__(self, dtype: torch.dtype, device: torch.device) -> None:
        self.first_input = Scratch(dtype, device)
        """[h+2,w,F] input of a stage's first convolution, between two rows of zeros."""
        self.second_input = Scratch(dtype, device)
        """[h+2,w,F] input of the second one."""
        self.first_output = Scratch(dtype, device)
        """[n,F] output of the first one in a band."""
        self.unnormalized = Scratch(dtype, device)
        """[h*w,F] all pixels, for a normalization that needs the whole slice."""
        self.strip = Scratch(dtype, device)
        """[n,F] pixels of a strip while they are put together."""
        self.factor = Scratch(dtype, device)
        """[n,F] what the pixels of a strip are multiplied by: SPADE's scale, the noise's gate."""
        self.addend = Scratch(dtype, device)
        """[n,F] what is added to the pixels of a strip: SPADE's shift, context, noise."""
        self.noise = Scratch(dtype, device)
        """[h+2,w,Z] noise on the grid of a stage, between two rows of zeros."""
        self.refinement = Scratch(dtype, device)
        """[h+2,w,8] hidden layer of the noise's refinement, between two rows of zeros."""
        self.tap_maps = Scratch(dtype, device)
        """[9,h*w] of the last convolution, a map for every tap."""
        self._states = (Scratch(dtype, device), Scratch(dtype, device))
        self._last_state = 0

    def next_state(self, num_pixels: int, num_features: int) -> Tensor:
        """[h*w,F] for a stage's result. The result before stays, the one before that is gone."""
        self._last_state = 1 - self._last_state
        return self._states[self._last_state].overwritten(num_pixels, num_features)


class Workspaces:
    """Workspaces for the threads that work at once, one for each."""

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
