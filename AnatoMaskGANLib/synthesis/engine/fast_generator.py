"""The trained generator, rearranged to be evaluated fast: the same numbers in fewer passes.

Everything a slice's labels decide comes from `ModulationTables`, with the frozen normalization
statistics and biases folded into it; a SPADE layer is then one gather, one multiply-add and one
rectifier. Features are channels last, and written to memory that is used again (`workspace.py`).

Shape letters: n pixels of a stage's grid h x w, F features, C label classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from AnatoMaskGANLib.networks.generator import Generator
from AnatoMaskGANLib.networks.noise import SliceNoise
from AnatoMaskGANLib.networks.slice_graph import SliceGraphFusion
from AnatoMaskGANLib.networks.spade import LEAK
from AnatoMaskGANLib.synthesis.engine.fast_layers import (
    Convolution,
    Pointwise,
    bias_of,
    convolutions_of,
    image_of,
    matrix_of,
    rows_of,
)
from AnatoMaskGANLib.synthesis.engine.fast_stage import FastStage, StageLabels, strips
from AnatoMaskGANLib.synthesis.engine.workspace import Workspace, Workspaces


@dataclass(frozen=True)
class CoarseLabels:
    """The tensors of a slice's labels that the start and the fusion need."""

    start: Tensor  # [1,F,h,w] state before the first stage
    mask_features: Tensor | None  # [1,F,h,w] X of the fusion
    foreground: Tensor  # [1,1,h,w] fraction of labeled pixels on the fusion's grid


class FastGenerator:
    """Evaluates a generator slice by slice; it keeps no gradient and shares dense weights.

    dtype: of weights, tables and features; sums over neighborhoods of labels stay in float32.
    """

    def __init__(self, generator: Generator, dtype: torch.dtype = torch.float32) -> None:
        self.settings = generator.settings
        self.dtype = dtype
        self.fusion_stride = generator.fusion_stride
        self.stages = [
            FastStage(generator.stage(number), dtype) for number in range(len(generator.stages))
        ]
        self.weight_bytes = sum(p.numel() * p.element_size() for p in generator.parameters())
        self.fusion: FastFusion | None = None
        self._mask_layers: list[Convolution] = []
        if self.settings.use_gnn_fusion:
            self.fusion = FastFusion(generator.fusion, generator.log_tau_mm, dtype)
            layers = convolutions_of(generator.mask_encoder.layers)
            self._mask_layers = [Convolution(layer, dtype) for layer in layers]
        self._start = Convolution(generator.start, dtype)
        weight = generator.image.weight.to(dtype)  # [1,F,3,3]
        self._image_taps = weight[0].flatten(1).t().contiguous()  # [9,F]
        self._image_bias = float(bias_of(generator.image))
        self.workspaces = Workspaces(dtype, self.device)

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return self._image_taps.device

    def coarse(self, start_fractions: Tensor, fusion_fractions: Tensor) -> CoarseLabels:
        """Encodes the [1,C,h,w] class fractions on the grids of the start and of the fusion."""
        mask_features = None
        if self._mask_layers:
            first, second = self._mask_layers
            hidden = functional.leaky_relu(first(_cast(fusion_fractions, self.dtype)), LEAK)
            mask_features = second(hidden)
        start = self._start(_cast(start_fractions, self.dtype))
        return CoarseLabels(start, mask_features, 1 - fusion_fractions[:, :1])

    def encode(
        self, coarse: CoarseLabels, labels: list[StageLabels], noise: SliceNoise | None
    ) -> Tensor:
        """Decoder state [1,F,h,w] of a slice up to the fusion."""
        state = coarse.start
        with self.workspaces.one() as workspace:
            for number in range(self.settings.fusion_stage + 1):
                state = self.stages[number](state, labels[number], noise, workspace)
            return state.clone()

    def decode(self, state: Tensor, labels: list[StageLabels], noise: SliceNoise | None) -> Tensor:
        """Image [H,W] float32 in [0,1] of a slice from its fused state."""
        state = state.contiguous(memory_format=torch.channels_last)
        with self.workspaces.one() as workspace:
            for number in range(self.settings.fusion_stage + 1, len(self.stages)):
                state = self.stages[number](state, labels[number], noise, workspace)
            return self._image(state, workspace)

    def _image(self, state: Tensor, workspace: Workspace) -> Tensor:
        """The last convolution: [1,F,H,W] to one output.

        Every tap's map [H,W], added where it belongs; a convolution makes eight outputs at least.
        """
        height, width = state.shape[2:]
        rows = rows_of(state)
        image = torch.zeros(height + 2, width + 2, device=rows.device)
        with workspace.tap_maps.lent(9, rows.shape[0]) as maps:
            for top, end in strips((0, height), width, rows.shape[1], rows.device):
                part = slice(top * width, end * width)
                with workspace.strip.lent(*rows[part].shape) as strip:
                    torch.mul(rows[part], LEAK, out=strip)
                    torch.maximum(rows[part], strip, out=strip)  # the leaky rectifier
                    torch.mm(self._image_taps, strip.t(), out=maps[:, part])
            for tap in range(9):
                row, column = 2 - tap // 3, 2 - tap % 3
                image[row : row + height, column : column + width] += maps[tap].view(height, width)
        return torch.sigmoid(image[1:-1, 1:-1] + self._image_bias)


class FastFusion:
    """GNN-SIF of one slice at a time; names as in `SliceGraphFusion`."""

    def __init__(self, fusion: SliceGraphFusion, log_tau_mm: Tensor, dtype: torch.dtype) -> None:
        self.rounds = fusion.rounds
        # float32 on the CPU whatever the device: the same graph for every slab and every edit
        self.tau_mm = log_tau_mm.detach().float().cpu().exp()
        self._dilated = [Convolution(layer, dtype) for layer in convolutions_of(fusion.dilated)]
        self._merge = Pointwise(fusion.merge, dtype)
        self._value = [matrix_of(layer, dtype) for layer in convolutions_of(fusion.value)]
        self._stack_value = [
            (layer.weight.to(dtype), layer.bias.to(dtype))
            for layer in fusion.stack_value
            if isinstance(layer, nn.Linear)
        ]
        self._message = [Pointwise(layer, dtype) for layer in convolutions_of(fusion.message)]
        self._graph_hidden = (fusion.graph_hidden.weight, fusion.graph_hidden.bias)
        self._graph_gate = (fusion.graph_gate.weight, fusion.graph_gate.bias)
        self._spatial_gate = Convolution(fusion.spatial_gate, dtype)
        self._modulation = Pointwise(fusion.modulation, dtype)

    def slice_features(self, mask_features: Tensor, state: Tensor) -> Tensor:
        """M [1,F,h,w]: densely connected dilated convolutions."""
        features = mask_features + state
        for layer in self._dilated:
            new = functional.leaky_relu(layer(features), LEAK)
            features = torch.cat([features, new], dim=1)
        return self._merge(features)

    def slice_values(self, number: int, features: Tensor) -> Tensor:
        """The message of a slice to its neighbors in one round: [1,F,h,w] -> [n,F/4]."""
        return torch.mm(rows_of(features), self._value[number])

    def message_from(
        self, number: int, neighbor_sum: Tensor, means: Tensor, to_stack: Tensor, like: Tensor
    ) -> Tensor:
        """The message that a slice receives in one round, in the shape of `like` [1,F,h,w].

        neighbor_sum: [n,F/4]; means: [1,F] of the stack node; to_stack: [1] its edge.
        """
        weight, bias = self._stack_value[number]
        stack = functional.linear(means, weight, bias) * to_stack[:, None].to(means.dtype)
        height, width = like.shape[2:]
        return self._message[number](image_of(neighbor_sum + stack, height, width))

    def modulate(self, features: Tensor, patch: Tensor, state: Tensor) -> Tensor:
        """Y (1 + gamma) + beta; patch: [1,(2K+2)^2] of `graph_patches`."""
        hidden = functional.leaky_relu(functional.linear(patch, *self._graph_hidden), LEAK)
        gate = functional.linear(hidden, *self._graph_gate)[:, :, None, None].to(features.dtype)
        gate = torch.sigmoid(gate + self._spatial_gate(features)).mul_(2)
        gated = functional.leaky_relu(gate.mul_(features), LEAK)
        gamma, beta = self._modulation(gated).chunk(2, dim=1)
        return torch.addcmul(state + beta, state, gamma)


def _cast(features: Tensor, dtype: torch.dtype) -> Tensor:
    return features.to(dtype).contiguous(memory_format=torch.channels_last)
