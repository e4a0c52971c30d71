"""The label map as the networks see it: labels, class fractions and SPADE's modulation on each
grid.

`WordLabelField` evaluates SPADE's label branch once for every distinct label neighborhood
(label_words.py) and gathers the result; `DenseLabelField` is the plain convolution. Both give the
same numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from AnatoMaskGANLib.networks.label_words import LabelBranch, LabelWords

NUM_LEVELS = 26  # levels of superpixels: means of 0..255 in steps of ten, as in SemiCS2


def superpixel_levels(means: Tensor) -> Tensor:
    """Superpixels as classes: int64 0 to 25 of their means in [0,1]."""
    return (means * 255).round().long().clamp(0, 255) // 10


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
        """[N,C,H/stride,W/stride] fraction of every class among the pixels of a cell."""
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

    def condition(self, stride: int) -> Tensor:
        """[N,C,h,w] what is convolved: the labels at the centers of the cells, one-hot."""
        one_hot = functional.one_hot(self.labels_at(stride), self.num_classes)
        return one_hot.permute(0, 3, 1, 2).float()

    def modulation(self, branch: LabelBranch, stride: int) -> Tensor:
        return branch.convolved(self.condition(stride).to(branch.hidden_kernel.dtype))


class WordLabelField(LabelField):
    """Evaluates the label branch once for every distinct 5x5 label neighborhood.

    Exact: ids are packed, never hashed, so two different neighborhoods never share a word.
    """

    def __init__(self, labels: Tensor, num_classes: int) -> None:
        super().__init__(labels, num_classes)
        self._words_at: dict[int, LabelWords] = {}

    def words_at(self, stride: int) -> LabelWords:
        """The words of this field on the grid of one stage, found once."""
        if stride not in self._words_at:
            self._words_at[stride] = LabelWords(self.labels_at(stride), self.num_classes)
        return self._words_at[stride]

    def modulation(self, branch: LabelBranch, stride: int) -> Tensor:
        words = self.words_at(stride)
        table = words.table(branch)
        return functional.embedding(words.index, table).permute(0, 3, 1, 2)
