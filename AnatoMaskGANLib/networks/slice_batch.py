"""The part of a label stack that is made, padded to a generator's stride, with its noise.

For generators that treat every slice by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from AnatoMaskGANLib.networks.noise import pool_noise


@dataclass(frozen=True)
class SliceBatch:
    """N slices on a grid that the stride divides."""

    labels: Tensor  # [N,H',W']
    noise: Tensor  # [N,Z,H',W'] of unit variance; zeros without noise
    strength: Tensor  # [N,1,1,1]
    spacing_ji_mm: tuple[float, float]
    sigmas_mm: tuple[float, ...]
    stack: tuple[int, int]  # cases, slices of a case
    size: tuple[int, int]  # rows and columns before padding

    def noise_at(self, stride: int) -> Tensor:
        """[N,Z,h,w] noise on the grid of a stage, of unit variance, times the strength."""
        return self.strength * pool_noise(self.noise, stride, self.spacing_ji_mm, self.sigmas_mm)

    def as_stack(self, values: Tensor) -> Tensor:
        """[N,F,H',W'] -> [B,S,F,H,W]."""
        height, width = self.size
        return values[:, :, :height, :width].unflatten(0, self.stack)


def slice_batch(
    labels: Tensor,
    num_slices: int,
    noise: Tensor | None,
    strength: Tensor | float,
    spacing_ji_mm: Sequence[float],
    sigmas_mm: tuple[float, ...],
    halo: int,
    stride: int,
) -> SliceBatch:
    """labels [B,S+2*halo,H,W], noise [B,Z,S,H,W] or None, strength a scalar or [B]."""
    cases, _, height, width = labels.shape
    padding = (0, -width % stride, 0, -height % stride)
    made = functional.pad(labels[:, halo : halo + num_slices], padding).flatten(0, 1)
    if noise is None:
        values = torch.zeros(made.shape[0], len(sigmas_mm), *made.shape[1:], device=labels.device)
    else:
        values = functional.pad(noise, padding).transpose(1, 2).flatten(0, 1)
    strengths = torch.as_tensor(strength, dtype=values.dtype, device=values.device)
    strengths = strengths.expand(cases).repeat_interleave(num_slices).view(-1, 1, 1, 1)
    return SliceBatch(
        made,
        values,
        strengths,
        (spacing_ji_mm[0], spacing_ji_mm[1]),
        sigmas_mm,
        (cases, num_slices),
        (height, width),
    )
