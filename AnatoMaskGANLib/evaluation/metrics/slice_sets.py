"""Sets of slices, real and synthetic, and the metrics that compare sets.

Letters: N slices, D features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from AnatoMaskGANLib.evaluation.metrics.case_metrics import GridCase
from AnatoMaskGANLib.evaluation.metrics.distribution import (
    frechet_distance,
    kernel_distance,
    multi_scale_metrics,
)
from AnatoMaskGANLib.evaluation.metrics.features import (
    Extractor,
    checked_features,
    thumbnail_features,
)
from AnatoMaskGANLib.evaluation.metrics.neighbors import memorization, precision_and_recall
from AnatoMaskGANLib.evaluation.metrics.protocol import compared_slices, resize_slice

REAL = "Real"
"""Name of the set of the cases' own real slices."""
TRAINING = "Real, training subjects"
"""Name of the training slices: their row compares real with real, the level a set can reach."""


@dataclass
class SliceSets:
    """Every `step`-th compared slice of each method, of the real images and of training images."""

    step: int = 4
    """Only every step-th slice is taken, because neighboring slices are nearly the same image."""
    slices: dict[str, list[np.ndarray]] = field(default_factory=dict)
    """Set -> slices [224,224] float32 in [0,1]."""
    subjects: dict[str, list[str]] = field(default_factory=dict)
    """Set -> the person of each slice."""
    training_thumbnails: list[np.ndarray] = field(default_factory=list)
    """Features [N,D] of all slices of each training case: one in four could miss a copied one."""
    thumbnail_subjects: list[str] = field(default_factory=list)
    """The person of each row of these features."""

    def add(self, method: str, subject: str, case: GridCase) -> None:
        """Takes the slices of a case; its real image is taken once, with the first method."""
        self._take(method, subject, case.synthetic_kji, case.labels_kji)
        first_method = next(name for name in self.slices if name not in (REAL, TRAINING))
        if method == first_method:
            self._take(REAL, subject, case.real_kji, case.labels_kji)

    def add_training(self, subject: str, real_kji: np.ndarray, labels_kji: np.ndarray) -> None:
        """Takes the slices of a training subject: image in [0,1] and labels on the model grid."""
        self._take(TRAINING, subject, real_kji, labels_kji)
        slices = [resize_slice(real_kji[k]) for k in compared_slices(labels_kji)]
        self.training_thumbnails.append(thumbnail_features(np.stack(slices)))
        self.thumbnail_subjects.extend([subject] * len(slices))

    def merge(self, other: SliceSets) -> None:
        """Adds the sets of another object, such as those of one case after all of it succeeded."""
        for name, slices in other.slices.items():
            self.slices.setdefault(name, []).extend(slices)
        for name, subjects in other.subjects.items():
            self.subjects.setdefault(name, []).extend(subjects)
        self.training_thumbnails.extend(other.training_thumbnails)
        self.thumbnail_subjects.extend(other.thumbnail_subjects)

    def array(self, name: str) -> np.ndarray:
        """The slices of a set [N,224,224]."""
        return np.stack(self.slices[name])

    @property
    def methods(self) -> tuple[str, ...]:
        """The sets that are compared with the real one."""
        return tuple(name for name in self.slices if name != REAL)

    def _take(self, name: str, subject: str, image_kji: np.ndarray, labels_kji: np.ndarray) -> None:
        taken = [resize_slice(image_kji[k]) for k in compared_slices(labels_kji)[:: self.step]]
        self.slices.setdefault(name, []).extend(taken)
        self.subjects.setdefault(name, []).extend([subject] * len(taken))


def set_metrics(
    sets: SliceSets,
    extractors: Mapping[str, Extractor],
    resolutions: Sequence[int] = (),
) -> dict[str, dict[str, float]]:
    """Method -> FID, KID, precision and recall by each extractor, MM-FID, MM-STD, memorization.

    The metrics of an extractor carry its name: they are comparable within one extractor only.
    MM-FID is left out without resolutions, memorization without training slices.
    """
    metrics: dict[str, dict[str, float]] = {method: {} for method in sets.methods}
    for extractor_name, extractor in extractors.items():
        real = checked_features(extractor, sets.array(REAL), extractor_name)
        for method in sets.methods:
            synthetic = checked_features(extractor, sets.array(method), extractor_name)
            found = {
                "fid": frechet_distance(real, synthetic),
                "kid": kernel_distance(real, synthetic),
                **precision_and_recall(real, synthetic),
            }
            metrics[method].update(
                {f"{key} ({extractor_name})": value for key, value in found.items()}
            )
    if extractors and resolutions:
        for method in sets.methods:
            multi_scale = multi_scale_metrics(
                sets.array(REAL), sets.array(method), extractors, resolutions
            )
            metrics[method].update(multi_scale.summary())
    if sets.training_thumbnails:
        training = np.concatenate(sets.training_thumbnails)
        subjects = np.array(sets.thumbnail_subjects)
        real = thumbnail_features(sets.array(REAL))
        for method in sets.methods:
            if method != TRAINING:
                synthetic = thumbnail_features(sets.array(method))
                metrics[method].update(memorization(training, subjects, synthetic, real))
    return metrics
