"""Normalizations of feature maps: batch (freezable, over all processes), group and instance; and
the spectral normalization of weights.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

BLOCK_CONVOLUTIONS = ("conv0", "conv1", "shortcut")


class _SumOverProcesses(torch.autograd.Function):
    """Sum of a tensor over all processes of a run; the gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        torch.distributed.all_reduce(total)
        return total


class FrozenBatchNorm2d(nn.BatchNorm2d):
    """Batch normalization without affine part whose statistics can be frozen while training goes
    on.

    With frozen statistics every slice is normalized independently of its neighbors, which is what
    exact incremental synthesis needs; evaluation mode always uses the stored statistics. Where
    several processes train together, `is_synchronized` makes the statistics those of all batches.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    momentum: float

    def __init__(self, num_features: int) -> None:
        super().__init__(num_features, affine=False, momentum=0.05)
        self.is_frozen = False
        self.is_synchronized = False

    def forward(self, features: Tensor) -> Tensor:
        if self.is_frozen:
            return functional.batch_norm(
                features, self.running_mean, self.running_var, eps=self.eps
            )
        if self.is_synchronized and self.training:
            return self._normalize_together(features)
        return super().forward(features)

    def _normalize_together(self, features: Tensor) -> Tensor:
        values = features.float()
        count = values.numel() // values.shape[1] * torch.distributed.get_world_size()
        mean = _SumOverProcesses.apply(values.sum((0, 2, 3))) / count
        centered = values - mean[:, None, None]
        variance = _SumOverProcesses.apply(centered.square().sum((0, 2, 3))) / count
        with torch.no_grad():
            unbiased = variance.detach() * (count / max(1, count - 1))
            self.running_mean.lerp_(mean.detach(), self.momentum)
            self.running_var.lerp_(unbiased, self.momentum)
            self.num_batches_tracked += 1
        scale = (variance + self.eps).rsqrt()
        return (centered * scale[:, None, None]).to(features.dtype)


def normalization(kind: str, num_features: int) -> nn.Module:
    """A normalization without learned affine part: "batch" (freezable), "group" or "instance"."""
    if kind == "batch":
        return FrozenBatchNorm2d(num_features)
    if kind == "group":
        groups = next(g for g in (16, 8, 4, 2, 1) if num_features % g == 0)
        return nn.GroupNorm(groups, num_features, affine=False)
    if kind == "instance":
        return nn.InstanceNorm2d(num_features)
    raise ValueError(f"normalization {kind!r} is not known; choose batch, group or instance")


def normalize_spectrally(network: nn.Module) -> None:
    """Normalizes, in place, every convolution inside the blocks' conv0, conv1 and shortcut."""
    for name, module in list(network.named_modules()):
        is_in_block = bool(set(name.split(".")) & set(BLOCK_CONVOLUTIONS))
        if is_in_block and isinstance(module, nn.Conv2d):
            spectral_norm(module)
