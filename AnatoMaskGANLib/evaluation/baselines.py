"""Baselines: images that need no learning; a model must beat them before its metrics mean much.

Every label with its training mean, every label with Gaussian noise, and the real image of the
training subject whose anatomy is nearest, that is, a copy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from AnatoMaskGANLib.evaluation.metrics.faithfulness import dice_by_label, mean_of_labels
from AnatoMaskGANLib.volumes import LabelMap, Volume, to_grid_of

_COMPARED_STEP = 3
"""Anatomies are compared on every third voxel of each axis."""


@dataclass(frozen=True)
class LabelMeans:
    """Mean and standard deviation of every label's intensity in training subjects, in [0,1]."""

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
        """Reads {"value": [mean, standard deviation]}, the form in a model's card."""
        try:
            return cls({int(key): (float(mean), float(sd)) for key, (mean, sd) in content.items()})
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError(
                f"The label means cannot be read: {error}; expected the form {{label "
                "value: [mean, standard deviation]}."
            ) from error

    def to_json(self) -> dict[str, list[float]]:
        """{"value": [mean, standard deviation]} with six digits, for a model's card."""
        return {
            str(value): [round(mean, 6), round(deviation, 6)]
            for value, (mean, deviation) in sorted(self.by_value.items())
        }

    def missing_from(self, label_map: LabelMap) -> tuple[int, ...]:
        """Sorted values of the label map that no training subject had."""
        return tuple(value for value in label_map.values if value not in self.by_value)

    def covering(self, label_map: LabelMap) -> LabelMeans:
        """These means, and the mean of all labels for values that no training subject had.

        A label that training never saw has no mean of its own; the baselines then know only that
        it is tissue. Code that shows their metrics has to say so (`missing_from`). Raises
        ValueError if no label has a mean.
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
        """Mean and standard deviation at every voxel, float32 in [0,1].

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
    """Every voxel has the training mean of its label. Always in the table of an evaluation."""
    mean_kji, _ = means.lookup(label_map.labels_kji)
    return _volume_in_units(mean_kji, label_map, window, unit, "label-mean image")


def label_gaussian_image(
    label_map: LabelMap,
    means: LabelMeans,
    window: tuple[float, float],
    seed: int = 0,
    unit: str = "",
) -> Volume:
    """Every labeled voxel is drawn from the Gaussian of its label and clipped to the window.

    The background is its mean: noise all over it would make the baseline easy to beat.
    """
    mean_kji, standard_deviation_kji = means.lookup(label_map.labels_kji)
    noise_kji = np.random.default_rng(seed).standard_normal(mean_kji.shape, dtype=np.float32)
    noise_kji[label_map.labels_kji == 0] = 0.0
    image_kji = np.clip(mean_kji + standard_deviation_kji * noise_kji, 0.0, 1.0)
    return _volume_in_units(image_kji, label_map, window, unit, "per-label Gaussian image")


@dataclass(frozen=True, eq=False)
class TrainingCase:
    """A case that training saw; its image is read only when needed, because there may be many."""

    name: str
    subject: str
    """Person that the case belongs to."""
    label_map: LabelMap
    """Labels in the model's classes."""
    read_image: Callable[[], Volume]
    """Reads the image, on the grid of the label map."""


def nearest_training_image(label_map: LabelMap, training: Sequence[TrainingCase]) -> Volume:
    """The image of the training case with the highest mean Dice, on the grid of the label map.

    Label maps are aligned by their centroids, not registered. Raises ValueError without training
    cases.
    """
    if not training:
        raise ValueError("The nearest training subject needs training cases; none was given.")
    moved = [_moved_onto(case.label_map, label_map) for case in training]
    overlaps = [
        _mean_dice(label_map, case.label_map, ijk_to_ras)
        for case, ijk_to_ras in zip(training, moved, strict=True)
    ]
    best = int(np.argmax(overlaps))
    real = training[best].read_image()
    image = Volume(real.voxels_kji, moved[best], real.window, real.unit)
    found = to_grid_of(image, label_map)
    return Volume(
        found.voxels_kji,
        label_map.ijk_to_ras,
        real.window,
        real.unit,
        {"maker": f"real image of the nearest training subject, {training[best].name}"},
    )


def _centroid_ras(label_map: LabelMap) -> np.ndarray:
    mask = label_map.labels_kji > 0
    profiles = [mask.sum(axis=tuple(other for other in range(3) if other != a)) for a in range(3)]
    kji = [np.average(np.arange(len(profile)), weights=profile) for profile in profiles]
    return label_map.ijk_to_ras[:3, :3] @ kji[::-1] + label_map.ijk_to_ras[:3, 3]


def _moved_onto(moving: LabelMap, fixed: LabelMap) -> np.ndarray:
    """The matrix of `moving` after the shift that moves its centroid onto that of `fixed`.

    The shift is rounded to whole voxels, so that grids of one spacing are not interpolated: a
    copy must keep its texture.
    """
    shifted = moving.ijk_to_ras.copy()
    shifted[:3, 3] += _centroid_ras(fixed) - _centroid_ras(moving)
    fixed_to_moving = np.linalg.inv(shifted) @ fixed.ijk_to_ras
    fixed_to_moving[:3, 3] = np.rint(fixed_to_moving[:3, 3])
    return fixed.ijk_to_ras @ np.linalg.inv(fixed_to_moving)


def _mean_dice(fixed: LabelMap, moving: LabelMap, moving_ijk_to_ras: np.ndarray) -> float:
    """Mean Dice over the labels of `fixed`, on a thinned grid, by nearest neighbor."""
    step = _COMPARED_STEP
    thinned = fixed.labels_kji[::step, ::step, ::step]
    grid_kji = np.stack(np.meshgrid(*(np.arange(n) * step for n in thinned.shape), indexing="ij"))
    ijk = grid_kji.reshape(3, -1)[::-1]
    to_moving = np.linalg.inv(moving_ijk_to_ras) @ fixed.ijk_to_ras
    found_kji = np.rint(to_moving[:3, :3] @ ijk + to_moving[:3, 3:]).astype(int)[::-1]
    shape = np.array(moving.labels_kji.shape)[:, None]
    inside = ((found_kji >= 0) & (found_kji < shape)).all(axis=0)
    labels = np.zeros(ijk.shape[1], dtype=moving.labels_kji.dtype)
    labels[inside] = moving.labels_kji[tuple(found_kji[:, inside])]
    dice = dice_by_label(thinned.ravel(), labels)
    return mean_of_labels(dice) if dice else 0.0
