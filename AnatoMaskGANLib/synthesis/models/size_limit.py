"""A bound on the weights that a network may have, held while the network is built."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from AnatoMaskGANLib.synthesis.errors import CheckpointError

_FACTORIES = {torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn}


class AtMostNumbers(TorchFunctionMode):
    """Inside this context, tensors of more numbers than that in all are not made.

    A damaged card may ask for a network of terabytes; CheckpointError comes before the memory is
    taken. (The meta device would do as well, but loads half of PyTorch's compiler.)
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self._left = most

    def __torch_function__(
        self,
        func: Callable,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func in _FACTORIES and args:
            sizes = args[0] if isinstance(args[0], Sequence) else args
            self._left -= math.prod(size for size in sizes if isinstance(size, int))
            if self._left < 0:
                raise CheckpointError("the card describes a larger network than the file holds")
        return func(*args, **(kwargs or {}))
