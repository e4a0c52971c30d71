"""How the intensities of each label are distributed, in a real and in a synthetic image."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

NUM_BINS = 64
"""About; scans of whole numbers get bins of whole numbers."""
SHOWN_SHARE = 0.998
"""Of the voxels; the rest, half on either side, lies beyond the bins: a few odd voxels of a scan
would else press all others into two or three bins."""
ALL_LABELS = 0


@dataclass(frozen=True, eq=False)
class LabelHistogram:
    """The same bins for both images."""

    centers: np.ndarray
    """[bins] intensities, in the unit of the images."""
    real_percent: np.ndarray
    """[bins] of the label's voxels."""
    synthetic_percent: np.ndarray


def label_histograms(
    real_kji: np.ndarray, synthetic_kji: np.ndarray, labels_kji: np.ndarray
) -> dict[int, LabelHistogram]:
    """A histogram for every label present, and for all of them together by the key ALL_LABELS.

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
    aside = 50 * (1 - SHOWN_SHARE)
    is_whole = bool((real == np.rint(real)).all())
    limits = [np.percentile(values, (aside, 100 - aside)) for values in (real, synthetic)]
    low, high = min(limit[0] for limit in limits), max(limit[1] for limit in limits)
    if high <= low:
        low, high = low - 0.5, low + 0.5  # one intensity only
    edges = np.linspace(low, high, NUM_BINS + 1)
    if is_whole:  # or some bins would hold two whole numbers and others none
        step = math.ceil((high - low) / NUM_BINS)
        edges = np.arange(math.floor(low) - 0.5, high + step, step)
    percents = [100 * np.histogram(values, edges)[0] / values.size for values in (real, synthetic)]
    return LabelHistogram((edges[:-1] + edges[1:]) / 2, *percents)
