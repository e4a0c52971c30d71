"""Numbers the distinct label neighborhoods of a grid, and evaluates a label branch once for each.

SPADE's label branch is two 3x3 convolutions on a one-hot map: a pure function of the 5x5
label neighborhood of a pixel: its "word". `LabelWords` finds the distinct words; training evaluates
the branch for each of them (`table`), and so does the fast engine, which folds more into the table
(synthesis/engine/modulation_tables.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

_PACKED_BITS = 21  # three ids of 21 bits fit into one signed 64-bit integer


@dataclass(frozen=True, eq=False)
class LabelBranch:
    """Weights of the label-only part of a SPADE layer: two 3x3 convolutions, a rectifier between
    them.
    """

    hidden_kernel: Tensor  # [hidden,C,3,3]
    hidden_bias: Tensor  # [hidden]
    kernel: Tensor  # [2F,hidden,3,3] to gamma and beta
    bias: Tensor  # [2F]

    def convolved(self, condition: Tensor) -> Tensor:
        """[N,2F,h,w] gamma and beta of a condition [N,C,h,w], one-hot or not."""
        hidden = functional.conv2d(condition, self.hidden_kernel, self.hidden_bias, padding=1)
        return functional.conv2d(functional.relu(hidden), self.kernel, self.bias, padding=1)


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
        return self.rows(self.hidden(branch), branch.kernel, branch.bias)

    def hidden(self, branch: LabelBranch) -> Tensor:
        """[U3,hidden] activation of the branch's first convolution at every distinct 3x3 word."""
        kernel = branch.hidden_kernel  # [hidden,C,3,3]
        num_hidden = kernel.shape[0]
        rows = kernel.permute(1, 2, 3, 0).reshape(-1, num_hidden)  # [C*9,hidden]
        rows = torch.cat([rows, rows.new_zeros(9, num_hidden)])  # "outside" contributes nothing
        hidden = functional.embedding_bag(self.words3 * 9 + self._taps, rows, mode="sum")
        hidden = functional.relu(hidden + branch.hidden_bias)
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
    """Numbers 5x5 words by the 3x3 words at their four corners, which cover them; the rest as
    `_number_neighborhoods`.
    """
    if num_words3 > 2**15:
        return _number_neighborhoods(index3, num_words3)
    rows = (index3[:, :, :-2] << 15) | index3[:, :, 2:]
    return number((rows[:, :-2] << 30) | rows[:, 2:])


def number(packed: Tensor) -> tuple[Tensor, Tensor]:
    """Index of every entry among the distinct ones, and the flat place of one entry of each.

    They are numbered by their places: what neighbors look up in a table lies near by in memory.
    """
    # An example, for the packed neighborhoods 7 7 3 3 3 7 of a grid:
    flat = packed.reshape(-1)
    # Neighbors are often equal, and runs are found faster than an array is sorted.
    # runs 7 3 7, run_of 0 0 1 1 1 2, lengths 2 3 1
    runs, run_of, lengths = torch.unique_consecutive(flat, return_inverse=True, return_counts=True)
    # Only the runs are sorted: distinct 3 7, index_of_run 1 0 1.
    distinct, index_of_run = torch.unique(runs, return_inverse=True)
    # The end of a run is a place where its value stands: 1 4 5. Where a value has several runs, one
    # of them is kept, whichever is written last: places 4 (of 3), 5 (of 7).
    places = torch.empty(distinct.numel(), dtype=torch.long, device=packed.device)
    places[index_of_run] = lengths.cumsum(0) - 1
    # Turns numbers in the order of values into numbers in the order of places: here 3 -> 0, 7 -> 1.
    places, order = places.sort()
    number_of = torch.empty_like(order)
    number_of[order] = torch.arange(order.numel(), device=packed.device)
    # value of a run -> its number, then back to every entry of the run: 1 1 0 0 0 1
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
