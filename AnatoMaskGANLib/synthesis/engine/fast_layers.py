"""The layers of the fast generator: convolutions on padded bands of rows, and label-decided
modulation with everything constant folded in. They are those of networks/spade.py and noise.py.

Features lie as rows [n,F] of n = h * w pixels (channels last), which is the order that gathers
write, that 1x1 convolutions multiply, and in which convolutions are fastest on a CPU.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from AnatoMaskGANLib.networks.label_words import LabelBranch
from AnatoMaskGANLib.networks.noise import NoiseInjection
from AnatoMaskGANLib.networks.normalization import FrozenBatchNorm2d
from AnatoMaskGANLib.networks.spade import LEAK, SPADE
from AnatoMaskGANLib.synthesis.engine.winograd import (
    winograd_convolution,
    winograd_pays,
    winograd_weight,
)

HAS_ONEDNN = torch.backends.mkldnn.is_available()


@dataclass(frozen=True)
class Modulation:
    """Scale and shift of a SPADE layer: rows of a table, or one row for every pixel."""

    scale: Tensor  # [U,F]
    shift: Tensor  # [U,F]
    index: Tensor | None  # [n] row of every pixel; None: row = pixel


class FastSPADE:
    """The label branch of a SPADE layer, with the frozen statistics folded into its weights.

    gamma and beta become scale = (1 + gamma) / sigma and shift = beta - mean scale, the two halves
    of `branch`, in float32. bias [F]: of the convolution before the layer; folded as well.
    """

    def __init__(self, layer: SPADE, bias: Tensor | None = None) -> None:
        self.normalize = layer.normalize
        self.is_folded = False
        gamma_weight, beta_weight = layer.branch.kernel.float().chunk(2)  # [F,hidden,3,3] each
        gamma_bias, beta_bias = layer.branch.bias.float().chunk(2)
        scale_weight, scale_bias = gamma_weight, 1 + gamma_bias
        if isinstance(layer.normalize, FrozenBatchNorm2d):
            self.is_folded = True
            inverse = (layer.normalize.running_var + layer.normalize.eps).rsqrt()
            mean = layer.normalize.running_mean
            if bias is not None:
                mean = mean - bias
            scale_weight = scale_weight * inverse[:, None, None, None]
            scale_bias = scale_bias * inverse
            beta_weight = beta_weight - mean[:, None, None, None] * scale_weight
            beta_bias = beta_bias - mean * scale_bias
        self.branch = LabelBranch(
            layer.branch.hidden_kernel,
            layer.branch.hidden_bias,
            torch.cat([scale_weight, beta_weight]),
            torch.cat([scale_bias, beta_bias]),
        )


class Convolution:
    """A convolution in channels-last order, of any dilation and grouping; for several threads."""

    def __init__(self, layer: nn.Conv2d, dtype: torch.dtype, adds_bias: bool = True) -> None:
        self.weight = layer.weight.to(dtype, memory_format=torch.channels_last)
        self.bias = None if layer.bias is None or not adds_bias else layer.bias.to(dtype)
        self._padding = _pair(layer.padding)
        self._stride, self._dilation = _pair(layer.stride), _pair(layer.dilation)
        self._groups = layer.groups
        self._winograd: Tensor | None = None  # made where it is first of use
        self._winograd_lock = threading.Lock()
        is_square = layer.kernel_size == (3, 3) and len({*self._padding, *self._dilation}) == 1
        self._may_be_winograd = is_square and layer.groups == 1 and self._stride == (1, 1)

    def __call__(self, features: Tensor) -> Tensor:
        num_outputs, num_inputs = self.weight.shape[:2]
        height, width = features.shape[2:]
        is_plain = features.device.type == "cpu" and features.dtype == torch.float32
        if (
            is_plain
            and self._may_be_winograd
            and winograd_pays(num_inputs, num_outputs, (height, width), self._dilation[0])
        ):
            weight = self._winograd_weight()
            return winograd_convolution(features, weight, self.bias, self._dilation[0])
        return self._on(features, self._padding)

    def _winograd_weight(self) -> Tensor:
        with self._winograd_lock:
            if self._winograd is None:
                self._winograd = winograd_weight(self.weight)
            return self._winograd

    def on_padded_rows(self, features: Tensor) -> Tensor:
        """[1,Fout,h,w] of features [1,F,h+2,w] that hold the row above and the row below."""
        return self._on(features, (0, self._padding[1]))

    def _on(self, features: Tensor, padding: tuple[int, int]) -> Tensor:
        options = (self._stride, padding, self._dilation, self._groups)
        if features.device.type == "cpu" and features.dtype == torch.float32 and HAS_ONEDNN:
            # PyTorch's own choice for small grids is a slower convolution.
            stride, padding, dilation, groups = options
            out = torch.mkldnn_convolution(
                features, self.weight, self.bias, padding, stride, dilation, groups
            )
        else:
            out = functional.conv2d(features, self.weight, self.bias, *options)
        return out.contiguous(memory_format=torch.channels_last)


class Pointwise:
    """A 1x1 convolution as a matrix product."""

    def __init__(self, layer: nn.Conv2d, dtype: torch.dtype) -> None:
        self._matrix = matrix_of(layer, dtype)
        self._bias = bias_of(layer).to(dtype)

    def __call__(self, features: Tensor) -> Tensor:
        height, width = features.shape[2:]
        return image_of(torch.addmm(self._bias, rows_of(features), self._matrix), height, width)


class BlockConvolution:
    """A convolution of a residual block, dense or depthwise-separable.

    adds_bias: else `bias` [Fout] is left to the layer behind it.
    """

    def __init__(self, layer: nn.Module, dtype: torch.dtype, adds_bias: bool) -> None:
        self._pointwise: Tensor | None = None  # [Fin,Fout]
        self._pointwise_bias: Tensor | None = None
        if isinstance(layer, nn.Conv2d):
            self._spatial = Convolution(layer, dtype, adds_bias)
            self.bias = bias_of(layer)
            self.num_outputs = layer.out_channels
            return
        depthwise, pointwise = convolutions_of(layer)
        self._spatial = Convolution(depthwise, dtype, adds_bias=False)
        self._pointwise = matrix_of(pointwise, dtype)
        # A constant goes through a 1x1 convolution as a constant.
        self.bias = bias_of(pointwise) + pointwise.weight.flatten(1) @ bias_of(depthwise)
        self._pointwise_bias = self.bias.to(dtype) if adds_bias else None
        self.num_outputs = pointwise.out_channels

    def rows(self, padded: Tensor, out: Tensor) -> Tensor:
        """[n,Fout] of [1,Fin,h+2,w]; out: memory for them that may be used."""
        found = rows_of(self._spatial.on_padded_rows(padded))
        if self._pointwise is None:
            return found
        torch.mm(found, self._pointwise, out=out)
        return out if self._pointwise_bias is None else out.add_(self._pointwise_bias)

    def add_rows(self, padded: Tensor, total: Tensor) -> None:
        """Adds the outputs of [1,Fin,h+2,w] to the rows [n,Fout] of the total."""
        found = rows_of(self._spatial.on_padded_rows(padded))
        if self._pointwise is None:
            total.add_(found)
            return
        total.addmm_(found, self._pointwise)
        if self._pointwise_bias is not None:
            total.add_(self._pointwise_bias)


class FastNoise:
    """3D-SNI of one stage, all 1x1 convolutions as matrices: `NoiseInjection`."""

    def __init__(self, noise: NoiseInjection, dtype: torch.dtype) -> None:
        self.projection = matrix_of(noise.projection, dtype)  # [Z,F]
        self.gate = matrix_of(noise.gate, dtype)  # [Z,F]
        self.class_gate = (noise.class_gate.weight + bias_of(noise.gate)).to(dtype)  # [C,F]
        first, last = convolutions_of(noise.refinement)
        scale = noise.refinement_scale  # [F,1,1]
        self.refine_first = Convolution(first, dtype)
        self.refine_last = Convolution(last, dtype)
        self.refine_last.weight = (last.weight * scale[..., None]).to(
            dtype, memory_format=torch.channels_last
        )
        self.refine_last.bias = (bias_of(last) * scale[:, 0, 0]).to(dtype)


def convolutions_of(module: nn.Module) -> list[nn.Conv2d]:
    """The convolutions among the direct parts of a sequence or list of layers."""
    return [layer for layer in module.children() if isinstance(layer, nn.Conv2d)]


def bias_of(layer: nn.Conv2d) -> Tensor:
    """[Fout] of a convolution that has one."""
    return cast(Tensor, layer.bias)


def _pair(size: tuple[int, ...] | str) -> tuple[int, int]:
    """A convolution's padding, stride or dilation by axis; the networks give it as numbers."""
    rows, columns = cast(tuple[int, int], size)
    return rows, columns


def modulate(source: Tensor, target: Tensor, scale: Tensor, shift: Tensor) -> None:
    """LeakyReLU(source scale + shift); target may be the source."""
    torch.addcmul(shift, source, scale, out=target)
    functional.leaky_relu_(target, LEAK)


def matrix_of(layer: nn.Conv2d, dtype: torch.dtype) -> Tensor:
    """[Fin,Fout] of a 1x1 convolution; a view where the type is right."""
    return layer.weight.to(dtype).flatten(1).t()


def rows_of(features: Tensor) -> Tensor:
    """[1,F,h,w] in channels-last order as [n,F]; a view."""
    return features.permute(0, 2, 3, 1).reshape(-1, features.shape[1])


def image_of(rows: Tensor, height: int, width: int) -> Tensor:
    """[n,F] as [1,F,h,w] in channels-last order; a view."""
    return rows.view(1, height, width, -1).permute(0, 3, 1, 2)
