"""G-TC: gray values and texture of every label class (paper, section III-C, Eq. 3 and 4).

# Differs from the paper: Eq. 3 multiplies signed gradients, which cancel, and Eq. 4's product of
mean, standard deviation, maximum and minimum is zero as soon as one factor is. Here each of them is
a statistic of its own, on gradient magnitudes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from AnatoMaskGANLib.networks.spade import LEAK

# The order is that of the last axis of `gray_texture_statistics`; "soft" is a smooth maximum or
# minimum.
STATISTICS = (
    "mean",
    "standard deviation",
    "soft maximum",
    "soft minimum",
    "mean gradient",
    "rms gradient",
)
NUM_BINS = 32
MIN_PIXELS = 16  # a class with fewer pixels in a slice has no statistics there
_SHARPNESS = 8.0  # sharpness of the soft maximum and minimum, in 1 / intensity
_EPSILON = 1e-6


@dataclass(frozen=True)
class ClassRegions:
    """The places of every class in N slices; made once for a pair of images that are compared."""

    segments: Tensor  # [N,H,W] slice * C + class of every pixel
    is_inner: Tensor  # [N,H,W] 1 where all eight neighbors are of the same class
    areas: Tensor  # [N,C] pixels
    inner_areas: Tensor  # [N,C]

    @property
    def is_present(self) -> Tensor:
        """[N,C] classes large enough to be judged."""
        return self.areas >= MIN_PIXELS


class ClassValues(NamedTuple):
    """A value for every class."""

    values: Tensor  # [N,C]
    is_judged: Tensor  # [N,C] whether there are pixels enough for it


def class_regions(labels: Tensor, num_classes: int) -> ClassRegions:
    """Regions of label maps [N,H,W] with class indices in [0, num_classes)."""
    num_slices = labels.shape[0]
    segments = labels + torch.arange(num_slices, device=labels.device)[:, None, None] * num_classes
    values = functional.pad(labels[:, None].float(), (1, 1, 1, 1), mode="replicate")
    highest = functional.max_pool2d(values, 3, 1)
    lowest = -functional.max_pool2d(-values, 3, 1)
    is_inner = (highest == lowest)[:, 0].float()
    areas = _sum_by_class(torch.ones_like(is_inner), segments, num_slices * num_classes)
    inner_areas = _sum_by_class(is_inner, segments, num_slices * num_classes)
    shape = (num_slices, num_classes)
    return ClassRegions(segments, is_inner, areas.view(shape), inner_areas.view(shape))


def gray_texture_statistics(images: Tensor, regions: ClassRegions) -> Tensor:
    """[N,C,6] the `STATISTICS` of every class.

    images: [N,H,W] in [0,1]. The gradients (Sobel / 8) are those inside the eroded class, so that
    its outline does not count as texture. Classes that are not present give zeros.
    """
    num_slices, num_classes = regions.areas.shape

    def average(values: Tensor, areas: Tensor) -> Tensor:
        sums = _sum_by_class(values, regions.segments, num_slices * num_classes)
        return sums.view(num_slices, num_classes) / areas.clamp(min=1)

    areas = regions.areas
    mean = average(images, areas)
    centered = images - mean.reshape(-1)[regions.segments]
    standard_deviation = (average(centered**2, areas) + _EPSILON).sqrt()
    highest = (average((_SHARPNESS * images).exp(), areas) + _EPSILON).log() / _SHARPNESS
    lowest = -(average((-_SHARPNESS * images).exp(), areas) + _EPSILON).log() / _SHARPNESS
    gradient = _gradient_magnitude(images) * regions.is_inner
    texture = average(gradient, regions.inner_areas)
    rms = (average(gradient**2, regions.inner_areas) + _EPSILON).sqrt()
    statistics = torch.stack([mean, standard_deviation, highest, lowest, texture, rms], dim=-1)
    return statistics * regions.is_present[..., None]


def through_plane_texture(images: Tensor, labels: Tensor, num_classes: int) -> ClassValues:
    """[B*(S-1),C] mean |I(z+1) - I(z)| inside every class.

    images: [B,S,H,W] in [0,1]; labels: [B,S,H,W]. Counted where both slices have the class, away
    from its outline in either.
    """
    first, second = labels[:, :-1].flatten(0, 1), labels[:, 1:].flatten(0, 1)
    below, above = class_regions(first, num_classes), class_regions(second, num_classes)
    counted = below.is_inner * above.is_inner * (first == second)
    difference = (images[:, 1:] - images[:, :-1]).flatten(0, 1).abs() * counted
    size = below.areas.numel()
    areas = _sum_by_class(counted, below.segments, size)
    means = _sum_by_class(difference, below.segments, size) / areas.clamp(min=1)
    shape = below.areas.shape
    return ClassValues(means.view(shape), areas.view(shape) >= MIN_PIXELS)


def stack_standard_deviation(images: Tensor, labels: Tensor, num_classes: int) -> ClassValues:
    """[B,C] standard deviation of every class over all slices of its stack.

    images: [B,S,H,W] in [0,1]; labels: [B,S,H,W]. Unlike the one within a slice it sees how the
    slices differ, and it judges structures of a few pixels in each slice.
    """
    cases = labels.shape[0]
    first = torch.arange(cases, device=labels.device).view(-1, 1, 1, 1) * num_classes
    segments, size = labels + first, cases * num_classes
    areas = _sum_by_class(torch.ones_like(images), segments, size)
    mean = _sum_by_class(images, segments, size) / areas.clamp(min=1)
    centered = images - mean[segments]
    variance = _sum_by_class(centered.square(), segments, size) / areas.clamp(min=1)
    shape = (cases, num_classes)
    return ClassValues((variance + _EPSILON).sqrt().view(shape), areas.view(shape) >= MIN_PIXELS)


def soft_histogram(images: Tensor, regions: ClassRegions) -> Tensor:
    """[N,C,32] fraction of a class's pixels in every bin of [0,1], each pixel split between two
    bins.
    """
    num_slices, num_classes = regions.areas.shape
    place = images.clamp(0, 1) * (NUM_BINS - 1)
    lower = place.detach().floor().clamp(max=NUM_BINS - 2)
    upper_part = place - lower
    bins = regions.segments * NUM_BINS + lower.long()
    size = num_slices * num_classes * NUM_BINS
    counts = _sum_by_class(1 - upper_part, bins, size) + _sum_by_class(upper_part, bins + 1, size)
    fractions = (
        counts.view(num_slices, num_classes, NUM_BINS) / regions.areas.clamp(min=1)[..., None]
    )
    return fractions * regions.is_present[..., None]


def _sum_by_class(values: Tensor, segments: Tensor, size: int) -> Tensor:
    sums = torch.zeros(size, dtype=values.dtype, device=values.device)
    return sums.index_add(0, segments.reshape(-1), values.reshape(-1))


def _gradient_magnitude(images: Tensor) -> Tensor:
    padded = functional.pad(images[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    columns = padded[:, :, 2:] - padded[:, :, :-2]
    along_i = columns[:, :-2] + 2 * columns[:, 1:-1] + columns[:, 2:]
    rows = padded[:, 2:] - padded[:, :-2]
    along_j = rows[:, :, :-2] + 2 * rows[:, :, 1:-1] + rows[:, :, 2:]
    return ((along_i**2 + along_j**2) / 64 + _EPSILON).sqrt()


class GrayTextureClassifier(nn.Module):
    """Real or synthetic, one logit for every class of every slice; trained by its own optimizer."""

    def __init__(self, num_classes: int, num_hidden: int = 64, num_embedded: int = 16) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_classes, num_embedded)
        self.layers = nn.Sequential(
            nn.Linear(len(STATISTICS) + NUM_BINS + num_embedded, num_hidden),
            nn.LeakyReLU(LEAK),
            nn.Linear(num_hidden, num_hidden),
            nn.LeakyReLU(LEAK),
            nn.Linear(num_hidden, 1),
        )

    def forward(self, statistics: Tensor, histogram: Tensor) -> Tensor:
        """[N,C,6] statistics and [N,C,32] histogram -> logits [N,C]."""
        embedded = self.embedding.weight.expand(statistics.shape[0], -1, -1)
        # Histogram fractions are near 1 / 32; times 32 they have the size of the other inputs.
        return self.layers(torch.cat([statistics, histogram * NUM_BINS, embedded], -1))[..., 0]
