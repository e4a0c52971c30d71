"""SPADE layers: normalization modulated by the label map (Park et al. 2019, section 3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from AnatoMaskGANLib.networks.label_grids import LabelField

LEAK = 0.2  # slope of every leaky rectifier of the generator; paper, section III


class _SumOverProcesses(torch.autograd.Function):
    """Sum of a tensor over all processes of a run; the gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, values: Tensor) -> Tensor:
        total = values.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> Tensor:
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


class SPADE(nn.Module):
    """Normalizes [N,F,h,w] features and modulates them by (1 + gamma, beta) of the label field."""

    def __init__(
        self, num_features: int, num_classes: int, num_hidden: int, norm: str = "batch"
    ) -> None:
        super().__init__()
        self.normalize = normalization(norm, num_features)
        self.hidden = nn.Conv2d(num_classes, num_hidden, 3, padding=1)
        self.modulation = nn.Conv2d(num_hidden, 2 * num_features, 3, padding=1)

    def forward(self, features: Tensor, field: LabelField, stride: int) -> Tensor:
        gamma, beta = field.modulation(self, stride).chunk(2, dim=1)
        return self.normalize(features) * (1 + gamma) + beta


def convolution(num_inputs: int, num_outputs: int, separable: bool) -> nn.Module:
    """A 3x3 convolution, or its depthwise-separable form."""
    if not separable:
        return nn.Conv2d(num_inputs, num_outputs, 3, padding=1)
    return nn.Sequential(
        nn.Conv2d(num_inputs, num_inputs, 3, padding=1, groups=num_inputs),
        nn.Conv2d(num_inputs, num_outputs, 1),
    )


class SPADEResidualBlock(nn.Module):
    """Residual block [N,Fin,h,w] -> [N,Fout,h,w] with SPADE before each convolution."""

    def __init__(
        self,
        num_inputs: int,
        num_outputs: int,
        num_classes: int,
        num_hidden: int,
        separable: bool = False,
        norm: str = "batch",
    ) -> None:
        super().__init__()
        num_middle = min(num_inputs, num_outputs)
        self.spade0 = SPADE(num_inputs, num_classes, num_hidden, norm)
        self.spade1 = SPADE(num_middle, num_classes, num_hidden, norm)
        self.conv0 = convolution(num_inputs, num_middle, separable)
        self.conv1 = convolution(num_middle, num_outputs, separable)
        # Differs from the paper: the shortcut of a block that changes the number of features is a
        # plain 1x1 convolution without a SPADE of its own, which saves a third of the label
        # branches.
        self.shortcut = (
            nn.Identity()
            if num_inputs == num_outputs
            else nn.Conv2d(num_inputs, num_outputs, 1, bias=False)
        )

    def forward(self, features: Tensor, field: LabelField, stride: int) -> Tensor:
        out = self.conv0(functional.leaky_relu(self.spade0(features, field, stride), LEAK))
        out = self.conv1(functional.leaky_relu(self.spade1(out, field, stride), LEAK))
        return self.shortcut(features) + out
