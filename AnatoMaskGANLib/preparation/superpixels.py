"""Superpixel guidance: an image reduced to patches of one intensity each.

It stands for anatomy that nobody has labeled, and for the context around labeled organs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_FULL_SCALE = 255


def superpixel_guidance(
    image_kji: np.ndarray,
    spacing_ijk_mm: Sequence[float],
    num_superpixels: int = 512,
    compactness: float = 10.0,
    step: int = 10,
    per_slice: bool = True,
) -> np.ndarray:
    """[K,J,I] float32 in [0,1]: each SLIC superpixel has its mean, rounded down to a multiple of
    step / 255 (SemiCS2: 512 superpixels a slice, compactness 10, tr 10).

    image_kji: [0,1]. compactness is on an intensity scale of 0 to 100, SemiCS2's L*. The distances
    of SLIC are in mm. num_superpixels: of each slice, or of the volume if per_slice is false.
    """
    from skimage.segmentation import slic

    image = np.clip(image_kji, 0, 1).astype(np.float32)
    guidance = np.zeros(image.shape, dtype=np.float32)
    mean_mm = float(np.mean(spacing_ijk_mm[:2] if per_slice else spacing_ijk_mm))
    spacing_kji = [mm / mean_mm for mm in spacing_ijk_mm[::-1]]
    parts = list(image) if per_slice else [image]
    for number, part in enumerate(parts):
        if part.min() == part.max():
            segments = np.zeros(part.shape, dtype=int)
        else:
            # scikit-image stretches each part to [0,1] first; this keeps one scale for all slices
            contrast = float(part.max() - part.min())
            segments = slic(
                part,
                n_segments=num_superpixels,
                compactness=compactness / 100 / contrast,
                spacing=spacing_kji[1:] if per_slice else spacing_kji,
                start_label=0,
                channel_axis=None,
                enforce_connectivity=True,
            )
        means = _quantized_means(part, segments, step)
        guidance[number if per_slice else slice(None)] = means[segments]
    return guidance


def _quantized_means(part: np.ndarray, segments: np.ndarray, step: int) -> np.ndarray:
    """[n] one value in [0,1] a superpixel."""
    counts = np.bincount(segments.ravel())
    sums = np.bincount(segments.ravel(), weights=part.ravel())
    means = sums / np.maximum(counts, 1) * _FULL_SCALE
    # a mean of 9.9999999 by rounding errors is 10
    return (np.floor(np.round(means, 6) / step) * step / _FULL_SCALE).astype(np.float32)
