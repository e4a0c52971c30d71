"""Distances between two sets of feature vectors, [N,D] and [M,D]: FID and KID with their features.

Not MONAI's: its FIDMetric takes the root of a non-symmetric, mostly singular product by
`scipy.linalg.sqrtm(disp=False)`, an argument that SciPy 1.18 removes, and its MMDMetric is not
zero for equal sets.
"""

from __future__ import annotations

import numpy as np


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

    Its expectation is zero for two sets from one distribution, so that it may come out slightly
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
