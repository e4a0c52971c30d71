"""One stage of a frozen generator, band of rows by band of rows.

A band is what is convolved at once; a strip is a part of it that stays in a core's second-level
cache while everything that treats pixels by themselves is done to it. A convolution reads one row
more on either side, so its input is kept for the whole grid, between two rows of zeros.

Shape letters: n pixels of a stage's grid h x w, F features, Z noise octaves, C label classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from AnatoMaskGANLib.networks.generator import Stage
from AnatoMaskGANLib.networks.noise import SliceNoise
from AnatoMaskGANLib.networks.spade import LEAK
from AnatoMaskGANLib.synthesis.engine.fast_layers import (
    BlockConvolution,
    FastNoise,
    FastSPADE,
    Modulation,
    image_of,
    matrix_of,
    modulate,
    rows_of,
)
from AnatoMaskGANLib.synthesis.engine.workspace import Workspace

BAND_VALUES = 1 << 20
"""Values of a band: fewer and larger bands convolve faster, while the memory of their results
stays small enough to be used again by the allocator. Measured: a slice of the paper preset takes
8 % less in bands of this size than as a whole."""
STRIP_VALUES = 1 << 18
"""Values of a strip: smaller ones fit better into the cache, but each costs the calls of a dozen
operations; with 1 << 15, the compact preset takes 10 % longer."""


@dataclass(frozen=True)
class StageLabels:
    """What one stage needs to know of the labels of a slice."""

    grid: tuple[int, int]  # h, w
    classes: Tensor  # [n] class at the center pixel of every cell
    context: tuple[Tensor, Tensor] | None  # table [U,F] and row of every pixel [n]
    modulations: tuple[Modulation, Modulation]


class FastStage:
    """One resolution of the decoder: context, noise and a SPADE residual block."""

    def __init__(self, stage: Stage, dtype: torch.dtype) -> None:
        block = stage.block
        self.stride = stage.stride
        self._first = BlockConvolution(block.conv0, dtype, adds_bias=False)
        self._second = BlockConvolution(block.conv1, dtype, adds_bias=True)
        self.layers = (FastSPADE(block.spade0), FastSPADE(block.spade1, self._first.bias))
        self.context_tables: list[Tensor] = []
        if stage.context is not None:
            self.context_tables = [table.weight for table in stage.context.offsets]
        self._noise = None if stage.noise is None else FastNoise(stage.noise, dtype)
        self._shortcut: Tensor | None = None  # [Fin,Fout]
        if isinstance(block.shortcut, nn.Conv2d):
            self._shortcut = matrix_of(block.shortcut, dtype)

    def __call__(
        self, state: Tensor, labels: StageLabels, noise: SliceNoise | None, workspace: Workspace
    ) -> Tensor:
        """state [1,Fin,h,w], or of half the grid -> [1,Fout,h,w] in the workspace.

        The workspace holds two states, this one's and that of the stage before.
        """
        height, width = labels.grid
        num_inputs, num_middle = state.shape[1], self._first.num_outputs
        num_outputs = self._second.num_outputs
        total = workspace.take(f"state {self.stride.bit_length() % 2}", height * width, num_outputs)
        first = workspace.take_padded("first", height, width, num_inputs)
        self._before_first(state, labels, noise, workspace, first, total)
        second = workspace.take_padded("second", height, width, num_middle)
        self._between(first, second, labels, workspace)
        padded = image_of(second.flatten(0, 1), height + 2, width)
        for top, end in bands(labels.grid, max(num_middle, num_outputs), state.device):
            self._second.add_rows(padded[:, :, top : end + 2], total[top * width : end * width])
        return image_of(total, height, width)

    def _before_first(
        self,
        state: Tensor,
        labels: StageLabels,
        noise: SliceNoise | None,
        workspace: Workspace,
        first: Tensor,
        total: Tensor,
    ) -> None:
        """The first convolution's input, and what goes around both: the shortcut."""
        height, width = labels.grid
        num_inputs = state.shape[1]
        folded = self.layers[0].is_folded
        coarse = state[0].permute(1, 2, 0)  # [h,w,F] or [h/2,w/2,F]
        whole: Tensor | None = None  # kept for a normalization over the slice
        if not folded:
            whole = workspace.take("whole", height * width, num_inputs)
        injection = None
        if self._noise is not None and noise is not None:
            injection = _Injection(self._noise, noise, self.stride, labels, workspace)
        for band in bands(labels.grid, num_inputs, state.device):
            if injection is not None:
                injection.refine(*band)
            for top, end in strips(band, width, num_inputs, state.device):
                part = slice(top * width, end * width)
                if whole is not None:
                    rows = whole[part]
                elif self._shortcut is None:
                    rows = total[part]
                else:
                    rows = workspace.take("strip", (end - top) * width, num_inputs)
                _enlarge(coarse, rows.view(end - top, width, num_inputs), top, height)
                if injection is not None:
                    injection.add_to(rows, top, end)
                if labels.context is not None:
                    table, index = labels.context
                    rows += _gathered(workspace, "scale", table, index[part])
                if self._shortcut is not None:
                    torch.mm(rows, self._shortcut, out=total[part])
                elif whole is not None:
                    total[part] = rows
                if folded:
                    target = first[top + 1 : end + 1].flatten(0, 1)
                    _modulate(rows, target, labels.modulations[0], part, workspace)
        if whole is not None:
            self._modulate_normalized(0, whole, first, labels, workspace)

    def _between(
        self, first: Tensor, second: Tensor, labels: StageLabels, workspace: Workspace
    ) -> None:
        """The second convolution's input from that of the first one."""
        height, width = labels.grid
        num_middle = second.shape[2]
        folded = self.layers[1].is_folded
        whole: Tensor | None = None
        if not folded:
            whole = workspace.take("whole", height * width, num_middle)
        padded = image_of(first.flatten(0, 1), height + 2, width)
        for band in bands(labels.grid, max(first.shape[2], num_middle), first.device):
            start, stop = band
            spare = workspace.take("band", (stop - start) * width, num_middle)
            made = self._first.rows(padded[:, :, start : stop + 2], spare)
            if whole is not None:
                bias = self._first.bias.to(made.dtype)
                torch.add(made, bias, out=whole[start * width : stop * width])
                continue
            for top, end in strips(band, width, num_middle, first.device):
                rows = made[(top - start) * width : (end - start) * width]
                target = second[top + 1 : end + 1].flatten(0, 1)
                part = slice(top * width, end * width)
                _modulate(rows, target, labels.modulations[1], part, workspace)
        if whole is not None:
            self._modulate_normalized(1, whole, second, labels, workspace)

    def _modulate_normalized(
        self, number: int, rows: Tensor, padded: Tensor, labels: StageLabels, workspace: Workspace
    ) -> None:
        """For normalizations that depend on the whole slice."""
        width = labels.grid[1]
        normalized = rows_of(self.layers[number].normalize(image_of(rows, *labels.grid)))
        for top, end in strips((0, labels.grid[0]), width, rows.shape[1], rows.device):
            part = slice(top * width, end * width)
            target = padded[top + 1 : end + 1].flatten(0, 1)
            _modulate(normalized[part], target, labels.modulations[number], part, workspace)


class _Injection:
    """The noise of one slice at one stage."""

    def __init__(
        self,
        weights: FastNoise,
        noise: SliceNoise,
        stride: int,
        labels: StageLabels,
        workspace: Workspace,
    ) -> None:
        self._weights = weights
        self._workspace = workspace
        self._classes = labels.classes
        self._width = labels.grid[1]
        self._strength = float(noise.strength)
        self._projection = weights.projection * self._strength
        height, width = labels.grid
        pooled = noise.pooled(stride)[0].permute(1, 2, 0)  # [h,w,Z]
        self._values = workspace.take_padded("noise", height, width, pooled.shape[2])
        self._values[1:-1] = pooled
        num_hidden = weights.refine_first.weight.shape[0]
        hidden = workspace.take_padded("hidden noise", height, width, num_hidden)
        padded = image_of(self._values.flatten(0, 1), height + 2, width)
        for top, end in bands(labels.grid, num_hidden, hidden.device):
            found = weights.refine_first.on_padded_rows(padded[:, :, top : end + 2])
            functional.leaky_relu_(found, LEAK)
            hidden[top + 1 : end + 1] = found[0].permute(1, 2, 0)
        self._hidden = image_of(hidden.flatten(0, 1), height + 2, width)
        self._refined: Tensor | None = None  # [n,F] of a band
        self._first_row = 0  # of the band

    def refine(self, top: int, end: int) -> None:
        """Prepares the band of rows top to end - 1."""
        refined = self._weights.refine_last.on_padded_rows(self._hidden[:, :, top : end + 2])
        self._refined, self._first_row = rows_of(refined), top

    def add_to(self, rows: Tensor, top: int, end: int) -> None:
        """Adds the noise to the pixels of rows top to end - 1, which are of the band."""
        width, weights = self._width, self._weights
        values = self._values[top + 1 : end + 1].flatten(0, 1)  # [n,Z]
        classes = self._classes[top * width : end * width]
        gate = _gathered(self._workspace, "scale", weights.class_gate, classes)
        gate.addmm_(values, weights.gate).sigmoid_()
        projected = self._workspace.take("shift", *rows.shape)
        rows.addcmul_(gate, torch.mm(values, self._projection, out=projected))
        start = self._first_row
        refined = self._refined[(top - start) * width : (end - start) * width]
        rows.add_(refined, alpha=self._strength)


def _modulate(
    source: Tensor, target: Tensor, modulation: Modulation, part: slice, workspace: Workspace
) -> None:
    """LeakyReLU(source scale + shift) of some pixels."""
    if modulation.index is None:
        scale, shift = modulation.scale[part], modulation.shift[part]
    else:
        index = modulation.index[part]
        scale = _gathered(workspace, "scale", modulation.scale, index)
        shift = _gathered(workspace, "shift", modulation.shift, index)
    modulate(source, target, scale, shift)


def _gathered(workspace: Workspace, name: str, table: Tensor, index: Tensor) -> Tensor:
    """The table's rows at the index."""
    out = workspace.take(name, index.shape[0], table.shape[1])
    return torch.index_select(table, 0, index, out=out)


def _enlarge(coarse: Tensor, rows: Tensor, top: int, height: int) -> None:
    """Writes the rows [r,w,F] from `top` on of a grid of that height; coarse as it is, or of half
    the grid.
    """
    if coarse.shape[0] == height:
        rows.copy_(coarse[top : top + rows.shape[0]])
        return
    part = coarse[top // 2 : (top + rows.shape[0]) // 2]
    num_rows, width, num_features = part.shape
    target = rows.view(num_rows, 2, width, 2, num_features)
    target.copy_(part[:, None, :, None].expand_as(target))


def bands(
    grid: tuple[int, int], num_features: int, device: torch.device
) -> Iterator[tuple[int, int]]:
    """First and one past the last row of every band of a grid."""
    return _cut((0, grid[0]), grid[1] * num_features, BAND_VALUES, device)


def strips(
    band: tuple[int, int], width: int, num_features: int, device: torch.device
) -> Iterator[tuple[int, int]]:
    """First and one past the last row of every strip of a band."""
    return _cut(band, width * num_features, STRIP_VALUES, device)


def _cut(
    rows: tuple[int, int], row_values: int, most_values: int, device: torch.device
) -> Iterator[tuple[int, int]]:
    """Even numbers of rows, because a row of the stage before becomes two; a GPU takes all."""
    first, last = rows
    size = last - first
    if device.type == "cpu":
        size = max(2, most_values // row_values // 2 * 2)
    for top in range(first, last, size):
        yield top, min(last, top + size)
