"""Whether an image changes from voxel to voxel as much as a real one: blur and jumps show here."""

from __future__ import annotations

import math

import numpy as np

from AnatoMaskGANLib.evaluation.fidelity import similarity_map
from AnatoMaskGANLib.evaluation.protocol import compared_slices, resize_mask, resize_slice


def mean_step(image_kji: np.ndarray, labels_kji: np.ndarray, axis: int) -> float:
    """Mean absolute difference of neighbors along the axis where both are labelled; nan if none.

    The outline against the background is left out: it is the largest step of all and the label
    map gives it away, so that even the label-mean image would seem nearly right.
    """
    foreground = np.moveaxis(labels_kji > 0, axis, 0)
    image = np.moveaxis(image_kji, axis, 0)
    both = foreground[1:] & foreground[:-1]
    if not both.any():
        return math.nan
    return float(np.abs(np.diff(image, axis=0))[both].mean(dtype=np.float64))


def _ratio(synthetic: float, real: float) -> float:
    return synthetic / real if real > 0 else math.nan


def step_ratios(
    real_kji: np.ndarray, synthetic_kji: np.ndarray, labels_kji: np.ndarray
) -> dict[str, float]:
    """|dz| and |dxy| of the synthetic image over those of the real one; 1 is right."""

    def in_plane(image_kji: np.ndarray) -> float:
        return (mean_step(image_kji, labels_kji, 1) + mean_step(image_kji, labels_kji, 2)) / 2

    return {
        "dz_ratio": _ratio(
            mean_step(synthetic_kji, labels_kji, 0), mean_step(real_kji, labels_kji, 0)
        ),
        "dxy_ratio": _ratio(in_plane(synthetic_kji), in_plane(real_kji)),
    }


def adjacent_similarity(image_kji: np.ndarray, labels_kji: np.ndarray) -> float:
    """Mean SSIM between neighboring slices over pixels labelled in both; nan if there are none."""
    indices = compared_slices(labels_kji)
    values = []
    previous_k, previous = -2, None
    for k in indices:
        current = (resize_slice(image_kji[k]), resize_mask(labels_kji[k] > 0))
        if k == previous_k + 1 and previous is not None:
            both = current[1] & previous[1]
            if both.any():
                values.append(similarity_map(previous[0], current[0])[1][both].mean())
        previous_k, previous = k, current
    return float(np.mean(values)) if values else math.nan


def adjacent_similarity_ratio(
    real_kji: np.ndarray, synthetic_kji: np.ndarray, labels_kji: np.ndarray
) -> float:
    """SSIM of neighboring slices, synthetic over real: above 1 too smooth, below 1 jumping."""
    return _ratio(
        adjacent_similarity(synthetic_kji, labels_kji), adjacent_similarity(real_kji, labels_kji)
    )
