"""Superpixels as classes: the quantized mean intensity of each."""

from __future__ import annotations

from torch import Tensor

NUM_LEVELS = 26  # means of 0..255 in steps of ten, as in SemiCS2


def superpixel_levels(means: Tensor) -> Tensor:
    """int64 classes 0 to 25 of superpixel means in [0,1]."""
    return (means * 255).round().long().clamp(0, 255) // 10
