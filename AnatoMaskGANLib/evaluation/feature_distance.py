"""A perceptual distance without downloaded weights: LPIPS's rule on any network's feature maps.

Letters: N slices, C channels, H rows, W columns, h and w rows and columns of a level.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from AnatoMaskGANLib.evaluation.protocol import slice_pairs

FeatureMaps = Callable[[np.ndarray], list[np.ndarray]]
"""[N,H,W] float32 in [0,1], neighboring slices -> maps [N,C,h,w] of every level."""

SLICES_AT_A_TIME = 16


def map_distance(real: list[np.ndarray], synthetic: list[np.ndarray]) -> np.ndarray:
    """[N] distances of the levels' maps, each [N,C,h,w]: 0 for equal maps, at most 4 a level.

    Every pixel's features are scaled to length 1; the squared difference is averaged over pixels
    and summed over levels (Zhang et al. 2018, Eq. 1, with all its learned weights 1: those exist
    for the networks of LPIPS alone).
    """
    distances = [
        np.square(_unit(first) - _unit(second)).sum(axis=1).mean(axis=(1, 2))
        for first, second in zip(real, synthetic, strict=True)
    ]
    return np.sum(distances, axis=0)


def _unit(maps: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(maps, axis=1, keepdims=True)
    return maps / np.maximum(lengths, 1e-10)


def mean_feature_distance(
    maps: FeatureMaps, real_kji: np.ndarray, synthetic_kji: np.ndarray, labels_kji: np.ndarray
) -> float:
    """Mean distance over the slices of the paper's protocol; images in [0,1] on the model grid."""
    pairs = [
        (real, synthetic)
        for _, real, synthetic, _ in slice_pairs(real_kji, synthetic_kji, labels_kji)
    ]
    found = []
    for start in range(0, len(pairs), SLICES_AT_A_TIME):
        real, synthetic = (
            np.stack(images)
            for images in zip(*pairs[start : start + SLICES_AT_A_TIME], strict=True)
        )
        found.append(map_distance(maps(real), maps(synthetic)))
    return float(np.concatenate(found).mean())
