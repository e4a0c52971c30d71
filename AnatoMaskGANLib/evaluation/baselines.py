"""Images that need no learning: what a model must beat before its figures mean anything."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from AnatoMaskGANLib.evaluation.protocol import to_unit_range
from AnatoMaskGANLib.volumes import LabelMap, Volume


@dataclass(frozen=True)
class LabelMeans:
    """Mean and deviation of the intensity of every label in training subjects, in [0,1]."""

    by_value: Mapping[int, tuple[float, float]]
    """Label value, background included -> (mean, standard deviation) after the window."""

    def __post_init__(self) -> None:
        for value, (mean, deviation) in self.by_value.items():
            if not (math.isfinite(mean) and math.isfinite(deviation) and deviation >= 0):
                raise ValueError(
                    f"Label {value} has mean {mean} and standard deviation {deviation}; "
                    "expected finite numbers, and a standard deviation that is not "
                    "negative. Measure the label means again."
                )

    @classmethod
    def from_json(cls, content: Mapping[str, tuple[float, float] | list[float]]) -> LabelMeans:
        """From {"value": [mean, deviation]}, as a model's card holds it."""
        try:
            return cls({int(key): (float(mean), float(sd)) for key, (mean, sd) in content.items()})
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError(
                f"The label means cannot be read: {error}; expected the form {{label "
                "value: [mean, standard deviation]}."
            ) from error

    def to_json(self) -> dict[str, list[float]]:
        """{"value": [mean, deviation]} with six digits, for a model's card."""
        return {
            str(value): [round(mean, 6), round(deviation, 6)]
            for value, (mean, deviation) in sorted(self.by_value.items())
        }

    def missing_from(self, label_map: LabelMap) -> tuple[int, ...]:
        """Values of the label map that no training subject had, sorted."""
        return tuple(value for value in label_map.values if value not in self.by_value)

    def covering(self, label_map: LabelMap) -> LabelMeans:
        """With the mean of all other labels for the values that no training subject had.

        A label that training never saw has no mean of its own; the baselines then know only that
        it is tissue. Whoever shows their figures says so (`missing_from`). Raises ValueError where
        no label has a mean.
        """
        missing = self.missing_from(label_map)
        if not missing:
            return self
        tissue = [pair for value, pair in self.by_value.items() if value != 0]
        if not tissue:
            raise ValueError(
                "No label has a training mean, so there is no label-mean image. Measure the label "
                "means on training subjects first."
            )
        mean, deviation = np.mean(tissue, axis=0).tolist()
        return LabelMeans({**self.by_value, **dict.fromkeys(missing, (mean, deviation))})

    def lookup(self, labels_kji: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and deviation at every voxel, float32 in [0,1].

        Raises ValueError for label values that no training subject had.
        """
        values, inverse = np.unique(labels_kji, return_inverse=True)
        unknown = [int(value) for value in values if int(value) not in self.by_value]
        if unknown:
            raise ValueError(
                f"The label map has values {unknown}, for which no training mean is known (known: "
                f"{sorted(self.by_value)}). Match the labels to the model's classes first."
            )
        table = np.array([self.by_value[int(value)] for value in values], dtype=np.float32)
        picked = table[inverse.reshape(labels_kji.shape)]
        return picked[..., 0], picked[..., 1]


def measure_label_means(
    pairs: Iterable[tuple[Volume, LabelMap]], window: tuple[float, float]
) -> LabelMeans:
    """The label means of training subjects; every voxel counts once.

    The volume and the label map of a pair lie on one grid. Raises ValueError without any pair.
    """
    count: dict[int, int] = {}
    total: dict[int, float] = {}
    total_of_squares: dict[int, float] = {}
    for volume, label_map in pairs:
        unit = to_unit_range(volume.voxels_kji, window).ravel().astype(np.float64)
        values, inverse = np.unique(label_map.labels_kji, return_inverse=True)
        inverse = inverse.ravel()
        counts = np.bincount(inverse)
        sums = np.bincount(inverse, unit)
        squares = np.bincount(inverse, np.square(unit))
        for position, value in enumerate(map(int, values)):
            count[value] = count.get(value, 0) + int(counts[position])
            total[value] = total.get(value, 0.0) + float(sums[position])
            total_of_squares[value] = total_of_squares.get(value, 0.0) + float(squares[position])
    if not count:
        raise ValueError("Label means need at least one training subject; none was given.")
    means = {}
    for value, number in count.items():
        mean = total[value] / number
        variance = max(total_of_squares[value] / number - mean * mean, 0.0)
        means[value] = (mean, math.sqrt(variance))
    return LabelMeans(means)


def _volume_in_units(
    unit_kji: np.ndarray, label_map: LabelMap, window: tuple[float, float], unit: str, maker: str
) -> Volume:
    low, high = window
    return Volume(
        voxels_kji=(low + unit_kji * (high - low)).astype(np.float32),
        ijk_to_ras=label_map.ijk_to_ras,
        window=window,
        unit=unit,
        provenance={"synthetic": "yes", "maker": maker},
    )


def label_mean_image(
    label_map: LabelMap, means: LabelMeans, window: tuple[float, float], unit: str = ""
) -> Volume:
    """Every voxel = the training mean of its label (DESIGN, metrics: always in the table)."""
    mean_kji, _ = means.lookup(label_map.labels_kji)
    return _volume_in_units(mean_kji, label_map, window, unit, "label-mean image")


def label_gaussian_image(
    label_map: LabelMap,
    means: LabelMeans,
    window: tuple[float, float],
    seed: int = 0,
    unit: str = "",
) -> Volume:
    """Every labelled voxel drawn from the Gaussian of its label, clipped to the window.

    The background is its mean: noise all over it would make the baseline easy to beat.
    """
    mean_kji, deviation_kji = means.lookup(label_map.labels_kji)
    noise_kji = np.random.default_rng(seed).standard_normal(mean_kji.shape, dtype=np.float32)
    noise_kji[label_map.labels_kji == 0] = 0.0
    image_kji = np.clip(mean_kji + deviation_kji * noise_kji, 0.0, 1.0)
    return _volume_in_units(image_kji, label_map, window, unit, "per-label Gaussian image")
