"""Everything that the labels of some slices decide, found once: tables and where to look them up.

SPADE's label branches are a function of the 5x5 label neighborhood ("word") of a pixel. The tables
hold the modulation of every distinct word of their slices for every layer, and where each word
stands. Nothing in them depends on noise, so all samples of a label map share them.

Shape letters: S slices, H rows, W columns, n pixels of a stage's grid, F features, C classes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from AnatoMaskGANLib.networks.label_grids import DenseLabelField, LabelField
from AnatoMaskGANLib.networks.label_words import LabelWords, number
from AnatoMaskGANLib.synthesis.engine.fast_generator import CoarseLabels, FastGenerator
from AnatoMaskGANLib.synthesis.engine.fast_layers import FastSPADE, Modulation
from AnatoMaskGANLib.synthesis.engine.fast_stage import FastStage, StageLabels
from AnatoMaskGANLib.synthesis.engine.memory_plan import largest_share

PRODUCT_VALUES = 1 << 22
"""Products of inner words and weights that are summed to rows of a table at once: as many as a
third-level cache holds. All at once, the products of a stage take longer and hundreds of MiB."""


class ModulationTables:
    """The tables of neighboring slices.

    labels: [S,H,W] class indices, any integer type; H and W are multiples of the stride.
    check: called between the stages; what it raises ends the making.
    """

    def __init__(
        self, generator: FastGenerator, labels: Tensor, check: Callable[[], None] = lambda: None
    ) -> None:
        self.num_slices = labels.shape[0]
        self._generator = generator
        self._labels = labels
        whole = LabelField(labels, generator.settings.num_classes)
        self._stages: list[_StageTables] = []
        for stage in generator.stages:
            check()
            self._stages.append(_StageTables(generator, stage, whole))
        self._coarse: dict[int, CoarseLabels] = {}

    @property
    def num_bytes(self) -> int:
        """Memory of tables and indices."""
        return sum(stage.num_bytes for stage in self._stages)

    def stage_labels(
        self, slice_number: int, stage_number: int, context: tuple[Tensor, Tensor] | None
    ) -> StageLabels:
        """The labels of one slice as one stage needs them."""
        return self._stages[stage_number].of_slice(slice_number, context)

    def coarse(self, slice_number: int) -> CoarseLabels:
        """The labels of one slice as start and fusion need them; they are kept."""
        if slice_number not in self._coarse:
            generator = self._generator
            one = LabelField(
                self._labels[slice_number : slice_number + 1], generator.settings.num_classes
            )
            self._coarse[slice_number] = generator.coarse(
                one.fractions(generator.settings.stride), one.fractions(generator.fusion_stride)
            )
        return self._coarse[slice_number]


class _StageTables:
    """Words, tables and classes of the slices on the grid of one stage."""

    def __init__(self, generator: FastGenerator, stage: FastStage, whole: LabelField) -> None:
        labels = whole.labels_at(stage.stride)
        self._dtype = generator.dtype
        self._num_classes = generator.settings.num_classes
        self._layers = stage.layers
        self._grid = (labels.shape[1], labels.shape[2])
        self._labels = labels.to(torch.int32)
        self._index: Tensor | None = None
        self._tables: tuple[tuple[Tensor, Tensor], ...] = ()
        words = LabelWords(labels, self._num_classes)
        if words.words5.shape[0] <= largest_share(stage.stride) * labels.numel():
            self._index = words.index.flatten(1).to(torch.int32)
            self._tables = tuple(self._table(words, layer) for layer in stage.layers)

    @property
    def num_bytes(self) -> int:
        kept = [self._labels, *(part for table in self._tables for part in table)]
        if self._index is not None:
            kept.append(self._index)
        return sum(tensor.numel() * tensor.element_size() for tensor in kept)

    def of_slice(self, slice_number: int, context: tuple[Tensor, Tensor] | None) -> StageLabels:
        if self._index is None:
            field = DenseLabelField(
                self._labels[slice_number : slice_number + 1], self._num_classes
            )
            first, second = (self._convolved(layer, field) for layer in self._layers)
        else:
            index = self._index[slice_number]
            first, second = (Modulation(*table, index) for table in self._tables)
        classes = self._labels[slice_number].flatten()
        return StageLabels(self._grid, classes, context, (first, second))

    def _table(self, words: LabelWords, layer: FastSPADE) -> tuple[Tensor, Tensor]:
        """[U5,F] scale and [U5,F] shift."""
        hidden = words.hidden(layer.branch)
        kernels = layer.branch.kernel.chunk(2)
        biases = layer.branch.bias.chunk(2)
        scale, shift = (
            self._rows(words, hidden, kernel, bias)
            for kernel, bias in zip(kernels, biases, strict=True)
        )
        return scale, shift

    def _rows(self, words: LabelWords, hidden: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
        """[U5,F] table of the second convolution, made for some features at a time."""
        num_features = kernel.shape[0]
        table = hidden.new_empty(words.words5.shape[0], num_features, dtype=self._dtype)
        num_parts = -(-9 * hidden.shape[0] * num_features // PRODUCT_VALUES)
        step = -(-num_features // num_parts)
        step = max(32, -(-step // 8) * 8)
        for first in range(0, num_features, step):
            part = slice(first, first + step)
            table[:, part] = words.rows(hidden, kernel[part], bias[part])
        return table

    def _convolved(self, layer: FastSPADE, field: DenseLabelField) -> Modulation:
        both = field.modulation(layer.branch, 1)[0].flatten(1).t()
        return Modulation(*self._halves(both), None)

    def _halves(self, both: Tensor) -> tuple[Tensor, Tensor]:
        scale, shift = both.to(self._dtype).chunk(2, dim=1)
        return scale.contiguous(), shift.contiguous()


class ContextTables:
    """The distinct columns of labels through the slices, and what they add at every stage.

    labels: [S+2r,H,W] with the r slices below and above, r the generator's context radius.
    """

    def __init__(self, generator: FastGenerator, labels: Tensor) -> None:
        self._stages = [
            _stage_context(stage, labels, generator.settings.num_classes, generator.dtype)
            for stage in generator.stages
        ]

    def of_slice(self, slice_number: int, stage_number: int) -> tuple[Tensor, Tensor] | None:
        """Table [U,F] and row of every pixel [n]; None for a stage without context."""
        found = self._stages[stage_number]
        return None if found is None else (found[0], found[1][slice_number])


def _stage_context(
    stage: FastStage, labels: Tensor, num_classes: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor] | None:
    tables = stage.context_tables
    if not tables:
        return None
    center = stage.stride // 2
    sampled = labels[:, center :: stage.stride, center :: stage.stride].long()
    num_slices = labels.shape[0] - len(tables) + 1
    columns = [sampled[offset : offset + num_slices].contiguous() for offset in range(len(tables))]
    index, places = _number_columns(columns, num_classes)
    table = torch.zeros(())
    for weight, column in zip(tables, columns, strict=True):
        table = table + weight[column.reshape(-1)[places]]
    return table.to(dtype), index.flatten(1).to(torch.int32)


def _number_columns(columns: list[Tensor], num_classes: int) -> tuple[Tensor, Tensor]:
    """Numbers the distinct columns of labels: index [S,h,w] and one place of each."""
    bits = num_classes.bit_length()
    packed, used_bits = columns[0], bits
    for column in columns[1:]:
        if used_bits + bits > 63:
            packed, places = number(packed)
            used_bits = places.numel().bit_length()
        packed, used_bits = (packed << bits) | column, used_bits + bits
    return number(packed)
