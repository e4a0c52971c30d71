"""The trained generator, rearranged to be evaluated fast: the same numbers in fewer passes.

- Everything a slice's labels decide comes from `LabelDictionary`, with the frozen normalization
  statistics folded into it; a SPADE layer is then one gather, one multiply-add and one rectifier.
- Features lie as rows [n,F] of n = h * w pixels (channels last), which is the order that gathers
  write, that 1x1 convolutions multiply, and in which convolutions are fastest on a CPU.
- What treats every pixel by itself runs over strips of rows that stay in the processor's cache.

Shape letters: n pixels of a stage's grid h x w, F features, Z noise octaves, C label classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from AnatoMaskGANLib.networks.generator import Generator, Stage
from AnatoMaskGANLib.networks.noise import NoiseInjection, pooled_standard_deviation
from AnatoMaskGANLib.networks.slice_graph import SliceGraphFusion
from AnatoMaskGANLib.networks.spade import LEAK, SPADE, FrozenBatchNorm2d

HAS_ONEDNN = torch.backends.mkldnn.is_available()
STRIP_VALUES = 1 << 15
"""Values of one strip: with those it is combined with it fits into a core's second-level cache.

Strips give most of what torch.compile gives by fusing the same operations, without its half minute
of compilation for every size of the region, so it is not used."""


@dataclass(frozen=True)
class Modulation:
    """What a SPADE layer does to every pixel: rows of a table, or the pixels' own."""

    scale: Tensor  # [U,F]
    shift: Tensor  # [U,F]
    index: Tensor | None  # [n] row of every pixel; None: row = pixel


@dataclass(frozen=True)
class StageLabels:
    """What one stage needs to know of the labels of a slice."""

    grid: tuple[int, int]  # h, w
    classes: Tensor  # [n] class at the center pixel of every cell
    context: tuple[Tensor, Tensor] | None  # table [U,F] and row of every pixel [n]
    modulations: tuple[Modulation, Modulation]


@dataclass(frozen=True)
class CoarseLabels:
    """What the start and the fusion need to know of the labels of a slice."""

    start: Tensor  # [1,F,h,w] state before the first stage
    mask_features: Tensor | None  # [1,F,h,w] X of the fusion
    foreground: Tensor  # [1,1,h,w] share of labeled pixels on the fusion's grid


@dataclass(frozen=True)
class SliceNoise:
    """Noise of one slice, and how strongly it enters."""

    values: Tensor  # [1,Z,H,W], unit variance
    strength: float
    spacing_ji_mm: tuple[float, float]

    def pooled(self, stride: int, sigmas_mm: tuple[float, ...]) -> Tensor:
        """[1,Z,h,w] averaged over the cells of a stage, of unit variance."""
        if stride == 1:
            return self.values
        scale = _pooled_scale(stride, self.spacing_ji_mm, sigmas_mm)
        averages = functional.avg_pool2d(self.values, stride)
        return averages.mul_(averages.new_tensor(scale).view(1, -1, 1, 1))


class FrozenGenerator:
    """Evaluates a generator slice by slice; it keeps no gradient and shares dense weights.

    dtype: of weights, tables and features; sums over neighborhoods of labels stay in float32.
    """

    def __init__(self, generator: Generator, dtype: torch.dtype = torch.float32) -> None:
        self.settings = generator.settings
        self.dtype = dtype
        self.fusion_stride = generator.fusion_stride
        self.stages = [FrozenStage(stage, dtype) for stage in generator.stages]
        self.fusion: FrozenFusion | None = None
        self._mask_layers: list[_Convolution] = []
        if self.settings.use_gnn_fusion:
            self.fusion = FrozenFusion(generator.fusion, dtype)
            layers = generator.mask_encoder.layers
            self._mask_layers = [_Convolution(layers[0], dtype), _Convolution(layers[2], dtype)]
        self._start = _Convolution(generator.start, dtype)
        weight = generator.image.weight.to(dtype)  # [1,F,3,3]
        self._image_taps = weight[0].flatten(1).contiguous()  # [F,9]
        self._image_bias = float(generator.image.bias)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self._image_taps.device

    def coarse(self, start_fractions: Tensor, fusion_fractions: Tensor) -> CoarseLabels:
        """From the [1,C,h,w] class fractions on the grids of the start and of the fusion."""
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
        for number in range(self.settings.fusion_stage + 1):
            state = self._stage(number, state, labels[number], noise)
        return state

    def decode(self, state: Tensor, labels: list[StageLabels], noise: SliceNoise | None) -> Tensor:
        """Image [H,W] float32 in [0,1] of a slice from its fused state."""
        for number in range(self.settings.fusion_stage + 1, len(self.stages)):
            state = self._stage(number, state, labels[number], noise)
        height, width = state.shape[2:]
        rows = _rows(state)
        taps = torch.empty(rows.shape[0], 9, dtype=rows.dtype, device=rows.device)
        for part in _strips(*rows.shape, rows.device):
            torch.mm(functional.leaky_relu(rows[part], LEAK), self._image_taps, out=taps[part])
        # A 3x3 convolution to one output: every tap's map, added where it belongs.
        maps = taps.view(height, width, 9).float()
        image = torch.zeros(height + 2, width + 2, device=rows.device)
        for tap in range(9):
            row, column = 2 - tap // 3, 2 - tap % 3
            image[row : row + height, column : column + width] += maps[..., tap]
        return torch.sigmoid(image[1:-1, 1:-1] + self._image_bias)

    def _stage(
        self, number: int, state: Tensor, labels: StageLabels, noise: SliceNoise | None
    ) -> Tensor:
        if number > 0:
            state = functional.interpolate(state, scale_factor=2, mode="nearest")
            state = state.contiguous(memory_format=torch.channels_last)
        else:
            state = state.clone(memory_format=torch.channels_last)
        return self.stages[number](state, labels, noise)


class FrozenStage:
    """One resolution of the decoder: context, noise and a SPADE residual block."""

    def __init__(self, stage: Stage, dtype: torch.dtype) -> None:
        block = stage.block
        self.stride = stage.stride
        self.layers = (FrozenSPADE(block.spade0), FrozenSPADE(block.spade1))
        self.context_tables: list[Tensor] = []
        if stage.context is not None:
            self.context_tables = [table.weight for table in stage.context.offsets]
        self._noise = None if stage.noise is None else _FrozenNoise(stage.noise, dtype)
        self._sigmas_mm = stage._sigmas_mm
        self._convolutions = (_convolution(block.conv0, dtype), _convolution(block.conv1, dtype))
        self._shortcut: Tensor | None = None  # [Fin,Fout]
        if isinstance(block.shortcut, nn.Conv2d):
            self._shortcut = _matrix(block.shortcut, dtype)

    def __call__(self, state: Tensor, labels: StageLabels, noise: SliceNoise | None) -> Tensor:
        """state [1,Fin,h,w] is written over; gives back [1,Fout,h,w]."""
        height, width = labels.grid
        rows = _rows(state)
        injection = None
        if self._noise is not None and noise is not None:
            pooled = noise.pooled(self.stride, self._sigmas_mm).to(rows.dtype)
            injection = _Injection(self._noise, pooled, noise.strength, labels.classes)
        folded = self.layers[0].is_folded
        modulated = torch.empty_like(rows)
        around = rows
        if self._shortcut is not None:
            around = rows.new_empty(rows.shape[0], self._shortcut.shape[1])
        buffer = _Buffer(rows)
        for part in _strips(*rows.shape, rows.device):
            strip = rows[part]
            if injection is not None:
                injection.add_to(strip, part, buffer)
            if labels.context is not None:
                table, index = labels.context
                strip += buffer.gather(0, table, index[part])
            if self._shortcut is not None:
                torch.mm(strip, self._shortcut, out=around[part])
            if folded:
                _modulate(strip, modulated[part], labels.modulations[0], part, buffer)
        if not folded:
            self._modulate_normalized(0, rows, modulated, labels)
        out = _rows(self._convolutions[0](_image(modulated, height, width)))
        if self.layers[1].is_folded:
            buffer = _Buffer(out)
            for part in _strips(*out.shape, out.device):
                _modulate(out[part], out[part], labels.modulations[1], part, buffer)
        else:
            self._modulate_normalized(1, out, out, labels)
        out = _rows(self._convolutions[1](_image(out, height, width)))
        out += around
        return _image(out, height, width)

    def _modulate_normalized(
        self, number: int, rows: Tensor, target: Tensor, labels: StageLabels
    ) -> None:
        """For normalizations that depend on the whole slice."""
        normalized = _rows(self.layers[number].normalize(_image(rows, *labels.grid)))
        buffer = _Buffer(rows)
        for part in _strips(*rows.shape, rows.device):
            _modulate(normalized[part], target[part], labels.modulations[number], part, buffer)


class FrozenSPADE:
    """The label branch of a SPADE layer, with the frozen statistics folded into its weights.

    gamma and beta become scale = (1 + gamma) / sigma and shift = beta - mean scale. It is a
    `LabelBranch`, in float32.
    """

    def __init__(self, layer: SPADE) -> None:
        self.hidden = layer.hidden
        self.normalize = layer.normalize
        self.is_folded = isinstance(layer.normalize, FrozenBatchNorm2d)
        weight = layer.modulation.weight.float()  # [2F,hidden,3,3]
        bias = layer.modulation.bias.float()
        gamma_weight, beta_weight = weight.chunk(2)
        gamma_bias, beta_bias = bias.chunk(2)
        scale_weight, scale_bias = gamma_weight, 1 + gamma_bias
        if self.is_folded:
            inverse = (layer.normalize.running_var + layer.normalize.eps).rsqrt()
            mean = layer.normalize.running_mean
            scale_weight = scale_weight * inverse[:, None, None, None]
            scale_bias = scale_bias * inverse
            beta_weight = beta_weight - mean[:, None, None, None] * scale_weight
            beta_bias = beta_bias - mean * scale_bias
        self.modulation = nn.Conv2d(1, 1, 1)  # a holder of two tensors
        self.modulation.weight = nn.Parameter(torch.cat([scale_weight, beta_weight]), False)
        self.modulation.bias = nn.Parameter(torch.cat([scale_bias, beta_bias]), False)
        self.modulation.padding = (1, 1)


class FrozenFusion:
    """GNN-SIF of one slice at a time; names as in `SliceGraphFusion`."""

    def __init__(self, fusion: SliceGraphFusion, dtype: torch.dtype) -> None:
        self.rounds = fusion.rounds
        self._dilated = [_Convolution(layer, dtype) for layer in fusion.dilated]
        self._merge = _Pointwise(fusion.merge, dtype)
        self._value = [_matrix(layer, dtype) for layer in fusion.value]
        self._stack_value = [
            (layer.weight.to(dtype), layer.bias.to(dtype)) for layer in fusion.stack_value
        ]
        self._message = [_Pointwise(layer, dtype) for layer in fusion.message]
        self._graph_hidden = (fusion.graph_hidden.weight, fusion.graph_hidden.bias)
        self._graph_gate = (fusion.graph_gate.weight, fusion.graph_gate.bias)
        self._spatial_gate = _Convolution(fusion.spatial_gate, dtype)
        self._modulation = _Pointwise(fusion.modulation, dtype)

    def slice_features(self, mask_features: Tensor, state: Tensor) -> Tensor:
        """M [1,F,h,w]: densely connected dilated convolutions."""
        features = mask_features + state
        for layer in self._dilated:
            new = functional.leaky_relu(layer(features), LEAK)
            features = torch.cat([features, new], dim=1)
        return self._merge(features)

    def slice_values(self, number: int, features: Tensor) -> Tensor:
        """What a slice sends to its neighbors in one round: [1,F,h,w] -> [n,F/4]."""
        return torch.mm(_rows(features), self._value[number])

    def message_from(
        self, number: int, neighbor_sum: Tensor, means: Tensor, to_stack: Tensor, like: Tensor
    ) -> Tensor:
        """What a slice receives in one round, of the shape of `like` [1,F,h,w].

        neighbor_sum: [n,F/4]; means: [1,F] of the stack node; to_stack: [1] its edge.
        """
        weight, bias = self._stack_value[number]
        stack = functional.linear(means, weight, bias) * to_stack[:, None].to(means.dtype)
        height, width = like.shape[2:]
        return self._message[number](_image(neighbor_sum + stack, height, width))

    def modulate(self, features: Tensor, window: Tensor, state: Tensor) -> Tensor:
        """Y (1 + gamma) + beta; window: [1,(2K+2)^2] of `graph_windows`."""
        hidden = functional.leaky_relu(functional.linear(window, *self._graph_hidden), LEAK)
        gate = functional.linear(hidden, *self._graph_gate)[:, :, None, None].to(features.dtype)
        gate = torch.sigmoid(gate + self._spatial_gate(features)).mul_(2)
        gated = functional.leaky_relu(gate.mul_(features), LEAK)
        gamma, beta = self._modulation(gated).chunk(2, dim=1)
        return torch.addcmul(state + beta, state, gamma)


class _FrozenNoise:
    """3D-SNI of one stage, all 1x1 convolutions as matrices."""

    def __init__(self, noise: NoiseInjection, dtype: torch.dtype) -> None:
        self.projection = _matrix(noise.projection, dtype)  # [Z,F]
        self.gate = _matrix(noise.gate, dtype)  # [Z,F]
        self.class_gate = (noise.class_gate.weight + noise.gate.bias).to(dtype)  # [C,F]
        self.refine_first = _Convolution(noise.refinement[0], dtype)
        last, scale = noise.refinement[2], noise.refinement_scale
        self.refine_last = _Convolution(last, dtype)
        self.refine_last.weight = (last.weight * scale[..., None]).to(
            dtype, memory_format=torch.channels_last
        )
        self.refine_last.bias = (last.bias * scale[:, 0, 0]).to(dtype)


class _Injection:
    """The noise of one slice at one stage, ready to be added strip by strip."""

    def __init__(
        self, weights: _FrozenNoise, pooled: Tensor, strength: float, classes: Tensor
    ) -> None:
        pooled = pooled.contiguous(memory_format=torch.channels_last)
        self._values = _rows(pooled)  # [n,Z]
        self._projection = weights.projection * strength
        self._gate = weights.gate
        self._class_gate = weights.class_gate
        self._classes = classes
        hidden = functional.leaky_relu_(weights.refine_first(pooled), LEAK)
        last = weights.refine_last
        self._refined = _rows(last(hidden))
        self._strength = strength

    def add_to(self, strip: Tensor, part: slice, buffer: _Buffer) -> None:
        values = self._values[part]
        gate = buffer.gather(0, self._class_gate, self._classes[part])
        torch.addmm(gate, values, self._gate, out=gate)
        gate.sigmoid_()
        projected = torch.mm(values, self._projection, out=buffer.take(1, strip.shape[0]))
        strip.addcmul_(gate, projected)
        strip.add_(self._refined[part], alpha=self._strength)


class _Buffer:
    """Two scratch strips, written again and again while they are in the cache."""

    def __init__(self, rows: Tensor) -> None:
        size = min(rows.shape[0], _strip_size(rows.shape[1], rows.device, rows.shape[0]))
        self._scratch = rows.new_empty(2, size, rows.shape[1])

    def take(self, number: int, size: int) -> Tensor:
        """[size,F] of scratch strip 0 or 1."""
        return self._scratch[number, :size]

    def gather(self, number: int, table: Tensor, index: Tensor) -> Tensor:
        """The table's rows at the index, in scratch strip 0 or 1."""
        return torch.index_select(table, 0, index, out=self.take(number, index.shape[0]))


class _Convolution:
    """A 3x3 convolution in channels-last order, of any dilation and grouping."""

    def __init__(self, layer: nn.Conv2d, dtype: torch.dtype) -> None:
        self.weight = layer.weight.to(dtype, memory_format=torch.channels_last)
        self.bias = None if layer.bias is None else layer.bias.to(dtype)
        self._options = (layer.stride, layer.padding, layer.dilation, layer.groups)

    def __call__(self, features: Tensor) -> Tensor:
        if features.device.type == "cpu" and features.dtype == torch.float32 and HAS_ONEDNN:
            # PyTorch's own choice for small grids is a slower convolution.
            stride, padding, dilation, groups = self._options
            out = torch.mkldnn_convolution(
                features, self.weight, self.bias, padding, stride, dilation, groups
            )
        else:
            out = functional.conv2d(features, self.weight, self.bias, *self._options)
        return out.contiguous(memory_format=torch.channels_last)


class _Pointwise:
    """A 1x1 convolution as a matrix product."""

    def __init__(self, layer: nn.Conv2d, dtype: torch.dtype) -> None:
        self._matrix = _matrix(layer, dtype)
        self._bias = layer.bias.to(dtype)

    def __call__(self, features: Tensor) -> Tensor:
        height, width = features.shape[2:]
        return _image(torch.addmm(self._bias, _rows(features), self._matrix), height, width)


class _Separable:
    """A depthwise convolution and a 1x1 convolution."""

    def __init__(self, layers: nn.Sequential, dtype: torch.dtype) -> None:
        self._depthwise = _Convolution(layers[0], dtype)
        self._pointwise = _Pointwise(layers[1], dtype)

    def __call__(self, features: Tensor) -> Tensor:
        return self._pointwise(self._depthwise(features))


def _convolution(layer: nn.Module, dtype: torch.dtype) -> _Convolution | _Separable:
    if isinstance(layer, nn.Sequential):
        return _Separable(layer, dtype)
    return _Convolution(layer, dtype)


def _matrix(layer: nn.Conv2d, dtype: torch.dtype) -> Tensor:
    """[Fin,Fout] of a 1x1 convolution; a view where the type is right."""
    return layer.weight.to(dtype).flatten(1).t()


def _modulate(
    source: Tensor, target: Tensor, modulation: Modulation, part: slice, buffer: _Buffer
) -> None:
    """LeakyReLU(source scale + shift) of a strip of pixels; target may be the source."""
    if modulation.index is None:
        scale, shift = modulation.scale[part], modulation.shift[part]
    else:
        index = modulation.index[part]
        scale = buffer.gather(0, modulation.scale, index)
        shift = buffer.gather(1, modulation.shift, index)
    torch.addcmul(shift, source, scale, out=target)
    functional.leaky_relu_(target, LEAK)


@lru_cache(maxsize=256)
def _pooled_scale(
    stride: int, spacing_ji_mm: tuple[float, float], sigmas_mm: tuple[float, ...]
) -> tuple[float, ...]:
    deviations = pooled_standard_deviation(stride, spacing_ji_mm, sigmas_mm)
    return tuple(1 / deviation for deviation in deviations)


def _rows(features: Tensor) -> Tensor:
    """[1,F,h,w] in channels-last order as [n,F]; a view."""
    return features.permute(0, 2, 3, 1).reshape(-1, features.shape[1])


def _image(rows: Tensor, height: int, width: int) -> Tensor:
    """[n,F] as [1,F,h,w] in channels-last order; a view."""
    return rows.view(1, height, width, -1).permute(0, 3, 1, 2)


def _cast(features: Tensor, dtype: torch.dtype) -> Tensor:
    return features.to(dtype).contiguous(memory_format=torch.channels_last)


def _strip_size(num_features: int, device: torch.device, num_pixels: int) -> int:
    if device.type != "cpu":
        return num_pixels
    return max(16, STRIP_VALUES // num_features)


def _strips(num_pixels: int, num_features: int, device: torch.device) -> list[slice]:
    size = _strip_size(num_features, device, num_pixels)
    return [slice(start, start + size) for start in range(0, num_pixels, size)]
