"""The intensities inside each label: is the synthetic tissue distributed like the real one?

Statistics for the tables, and histograms for a look at one label.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import wasserstein_distance

MINIMUM_VOXELS = 500
"""Smaller labels are listed but do not enter the means: their spread is mostly chance."""
STANDARD_DEVIATION_RATIO_RANGE = (0.8, 1.2)
"""Ratios of standard deviations that count as real texture."""
NUM_BINS = 64
"""Approximate number of bins; scans of whole numbers get bins of whole numbers."""
SHOWN_FRACTION = 0.998
"""Fraction of the voxels that the bins cover; half of the rest lies beyond either end. Otherwise a
few odd voxels of a scan would press all others into two or three bins."""
ALL_LABELS = 0
"""Key of the histogram of all labels together."""


@dataclass(frozen=True)
class LabelStatistics:
    """The intensities of one label in the real and in the synthetic image, both in [0,1]."""

    num_voxels: int
    real_mean: float
    synthetic_mean: float
    real_standard_deviation: float
    synthetic_standard_deviation: float
    wasserstein: float
    """First Wasserstein distance between the two sets of intensities, in [0,1]."""

    @classmethod
    def of(cls, real: np.ndarray, synthetic: np.ndarray) -> LabelStatistics:
        """Statistics of intensities [N] and [M] in [0,1]; the fewer voxels of the two count."""
        real, synthetic = real.astype(np.float64), synthetic.astype(np.float64)
        return cls(
            num_voxels=min(len(real), len(synthetic)),
            real_mean=float(real.mean()),
            synthetic_mean=float(synthetic.mean()),
            real_standard_deviation=float(real.std()),
            synthetic_standard_deviation=float(synthetic.std()),
            wasserstein=float(wasserstein_distance(real, synthetic)),
        )

    @property
    def standard_deviation_ratio(self) -> float:
        """Synthetic over real standard deviation; nan if the real one is 0."""
        if not self.real_standard_deviation:
            return math.nan
        return self.synthetic_standard_deviation / self.real_standard_deviation


def label_statistics(
    real_kji: np.ndarray, synthetic_kji: np.ndarray, labels_kji: np.ndarray
) -> dict[int, LabelStatistics]:
    """Statistics of every label that occurs, background left out; images in [0,1]."""
    order = np.argsort(labels_kji, axis=None, kind="stable")
    values, starts = np.unique(labels_kji.ravel()[order], return_index=True)
    statistics = {}
    for value, positions in zip(values, np.split(order, starts[1:]), strict=True):
        if value == 0:
            continue
        real, synthetic = real_kji.ravel()[positions], synthetic_kji.ravel()[positions]
        statistics[int(value)] = LabelStatistics.of(real, synthetic)
    return statistics


def summarize_labels(statistics: Mapping[int, LabelStatistics]) -> dict[str, float]:
    """Means over the labels of at least 500 voxels, each label counting once; nan if none is."""
    large = [label for label in statistics.values() if label.num_voxels >= MINIMUM_VOXELS]
    found = [label.standard_deviation_ratio for label in large]
    ratios = [ratio for ratio in found if not math.isnan(ratio)]
    low, high = STANDARD_DEVIATION_RATIO_RANGE

    def mean(numbers: list[float]) -> float:
        return float(np.mean(numbers)) if numbers else math.nan

    return {
        "label_wasserstein": mean([label.wasserstein for label in large]),
        "label_deviation_ratio": mean(ratios),
        "label_deviation_share": mean([float(low <= ratio <= high) for ratio in ratios]),
    }


@dataclass(frozen=True, eq=False)
class LabelHistogram:
    """Histograms of a real and a synthetic image inside one label, with the same bins."""

    centers: np.ndarray
    """[bins] intensities, in the unit of the images."""
    real_percent: np.ndarray
    """[bins] percent of the label's voxels."""
    synthetic_percent: np.ndarray
    """[bins] the same of the synthetic image."""


def label_histograms(
    real_kji: np.ndarray, synthetic_kji: np.ndarray, labels_kji: np.ndarray
) -> dict[int, LabelHistogram]:
    """A histogram for every label that occurs, and one for all together under the key ALL_LABELS.

    Images of one shape, in any unit. The background counts nowhere.
    """
    is_labeled = labels_kji != 0
    real, synthetic, labels = (array[is_labeled] for array in (real_kji, synthetic_kji, labels_kji))
    if labels.size == 0:
        return {}
    histograms = {ALL_LABELS: _histogram(real, synthetic)}
    order = np.argsort(labels, kind="stable")
    values, starts = np.unique(labels[order], return_index=True)
    for value, positions in zip(values, np.split(order, starts[1:]), strict=True):
        histograms[int(value)] = _histogram(real[positions], synthetic[positions])
    return histograms


def _histogram(real: np.ndarray, synthetic: np.ndarray) -> LabelHistogram:
    aside = 50 * (1 - SHOWN_FRACTION)
    is_whole = bool((real == np.rint(real)).all())
    limits = [np.percentile(values, (aside, 100 - aside)) for values in (real, synthetic)]
    low, high = min(limit[0] for limit in limits), max(limit[1] for limit in limits)
    if high <= low:
        low, high = low - 0.5, low + 0.5  # all voxels have one intensity
    edges = np.linspace(low, high, NUM_BINS + 1)
    if is_whole:  # else some bins hold two whole numbers, others none
        step = math.ceil((high - low) / NUM_BINS)
        edges = np.arange(math.floor(low) - 0.5, high + step, step)
    percents = [100 * np.histogram(values, edges)[0] / values.size for values in (real, synthetic)]
    return LabelHistogram((edges[:-1] + edges[1:]) / 2, *percents)
