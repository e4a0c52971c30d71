"""One stage of the fast generator, band of rows by band of rows: `Stage` of networks/generator.py.

A band is what is convolved at once; a strip is a part of it that stays in a core's second-level
cache while everything that treats pixels by themselves is done to it. A convolution reads one row
more on either side, so its input is kept for the whole grid, between two rows of zeros.

Shape letters: n pixels of a stage's grid h x w, F features, Z noise octaves, C label classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
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
from AnatoMaskGANLib.synthesis.engine.workspace import Scratch, Workspace

BAND_VALUES = 1 << 20
"""Values of a band: fewer and larger bands convolve faster, while the memory of their results
stays small enough to be used again by the allocator. Measured: a slice of the paper preset takes
8 % less in bands of this size than as a whole."""
STRIP_VALUES = 1 << 18
"""Values of a strip: smaller ones fit better into the cache, but each costs the calls of a dozen
operations; with 1 << 15, the compact preset takes 10 % longer."""


@dataclass(frozen=True)
class StageLabels:
    """The tables of a slice's labels that one stage needs."""

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
            self.context_tables = stage.context.tables
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
        total = workspace.next_state(height * width, num_outputs)
        with (
            workspace.first_input.padded(height, width, num_inputs) as first,
            workspace.second_input.padded(height, width, num_middle) as second,
        ):
            self._before_first(state, labels, noise, workspace, first, total)
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
        """The first convolution's input [h+2,w,F], and what goes around both: the shortcut.

                                                   .-> shortcut -----------------> total
            state --enlarged--> + noise + context -+
                                                   '-> SPADE, leaky rectifier ---> first

        All of it treats pixels by themselves, so it is done strip by strip, one strip through
        the whole of it while it is in the cache. Only a normalization over the slice (group,
        instance) has to see all pixels before the first of them can go on to `first`: they wait in
        `unnormalized`. The statistics of batch normalization are in the tables already.
        """
        height, width = labels.grid
        num_inputs = state.shape[1]
        coarse = state[0].permute(1, 2, 0)  # [h,w,F] or [h/2,w/2,F]
        with ExitStack() as lent:
            whole: Tensor | None = None
            if not self.layers[0].is_folded:
                whole = lent.enter_context(workspace.unnormalized.lent(height * width, num_inputs))
            injection: _Injection | None = None
            if self._noise is not None and noise is not None:
                injection = lent.enter_context(
                    _injection(self._noise, noise, self.stride, labels, workspace)
                )
            for band in bands(labels.grid, num_inputs, state.device):
                band_noise = None if injection is None else injection.of_band(*band)
                for top, end in strips(band, width, num_inputs, state.device):
                    part = slice(top * width, end * width)  # a part of the grid's h * w pixels
                    with self._strip(part, whole, total, num_inputs, workspace) as rows:
                        _enlarge(coarse, rows.view(end - top, width, num_inputs), top, height)
                        if band_noise is not None:
                            band_noise.add_to(rows, top, end, workspace)
                        if labels.context is not None:
                            table, index = labels.context
                            with _gathered(workspace.addend, table, index[part]) as context:
                                rows += context
                        if self._shortcut is not None:
                            torch.mm(rows, self._shortcut, out=total[part])
                        elif whole is not None:
                            total[part] = rows
                        if whole is None:
                            # Row 0 of `first` is a row of zeros, so row r of the grid is its r + 1.
                            target = first[top + 1 : end + 1].flatten(0, 1)
                            _modulate(rows, target, labels.modulations[0], part, workspace)
            if whole is not None:
                self._modulate_normalized(0, whole, first, labels, workspace)

    @contextmanager
    def _strip(
        self,
        part: slice,
        whole: Tensor | None,
        total: Tensor,
        num_features: int,
        workspace: Workspace,
    ) -> Iterator[Tensor]:
        """The memory [n,F] for the pixels of a strip: the place where they are needed anyway."""
        if whole is not None:
            yield whole[part]
        elif self._shortcut is None:  # these pixels go around the convolutions as they are
            yield total[part]
        else:
            with workspace.strip.lent(part.stop - part.start, num_features) as rows:
                yield rows

    def _between(
        self, first: Tensor, second: Tensor, labels: StageLabels, workspace: Workspace
    ) -> None:
        """The second convolution's input from that of the first one, both [h+2,w,F]."""
        height, width = labels.grid
        num_middle = second.shape[2]
        padded = image_of(first.flatten(0, 1), height + 2, width)
        with ExitStack() as lent:
            whole: Tensor | None = None  # used as in `_before_first`
            if not self.layers[1].is_folded:
                whole = lent.enter_context(workspace.unnormalized.lent(height * width, num_middle))
            for band in bands(labels.grid, max(first.shape[2], num_middle), first.device):
                start, stop = band
                with workspace.first_output.lent((stop - start) * width, num_middle) as spare:
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
        """Modulates after a normalization that depends on the whole slice."""
        width = labels.grid[1]
        normalized = rows_of(self.layers[number].normalize(image_of(rows, *labels.grid)))
        for top, end in strips((0, labels.grid[0]), width, rows.shape[1], rows.device):
            part = slice(top * width, end * width)
            target = padded[top + 1 : end + 1].flatten(0, 1)
            _modulate(normalized[part], target, labels.modulations[number], part, workspace)


@dataclass(frozen=True)
class _Injection:
    """The noise of one slice at one stage."""

    weights: FastNoise
    strength: float
    projection: Tensor  # [Z,F] times the strength
    labels: StageLabels
    values: Tensor  # [h+2,w,Z]
    hidden: Tensor  # [1,8,h+2,w] of the refinement

    def of_band(self, top: int, end: int) -> _BandNoise:
        """The noise of the rows top to end - 1."""
        refined = self.weights.refine_last.on_padded_rows(self.hidden[:, :, top : end + 2])
        return _BandNoise(self, rows_of(refined), top)


@dataclass(frozen=True)
class _BandNoise:
    """The noise of a band of rows."""

    injection: _Injection
    refined: Tensor  # [n,F] the refinement's output in the band
    first_row: int  # the first row of the band

    def add_to(self, rows: Tensor, top: int, end: int, workspace: Workspace) -> None:
        """Adds the noise to the pixels [n,F] of rows top to end - 1, which are of the band."""
        injection = self.injection
        width, weights = injection.labels.grid[1], injection.weights
        values = injection.values[top + 1 : end + 1].flatten(0, 1)  # [n,Z]
        classes = injection.labels.classes[top * width : end * width]
        with (
            _gathered(workspace.factor, weights.class_gate, classes) as gate,
            workspace.addend.lent(*rows.shape) as projected,
        ):
            gate.addmm_(values, weights.gate).sigmoid_()
            rows.addcmul_(gate, torch.mm(values, injection.projection, out=projected))
        start = self.first_row
        refined = self.refined[(top - start) * width : (end - start) * width]
        rows.add_(refined, alpha=injection.strength)


@contextmanager
def _injection(
    weights: FastNoise, noise: SliceNoise, stride: int, labels: StageLabels, workspace: Workspace
) -> Iterator[_Injection]:
    """The noise of a slice on the grid of a stage, in the workspace until the context ends."""
    height, width = labels.grid
    strength = float(noise.strength)
    pooled = noise.pooled(stride)[0].permute(1, 2, 0)  # [h,w,Z]
    num_hidden = weights.refine_first.weight.shape[0]
    with (
        workspace.noise.padded(height, width, pooled.shape[2]) as values,
        workspace.refinement.padded(height, width, num_hidden) as hidden,
    ):
        values[1:-1] = pooled
        padded = image_of(values.flatten(0, 1), height + 2, width)
        for top, end in bands(labels.grid, num_hidden, hidden.device):
            found = weights.refine_first.on_padded_rows(padded[:, :, top : end + 2])
            functional.leaky_relu_(found, LEAK)
            hidden[top + 1 : end + 1] = found[0].permute(1, 2, 0)
        yield _Injection(
            weights,
            strength,
            weights.projection * strength,
            labels,
            values,
            image_of(hidden.flatten(0, 1), height + 2, width),
        )


def _modulate(
    source: Tensor, target: Tensor, modulation: Modulation, part: slice, workspace: Workspace
) -> None:
    """LeakyReLU(source scale + shift) of some pixels."""
    if modulation.index is None:
        modulate(source, target, modulation.scale[part], modulation.shift[part])
        return
    index = modulation.index[part]
    with (
        _gathered(workspace.factor, modulation.scale, index) as scale,
        _gathered(workspace.addend, modulation.shift, index) as shift,
    ):
        modulate(source, target, scale, shift)


@contextmanager
def _gathered(scratch: Scratch, table: Tensor, index: Tensor) -> Iterator[Tensor]:
    """The table's rows at the index, until the context ends."""
    with scratch.lent(index.shape[0], table.shape[1]) as rows:
        yield torch.index_select(table, 0, index, out=rows)


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
    """Parts of the rows; a GPU takes all at once.

    Each has an even number of rows, because a row of the stage before becomes two.
    """
    first, last = rows
    size = last - first
    if device.type == "cpu":
        size = max(2, most_values // row_values // 2 * 2)
    for top in range(first, last, size):
        yield top, min(last, top + size)
