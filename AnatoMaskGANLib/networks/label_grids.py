"""The label map as the networks see it: labels, class fractions and SPADE's modulation on each
grid.

SPADE's label branch is two 3x3 convolutions on a one-hot map, hence a pure function of the 5x5
label neighborhood of a pixel. `WordLabelField` evaluates it once for every distinct neighborhood
("word") and gathers the result; `DenseLabelField` is the plain convolution. Both give the same
numbers.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

_PACKED_BITS = 21  # three ids of 21 bits fit into one signed 64-bit integer


class LabelBranch(Protocol):
    """The label-only part of a SPADE layer."""

    hidden: torch.nn.Conv2d  # C -> hidden features, 3x3
    modulation: torch.nn.Conv2d  # hidden features -> 2F (gamma, beta), 3x3


class LabelField:
    """Labels of N slices, sampled on the grid of every stage; the base of both evaluations.

    labels: [N,H,W] class indices in [0, num_classes); H and W are multiples of every stride used.
    """

    def __init__(self, labels: Tensor, num_classes: int) -> None:
        self.num_classes = num_classes
        self._labels_at: dict[int, Tensor] = {1: labels.long()}

    @property
    def labels(self) -> Tensor:
        """[N,H,W] class indices on the finest grid."""
        return self._labels_at[1]

    def labels_at(self, stride: int) -> Tensor:
        """[N,H/stride,W/stride] class index at the center pixel of every cell."""
        if stride not in self._labels_at:
            center = stride // 2
            self._labels_at[stride] = self.labels[:, center::stride, center::stride].contiguous()
        return self._labels_at[stride]

    def fractions(self, stride: int) -> Tensor:
        """[N,C,H/stride,W/stride] share of every class among the pixels of a cell."""
        num, height, width = self.labels.shape
        cells = (num, height // stride, stride, width // stride, stride)
        labels = self.labels.reshape(cells).permute(0, 1, 3, 2, 4).reshape(num, -1, stride**2)
        counts = torch.zeros(
            num, labels.shape[1], self.num_classes, device=labels.device, dtype=torch.float32
        )
        ones = torch.full((1, 1, 1), 1.0 / stride**2, device=labels.device)
        counts.scatter_add_(2, labels, ones.expand_as(labels))
        return counts.transpose(1, 2).reshape(
            num, self.num_classes, height // stride, width // stride
        )

    def modulation(self, branch: LabelBranch, stride: int) -> Tensor:
        """[N,2F,h,w] gamma and beta of one SPADE layer."""
        raise NotImplementedError


class DenseLabelField(LabelField):
    """Evaluates the label branch by convolving the one-hot map: the reference."""

    def modulation(self, branch: LabelBranch, stride: int) -> Tensor:
        one_hot = functional.one_hot(self.labels_at(stride), self.num_classes)
        one_hot = one_hot.permute(0, 3, 1, 2).to(branch.hidden.weight.dtype)
        return branch.modulation(functional.relu(branch.hidden(one_hot)))


class WordLabelField(LabelField):
    """Evaluates the label branch once for every distinct 5x5 label neighborhood.

    Exact: ids are packed, never hashed, so two different neighborhoods never share a word.
    """

    def __init__(self, labels: Tensor, num_classes: int) -> None:
        super().__init__(labels, num_classes)
        self._words_at: dict[int, LabelWords] = {}
        self._tables: dict[tuple[LabelBranch, int], Tensor] = {}

    def table_of(self, branch: LabelBranch, stride: int) -> Tensor:
        """[U5,2F] gamma and beta of the words, kept for the field's further slices."""
        key = (branch, stride)
        if key not in self._tables:
            self._tables[key] = self.words_at(stride).table(branch)
        return self._tables[key]

    def words_at(self, stride: int) -> LabelWords:
        """The words of this field on the grid of one stage, found once."""
        if stride not in self._words_at:
            self._words_at[stride] = LabelWords(self.labels_at(stride), self.num_classes)
        return self._words_at[stride]

    def of_slice(self, number: int) -> WordLabelField:
        """The field of one slice [1,H,W], with the words of the whole field and their tables."""
        return _SliceOfWordField(self, number)

    def modulation(self, branch: LabelBranch, stride: int) -> Tensor:
        words = self.words_at(stride)
        table = words.table(branch)
        return functional.embedding(words.index, table).permute(0, 3, 1, 2)


class _SliceOfWordField(WordLabelField):
    """One slice of a field; the table of a label branch is evaluated once for all its slices."""

    def __init__(self, whole: WordLabelField, number: int) -> None:
        super().__init__(whole.labels[number : number + 1], whole.num_classes)
        self._whole = whole
        self._number = number

    def modulation(self, branch: LabelBranch, stride: int) -> Tensor:
        index = self._whole.words_at(stride).index[self._number : self._number + 1]
        table = self._whole.table_of(branch, stride)
        return functional.embedding(index, table).permute(0, 3, 1, 2)


class LabelWords:
    """The distinct label neighborhoods of one grid.

    index: [N,h,w] number of the 5x5 word at every pixel.
    words3: [U3,9] labels of every distinct 3x3 neighborhood; num_classes stands for "outside".
    words5: [U5,9] every distinct 5x5 neighborhood, as its nine 3x3 words.
    """

    def __init__(self, labels: Tensor, num_classes: int) -> None:
        outside = num_classes
        self.num_classes = num_classes
        padded = functional.pad(labels, (2, 2, 2, 2), value=outside)  # [N,h+4,w+4]
        index3, first3 = _number_neighborhoods(padded, num_classes + 1)  # [N,h+2,w+2]
        self.words3 = _neighborhoods_at(padded, first3)
        self.index, first5 = _number_corners(index3, self.words3.shape[0])
        self.words5 = _neighborhoods_at(index3, first5)
        self.is_outside = self.words3[:, 4] == outside

    def table(self, branch: LabelBranch) -> Tensor:
        """[U5,2F] gamma and beta of every distinct 5x5 word."""
        return self.rows(self.hidden(branch), branch.modulation.weight, branch.modulation.bias)

    def hidden(self, branch: LabelBranch) -> Tensor:
        """[U3,hidden] activation of the branch's first convolution at every distinct 3x3 word."""
        kernel = branch.hidden.weight  # [hidden,C,3,3]
        num_hidden = kernel.shape[0]
        rows = kernel.permute(1, 2, 3, 0).reshape(-1, num_hidden)  # [C*9,hidden]
        rows = torch.cat([rows, rows.new_zeros(9, num_hidden)])  # "outside" contributes nothing
        hidden = functional.embedding_bag(self.words3 * 9 + self._taps, rows, mode="sum")
        hidden = functional.relu(hidden + branch.hidden.bias)
        # The second convolution pads its input with zeros: no activation outside the image.
        return hidden.masked_fill(self.is_outside[:, None], 0.0)

    def rows(self, hidden: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
        """[U5,Fout] of the second convolution, or of some of its outputs, at every 5x5 word.

        kernel: [Fout,hidden,3,3]; bias: [Fout].
        """
        num_outputs, num_hidden = kernel.shape[:2]
        products = hidden @ kernel.permute(1, 2, 3, 0).reshape(num_hidden, -1)  # [U3,9*Fout]
        table = functional.embedding_bag(
            self.words5 * 9 + self._taps, products.reshape(-1, num_outputs), mode="sum"
        )
        return table.add_(bias)

    @property
    def _taps(self) -> Tensor:
        return torch.arange(9, device=self.words3.device)


def _number_neighborhoods(ids: Tensor, num_ids: int) -> tuple[Tensor, Tensor]:
    """Numbers the distinct 3x3 neighborhoods of ids [N,H,W]: index [N,H-2,W-2] and one place of
    each.
    """
    if num_ids <= 2**7:  # nine labels of seven bits fit at once
        rows = (ids[:, :, :-2] << 14) | (ids[:, :, 1:-1] << 7) | ids[:, :, 2:]
        return number((rows[:, :-2] << 42) | (rows[:, 1:-1] << 21) | rows[:, 2:])
    if num_ids > 2**_PACKED_BITS:
        raise ValueError(
            f"{num_ids} distinct label words do not fit; synthesize fewer slices at once"
        )
    rows = (
        (ids[:, :, :-2] << (2 * _PACKED_BITS)) | (ids[:, :, 1:-1] << _PACKED_BITS) | ids[:, :, 2:]
    )
    row_index, first = number(rows)
    if first.numel() > 2**_PACKED_BITS:
        raise ValueError(
            f"{first.numel()} distinct label rows do not fit; synthesize fewer slices at once"
        )
    packed = (
        (row_index[:, :-2] << (2 * _PACKED_BITS))
        | (row_index[:, 1:-1] << _PACKED_BITS)
        | row_index[:, 2:]
    )
    return number(packed)


def _number_corners(index3: Tensor, num_words3: int) -> tuple[Tensor, Tensor]:
    """As `_number_neighborhoods` for 3x3 words, whose four corners cover the 5x5 word."""
    if num_words3 > 2**15:
        return _number_neighborhoods(index3, num_words3)
    rows = (index3[:, :, :-2] << 15) | index3[:, :, 2:]
    return number((rows[:, :-2] << 30) | rows[:, 2:])


def number(packed: Tensor) -> tuple[Tensor, Tensor]:
    """Index of every entry among the distinct ones, and the flat place of one entry of each.

    They are numbered by their places: what neighbors look up in a table lies near by in memory.
    """
    # Neighbors are often equal, and runs are found faster than an array is sorted.
    flat = packed.reshape(-1)
    runs, run_of, lengths = torch.unique_consecutive(flat, return_inverse=True, return_counts=True)
    distinct, index_of_run = torch.unique(runs, return_inverse=True)
    places = torch.empty(distinct.numel(), dtype=torch.long, device=packed.device)
    places[index_of_run] = lengths.cumsum(0) - 1
    places, order = places.sort()
    number_of = torch.empty_like(order)
    number_of[order] = torch.arange(order.numel(), device=packed.device)
    return number_of[index_of_run][run_of].view(packed.shape), places


def _neighborhoods_at(ids: Tensor, places: Tensor) -> Tensor:
    """[U,9] the 3x3 neighborhoods of ids [N,H,W] at flat places of the [N,H-2,W-2] grid."""
    height, width = ids.shape[1] - 2, ids.shape[2] - 2
    slices = places // (height * width)
    rows = places % (height * width) // width
    columns = places % width
    steps = torch.arange(3, device=ids.device)
    return ids[
        slices[:, None, None],
        rows[:, None, None] + steps[None, :, None],
        columns[:, None, None] + steps[None, None, :],
    ].reshape(-1, 9)
