"""What the scan of another person reaches in the figures that compare no pairs of voxels.

People differ: the deviation inside a label, the steps between slices and the intensities of a
tissue are not the same in two real scans. How far two real ones lie apart is what an image that is
made from the labels alone can at best be held to.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.stats import wasserstein_distance

from AnatoMaskGANLib.evaluation.label_statistics import LabelStatistics, summarize_labels
from AnatoMaskGANLib.evaluation.smoothness import mean_step


@dataclass(frozen=True, eq=False)
class Subject:
    """A real scan with its labels on the axial model grid."""

    image_kji: np.ndarray
    """float32 in [0,1] after the window."""
    labels_kji: np.ndarray

    @cached_property
    def intensities(self) -> dict[int, np.ndarray]:
        """Label -> the intensities of its voxels, background left out."""
        order = np.argsort(self.labels_kji, axis=None, kind="stable")
        values, starts = np.unique(self.labels_kji.ravel()[order], return_index=True)
        parts = np.split(self.image_kji.ravel()[order], starts[1:])
        return {int(value): part for value, part in zip(values, parts, strict=True) if value != 0}

    @cached_property
    def steps(self) -> tuple[float, float]:
        """Mean absolute step between slices, and between pixels, inside the labels."""
        k, j, i = (mean_step(self.image_kji, self.labels_kji, axis) for axis in range(3))
        return k, (j + i) / 2


def unpaired_metrics(
    own: Subject, other: Subject
) -> tuple[dict[str, float], dict[int, LabelStatistics]]:
    """Figures of another person's scan in the place of the synthetic one, and its labels.

    The voxels of a label are the fewer of the two, so that labels which are small in either scan
    stay out of the means.
    """
    labels = {
        value: _statistics(own.intensities[value], other.intensities[value])
        for value in own.intensities.keys() & other.intensities.keys()
    }
    labels = dict(sorted(labels.items()))
    ratios = [
        theirs / ours if ours > 0 else math.nan
        for ours, theirs in zip(own.steps, other.steps, strict=True)
    ]
    figures = {"dz_ratio": ratios[0], "dxy_ratio": ratios[1], **summarize_labels(labels)}
    return figures, labels


def _statistics(own: np.ndarray, other: np.ndarray) -> LabelStatistics:
    own, other = own.astype(np.float64), other.astype(np.float64)
    return LabelStatistics(
        num_voxels=min(len(own), len(other)),
        real_mean=float(own.mean()),
        synthetic_mean=float(other.mean()),
        real_deviation=float(own.std()),
        synthetic_deviation=float(other.std()),
        wasserstein=float(wasserstein_distance(own, other)),
    )
