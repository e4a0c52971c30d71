"""How near a synthetic image is to the real one of the same anatomy."""

from __future__ import annotations

import math

import numpy as np
from skimage.metrics import structural_similarity

from AnatoMaskGANLib.evaluation.protocol import slice_pairs

WINDOW_SIZE = 7
"""Edge of the SSIM window in pixels (scikit-image's default, DESIGN, metrics)."""


def peak_signal_to_noise_db(real: np.ndarray, synthetic: np.ndarray) -> float:
    """PSNR in dB of images in [0,1]: data range 1, whatever they contain; inf if equal."""
    squared_error = float(np.mean(np.square(real.astype(np.float64) - synthetic)))
    return math.inf if squared_error == 0 else -10 * math.log10(squared_error)


def similarity_map(real: np.ndarray, synthetic: np.ndarray) -> tuple[float, np.ndarray]:
    """SSIM of two images in [0,1] (2-D or 3-D), data range 1: the mean, and the map.

    scikit-image's mean leaves out the border of half a window; the map keeps it.
    """
    return structural_similarity(
        real, synthetic, win_size=WINDOW_SIZE, data_range=1.0, full=True, gaussian_weights=False
    )


def slice_fidelity(
    real_kji: np.ndarray, synthetic_kji: np.ndarray, labels_kji: np.ndarray
) -> dict[str, float]:
    """PSNR and SSIM by the paper's protocol, over all pixels and over labelled ones.

    Images in [0,1] on the model grid. Each figure is the mean over the slices of the case.
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
    """3-D SSIM of two volumes in [0,1], windows of 7x7x7 voxels; nan where one does not fit."""
    if min(real_kji.shape) < WINDOW_SIZE:
        return math.nan
    return float(
        structural_similarity(real_kji, synthetic_kji, win_size=WINDOW_SIZE, data_range=1.0)
    )


def absolute_error(
    real_kji: np.ndarray, synthetic_kji: np.ndarray, labels_kji: np.ndarray
) -> dict[str, float]:
    """Mean absolute error in the unit of the scan, not clipped by the window."""
    error = np.abs(real_kji.astype(np.float32) - synthetic_kji.astype(np.float32))
    return {
        "mae": float(error.mean(dtype=np.float64)),
        "mae_foreground": float(error[labels_kji > 0].mean(dtype=np.float64)),
    }
