"""The intensities inside each label: is the synthetic tissue distributed as the real one?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import wasserstein_distance

MINIMUM_VOXELS = 500
"""Smaller labels are listed but do not enter the means: their deviation is mostly chance."""
DEVIATION_RANGE = (0.8, 1.2)
"""Deviation ratios that count as real texture."""


@dataclass(frozen=True)
class LabelStatistics:
    """What one label looks like in the real and in the synthetic image, both in [0,1]."""

    num_voxels: int
    real_mean: float
    synthetic_mean: float
    real_deviation: float
    synthetic_deviation: float
    wasserstein: float
    """First Wasserstein distance between the two sets of intensities, in [0,1]."""

    @property
    def deviation_ratio(self) -> float:
        """Deviation of the synthetic image over that of the real one; nan if the real one is 0."""
        return self.synthetic_deviation / self.real_deviation if self.real_deviation else math.nan


def label_statistics(
    real_kji: np.ndarray, synthetic_kji: np.ndarray, labels_kji: np.ndarray
) -> dict[int, LabelStatistics]:
    """Statistics of every label present except the background, images in [0,1]."""
    order = np.argsort(labels_kji, axis=None, kind="stable")
    values, starts = np.unique(labels_kji.ravel()[order], return_index=True)
    statistics = {}
    for value, positions in zip(values, np.split(order, starts[1:]), strict=True):
        if value == 0:
            continue
        real = real_kji.ravel()[positions].astype(np.float64)
        synthetic = synthetic_kji.ravel()[positions].astype(np.float64)
        statistics[int(value)] = LabelStatistics(
            num_voxels=len(positions),
            real_mean=float(real.mean()),
            synthetic_mean=float(synthetic.mean()),
            real_deviation=float(real.std()),
            synthetic_deviation=float(synthetic.std()),
            wasserstein=float(wasserstein_distance(real, synthetic)),
        )
    return statistics


def summarize_labels(statistics: Mapping[int, LabelStatistics]) -> dict[str, float]:
    """Means over the labels of at least 500 voxels, each label counting once; nan without any."""
    large = [label for label in statistics.values() if label.num_voxels >= MINIMUM_VOXELS]
    ratios = [label.deviation_ratio for label in large if not math.isnan(label.deviation_ratio)]
    low, high = DEVIATION_RANGE

    def mean(numbers: list[float]) -> float:
        return float(np.mean(numbers)) if numbers else math.nan

    return {
        "label_wasserstein": mean([label.wasserstein for label in large]),
        "label_deviation_ratio": mean(ratios),
        "label_deviation_share": mean([float(low <= ratio <= high) for ratio in ratios]),
    }
