"""A color for every label: far from its neighbors' values, the same for left and right."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence

import numpy as np

GOLDEN_RATIO = 0.6180339887


def label_colors(
    values: Sequence[int], swaps: Mapping[int, int] | None = None
) -> dict[int, tuple[float, float, float]]:
    """Label value -> RGB in [0,1]; 0 is black. Left-right partners (`swaps`) share one color.

    A color depends on the label value only, so that it is the same in every picture.
    """
    colors = {0: (0.0, 0.0, 0.0)}
    for value in values:
        if value != 0:
            owner = min(value, (swaps or {}).get(value, value))
            lightness = (0.52, 0.64, 0.76)[owner % 3]
            hue = (0.08 + owner * GOLDEN_RATIO) % 1.0
            colors[int(value)] = colorsys.hls_to_rgb(hue, lightness, 0.62)
    return colors


def paint_labels(
    labels_hw: np.ndarray, colors: Mapping[int, tuple[float, float, float]]
) -> np.ndarray:
    """The slice of label values as an RGB picture [H,W,3] in [0,1]."""
    values, inverse = np.unique(labels_hw, return_inverse=True)
    palette = np.array([colors[int(value)] for value in values], dtype=np.float32)
    return palette[inverse.reshape(labels_hw.shape)]
