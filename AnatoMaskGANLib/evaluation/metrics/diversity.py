"""Diversity: how different the samples of one label map are."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from AnatoMaskGANLib.evaluation.metrics.protocol import compared_slices, resize_slice
from AnatoMaskGANLib.evaluation.packages import import_package

PAIRED_SLICES = 16
"""Slices of a case on which samples are compared, spread evenly: MS-SSIM is slow."""


def multi_scale_similarity(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """MS-SSIM [N] of slices [N,224,224] in [0,1] with data range 1, by MONAI."""
    torch = import_package("torch", "Diversity")
    regression = import_package("monai.metrics.regression", "Diversity")
    return regression.compute_ms_ssim(
        torch.from_numpy(np.ascontiguousarray(first))[:, None],
        torch.from_numpy(np.ascontiguousarray(second))[:, None],
        spatial_dims=2,
        data_range=1.0,
    ).numpy()[:, 0]


def diversity(samples_kji: Sequence[np.ndarray], labels_kji: np.ndarray) -> dict[str, float]:
    """1 - MS-SSIM, mean over pairs of samples and slices, and the standard deviation of samples.

    The samples are in [0,1] on the model grid. MS-SSIM counts the empty background too, where all
    samples agree; the standard deviation between samples is the mean over labeled voxels. Raises
    ValueError below two samples.
    """
    if len(samples_kji) < 2:
        raise ValueError(
            f"Diversity compares samples of one label map; expected at least two, got "
            f"{len(samples_kji)}. Synthesize the case with several seeds."
        )
    indices = compared_slices(labels_kji)
    indices = indices[np.linspace(0, len(indices) - 1, PAIRED_SLICES).round().astype(int)]
    indices = np.unique(indices)
    slices = [np.stack([resize_slice(sample[k]) for k in indices]) for sample in samples_kji]
    similarities = [
        multi_scale_similarity(first, second).mean() for first, second in combinations(slices, 2)
    ]
    mask = labels_kji > 0
    spread = np.std([sample[mask] for sample in samples_kji], axis=0, ddof=1)
    return {
        "diversity": float(1 - np.mean(similarities)),
        "diversity_foreground": float(spread.mean(dtype=np.float64)),
    }
