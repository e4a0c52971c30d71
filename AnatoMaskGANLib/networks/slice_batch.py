"""The one input of every generator, and what every generator returns.

A new kind of generator is one class: an `ImageGenerator` whose `forward` takes a `SliceBatch`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from AnatoMaskGANLib.config import GeneratorSettings
from AnatoMaskGANLib.networks.label_grids import DenseLabelField
from AnatoMaskGANLib.networks.noise import SliceNoise


@dataclass(frozen=True)
class SliceBatch:
    """Stacks of slices that a generator makes images of; H and W may be any size."""

    labels: Tensor
    """[B,S+2*halo,H,W] class indices. Beyond the given slices lies background."""
    positions_mm: Tensor
    """[B,S] positions of the slices that are made, along the slice axis."""
    noise: Tensor | None = None
    """[B,Z,S,H,W] of `noise_field`, or None for the deterministic image."""
    strength: Tensor | float = 1.0
    """Strength of the noise: one number, or [B]."""
    spacing_ji_mm: tuple[float, float] = (1.0, 1.0)
    """Spacing of the pixels that the noise was drawn for."""
    halo: int = 0
    """Outer slices of `labels` on either side that are seen but not made."""
    use_words: bool = True
    """Evaluate SPADE's label branches once for every distinct neighborhood (exact) instead of
    convolving them. Generators without such branches do not read it."""

    @property
    def inner_labels(self) -> Tensor:
        """[B,S,H,W] labels of the slices that are made."""
        return self.labels[:, self.halo : self.halo + self.positions_mm.shape[1]]

    def padded_to(self, stride: int) -> SliceBatch:
        """The batch with rows and columns that the stride divides; background is added."""
        height, width = self.labels.shape[2:]
        padding = (0, -width % stride, 0, -height % stride)
        noise = None if self.noise is None else functional.pad(self.noise, padding)
        return replace(self, labels=functional.pad(self.labels, padding), noise=noise)

    def neighbor_labels(self, radius: int) -> Tensor:
        """[B,S,2*radius+1,H,W] labels of every slice that is made and of its neighbors."""
        num_slices = self.positions_mm.shape[1]
        short = max(0, radius - self.halo)
        padded = functional.pad(self.labels, (0, 0, 0, 0, short, short))
        first = self.halo + short - radius
        return torch.stack(
            [padded[:, first + d : first + d + num_slices] for d in range(2 * radius + 1)], dim=2
        )

    def slice_noise(self, sigmas_mm: tuple[float, ...]) -> SliceNoise:
        """The noise of the N slices that are made; zeros where there is none."""
        labels = self.inner_labels
        cases, num_slices, height, width = labels.shape
        if self.noise is None:
            shape = (cases * num_slices, len(sigmas_mm), height, width)
            values = torch.zeros(shape, device=labels.device)
        else:
            values = self.noise.transpose(1, 2).flatten(0, 1)
        strength = torch.as_tensor(self.strength, dtype=values.dtype, device=values.device)
        strength = strength.expand(cases).repeat_interleave(num_slices).view(-1, 1, 1, 1)
        return SliceNoise(values, strength, self.spacing_ji_mm, sigmas_mm)

    def as_stacks(self, values: Tensor) -> Tensor:
        """[N,F,H',W'] of the padded batch -> [B,S,F,H,W] of this one."""
        height, width = self.labels.shape[2:]
        return values[:, :, :height, :width].unflatten(0, self.positions_mm.shape)


class GeneratorOutput(NamedTuple):
    """The images that a generator makes of a batch, and their label logits if it has them."""

    image: Tensor
    """[B,S,1,H,W] in [0,1]."""
    label_logits: Tensor | None = None
    """[B,S,C',H,W] of a second head, where the generator has one."""


class ImageGenerator(nn.Module):
    """The base of every kind of generator: a network with its settings, called with a batch.

    Its `forward` takes a `SliceBatch` and returns a `GeneratorOutput`.
    """

    settings: GeneratorSettings

    if TYPE_CHECKING:

        def __call__(self, batch: SliceBatch) -> GeneratorOutput: ...


class NoisyLabelField(DenseLabelField):
    """Labels with noise as further channels, on the grid of every stage: OASIS's condition."""

    def __init__(self, labels: Tensor, num_classes: int, noise: SliceNoise) -> None:
        super().__init__(labels, num_classes)
        self._noise = noise
        self._conditions: dict[int, Tensor] = {}

    def condition(self, stride: int) -> Tensor:
        """[N,C+Z,h,w] one-hot labels and the noise times its strength."""
        if stride not in self._conditions:
            parts = [super().condition(stride), self.noise_at(stride)]
            self._conditions[stride] = torch.cat(parts, dim=1)
        return self._conditions[stride]

    def noise_at(self, stride: int) -> Tensor:
        """[N,Z,h,w] noise on the grid of a stage, times its strength."""
        return self._noise.strength * self._noise.pooled(stride)
