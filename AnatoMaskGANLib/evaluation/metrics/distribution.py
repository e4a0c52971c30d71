"""Distances between two sets of images by their feature vectors, [N,D] and [M,D].

FID and KID by one extractor; MM-FID and MM-STD over several extractors and resolutions (SemiCS2).

Not MONAI's: its FIDMetric takes the root of a non-symmetric, mostly singular product by
`scipy.linalg.sqrtm(disp=False)`, an argument that SciPy 1.18 removes, and its MMDMetric is not
zero for equal sets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from skimage.transform import resize

from AnatoMaskGANLib.evaluation.metrics.features import Extractor, checked_features, unit_rows

RESOLUTIONS = (128, 256, 512, 1024)
"""Edge lengths in pixels to which the slices are brought (SemiCS2)."""
SLICES_AT_A_TIME = 16
"""A hundred slices of 1024x1024 would fill the memory for nothing."""


def frechet_distance(real: np.ndarray, synthetic: np.ndarray) -> float:
    """Frechet distance of the two Gaussians with the sets' means and covariances (FID).

    |m_r - m_s|^2 + tr C_r + tr C_s - 2 tr (C_r C_s)^(1/2), where with C = A^T A the last trace is
    the sum of the singular values of A_r A_s^T: exact for singular covariances, that is for fewer
    vectors than features. The distance is biased upwards for small sets: compare it with the one
    between two sets of real images of the same sizes. Raises ValueError below two vectors.
    """
    _check(real, synthetic)
    real_mean, synthetic_mean = real.mean(axis=0), synthetic.mean(axis=0)
    real_root = (real - real_mean) / np.sqrt(len(real) - 1)
    synthetic_root = (synthetic - synthetic_mean) / np.sqrt(len(synthetic) - 1)
    if min(len(real), len(synthetic)) > real.shape[1]:
        # The same singular values from [D,D] factors where there are more vectors than features.
        real_root = np.linalg.qr(real_root, mode="r")
        synthetic_root = np.linalg.qr(synthetic_root, mode="r")
    trace_of_root = np.linalg.svd(real_root @ synthetic_root.T, compute_uv=False).sum()
    distance = (
        np.square(real_mean - synthetic_mean).sum()
        + np.square(real_root).sum()
        + np.square(synthetic_root).sum()
        - 2 * trace_of_root
    )
    return max(float(distance), 0.0)


def kernel_distance(real: np.ndarray, synthetic: np.ndarray) -> float:
    """Squared maximum mean discrepancy with the cubic kernel (x.y / D + 1)^3, unbiased (KID).

    Its expectation is zero for two sets from one distribution, so the result may be slightly
    negative. Raises ValueError below two vectors.
    """
    _check(real, synthetic)

    def kernel(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return (first @ second.T / first.shape[1] + 1) ** 3

    def mean_without_diagonal(matrix: np.ndarray) -> float:
        return (matrix.sum() - np.trace(matrix)) / (len(matrix) * (len(matrix) - 1))

    return float(
        mean_without_diagonal(kernel(real, real))
        + mean_without_diagonal(kernel(synthetic, synthetic))
        - 2 * kernel(real, synthetic).mean()
    )


@dataclass(frozen=True, eq=False)
class MultiScaleMetrics:
    """Metrics for each extractor and resolution; the matrices are [extractors, resolutions]."""

    extractors: tuple[str, ...]
    resolutions: tuple[int, ...]
    frechet: np.ndarray
    """Frechet distance of the row-normalized features; lower is better."""
    real_standard_deviation: np.ndarray
    """Mean over features of their standard deviation over images."""
    synthetic_standard_deviation: np.ndarray
    """The same of the synthetic images; as large as the real one is right."""

    def summary(self) -> dict[str, float]:
        """MM-FID and MM-STD: mean and standard deviation over the matrix."""
        return {
            "mm_fid": float(self.frechet.mean()),
            "mm_fid_deviation": float(self.frechet.std()),
            "mm_std": float(self.synthetic_standard_deviation.mean()),
            "mm_std_deviation": float(self.synthetic_standard_deviation.std()),
            "mm_std_real": float(self.real_standard_deviation.mean()),
        }


def multi_scale_metrics(
    real_slices: np.ndarray,
    synthetic_slices: np.ndarray,
    extractors: Mapping[str, Extractor],
    resolutions: Sequence[int] = RESOLUTIONS,
) -> MultiScaleMetrics:
    """The metrics of two sets of slices [N,H,W] and [M,H,W] in [0,1].

    Raises ValueError without an extractor or a resolution.
    """
    if not extractors or not resolutions:
        raise ValueError(
            "MM-FID needs at least one extractor and one resolution. Give a feature network, for "
            "example a trained segmenter's encoder."
        )
    shape = (len(extractors), len(resolutions))
    frechet, real_spread, synthetic_spread = np.empty((3, *shape))
    for row, (name, extractor) in enumerate(extractors.items()):
        for column, resolution in enumerate(resolutions):
            real = _features_at(resolution, real_slices, extractor, name)
            synthetic = _features_at(resolution, synthetic_slices, extractor, name)
            frechet[row, column] = frechet_distance(real, synthetic)
            real_spread[row, column] = real.std(axis=0).mean()
            synthetic_spread[row, column] = synthetic.std(axis=0).mean()
    return MultiScaleMetrics(
        tuple(extractors), tuple(resolutions), frechet, real_spread, synthetic_spread
    )


def _features_at(
    resolution: int, slices: np.ndarray, extractor: Extractor, name: str
) -> np.ndarray:
    """Row-normalized features [N,D] of the slices at that size, a few slices at a time."""
    shape = (resolution, resolution)
    features = []
    for start in range(0, len(slices), SLICES_AT_A_TIME):
        sized = [
            resize(image, shape, order=1, mode="edge", anti_aliasing=True)
            for image in slices[start : start + SLICES_AT_A_TIME]
        ]
        features.append(checked_features(extractor, np.stack(sized).astype(np.float32), name))
    return unit_rows(np.concatenate(features))


def _check(real: np.ndarray, synthetic: np.ndarray) -> None:
    if real.ndim != 2 or synthetic.ndim != 2 or real.shape[1] != synthetic.shape[1]:
        raise ValueError(
            f"The feature sets have shapes {real.shape} and {synthetic.shape}; expected [N,D] and "
            "[M,D]. Use one extractor for both."
        )
    if min(len(real), len(synthetic)) < 2:
        raise ValueError(
            f"There are {len(real)} real and {len(synthetic)} synthetic feature vectors; expected "
            "at least two of each."
        )
