"""Measures how near a synthetic image comes to the real one of the same anatomy.

Its values are compared (PSNR, SSIM, absolute error), and how much it changes from voxel to voxel:
steps that are too small are blur, steps that are too large are jumps.
"""

from __future__ import annotations

import math

import numpy as np
from skimage.metrics import structural_similarity

from AnatoMaskGANLib.evaluation.metrics.protocol import (
    compared_slices,
    resize_mask,
    resize_slice,
    slice_pairs,
)

WINDOW_SIZE = 7
"""Edge of the SSIM window in pixels: scikit-image's default."""


def peak_signal_to_noise_db(real: np.ndarray, synthetic: np.ndarray) -> float:
    """PSNR in dB of images in [0,1], with data range 1 whatever they contain; inf if equal."""
    squared_error = float(np.mean(np.square(real.astype(np.float64) - synthetic)))
    return math.inf if squared_error == 0 else -10 * math.log10(squared_error)


def similarity_map(real: np.ndarray, synthetic: np.ndarray) -> tuple[float, np.ndarray]:
    """SSIM of two images in [0,1] (2-D or 3-D) with data range 1: its mean and its map.

    scikit-image's mean leaves out a border of half a window; the map keeps it.
    """
    return structural_similarity(
        real, synthetic, win_size=WINDOW_SIZE, data_range=1.0, full=True, gaussian_weights=False
    )


def slice_fidelity(
    real_kji: np.ndarray, synthetic_kji: np.ndarray, labels_kji: np.ndarray
) -> dict[str, float]:
    """PSNR and SSIM by the paper's protocol, over all pixels and over labeled ones.

    Images in [0,1] on the model grid. Each metric is the mean over the slices of the case.
    """
    rows = []
    for _, real, synthetic, foreground in slice_pairs(real_kji, synthetic_kji, labels_kji):
        similarity, map_hw = similarity_map(real, synthetic)
        rows.append(
            (
                peak_signal_to_noise_db(real, synthetic),
                similarity,
                peak_signal_to_noise_db(real[foreground], synthetic[foreground]),
                map_hw[foreground].mean(),
            )
        )
    means = np.mean(np.asarray(rows, dtype=np.float64), axis=0)
    keys = ("psnr", "ssim", "psnr_foreground", "ssim_foreground")
    return {key: float(mean) for key, mean in zip(keys, means, strict=True)}


def volume_similarity(real_kji: np.ndarray, synthetic_kji: np.ndarray) -> float:
    """3-D SSIM of two volumes in [0,1], windows of 7x7x7 voxels; nan if a window does not fit."""
    if min(real_kji.shape) < WINDOW_SIZE:
        return math.nan
    return float(
        structural_similarity(real_kji, synthetic_kji, win_size=WINDOW_SIZE, data_range=1.0)
    )


def absolute_error(
    real_kji: np.ndarray, synthetic_kji: np.ndarray, labels_kji: np.ndarray
) -> dict[str, float]:
    """Mean absolute error in the unit of the scan, not clipped to the window."""
    error = np.abs(real_kji.astype(np.float32) - synthetic_kji.astype(np.float32))
    return {
        "mae": float(error.mean(dtype=np.float64)),
        "mae_foreground": float(error[labels_kji > 0].mean(dtype=np.float64)),
    }


def mean_step(image_kji: np.ndarray, labels_kji: np.ndarray, axis: int) -> float:
    """Mean absolute difference of neighbors along an axis, both labeled; nan if there are none.

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
    """|dz| and |dxy| of the synthetic image divided by those of the real one; 1 is right."""

    def in_plane(image_kji: np.ndarray) -> float:
        return (mean_step(image_kji, labels_kji, 1) + mean_step(image_kji, labels_kji, 2)) / 2

    return {
        "dz_ratio": _ratio(
            mean_step(synthetic_kji, labels_kji, 0), mean_step(real_kji, labels_kji, 0)
        ),
        "dxy_ratio": _ratio(in_plane(synthetic_kji), in_plane(real_kji)),
    }


def adjacent_similarity(image_kji: np.ndarray, labels_kji: np.ndarray) -> float:
    """Mean SSIM between neighboring slices over pixels labeled in both; nan if there are none."""
    indices = compared_slices(labels_kji)
    values = []
    previous: tuple[int, np.ndarray, np.ndarray] | None = None
    for k in indices:
        image, mask = resize_slice(image_kji[k]), resize_mask(labels_kji[k] > 0)
        if previous is not None and k == previous[0] + 1:
            both = mask & previous[2]
            if both.any():
                values.append(similarity_map(previous[1], image)[1][both].mean())
        previous = (k, image, mask)
    return float(np.mean(values)) if values else math.nan


def adjacent_similarity_ratio(
    real_kji: np.ndarray, synthetic_kji: np.ndarray, labels_kji: np.ndarray
) -> float:
    """SSIM of neighboring slices, synthetic over real: above 1 too smooth, below 1 jumping."""
    return _ratio(
        adjacent_similarity(synthetic_kji, labels_kji), adjacent_similarity(real_kji, labels_kji)
    )
