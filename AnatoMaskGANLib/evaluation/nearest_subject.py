"""The real image of the training subject whose anatomy is nearest: a copy, as a baseline."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from AnatoMaskGANLib.evaluation.faithfulness import dice_by_label
from AnatoMaskGANLib.volumes import LabelMap, Volume, to_grid_of

STEP = 3
"""Anatomies are compared on every third voxel of each axis."""


@dataclass(frozen=True, eq=False)
class TrainingCase:
    """A case that training saw; its image is read when it is needed, as there may be many."""

    name: str
    subject: str
    """Person the case belongs to."""
    label_map: LabelMap
    """Labels in the model's classes."""
    read_image: Callable[[], Volume]
    """Gives the image on the grid of the label map."""


def nearest_training_image(label_map: LabelMap, training: Sequence[TrainingCase]) -> Volume:
    """The image of the training case with the highest mean Dice, on the grid of the label map.

    Label maps are laid centroid on centroid, not registered. Raises ValueError without training
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
    """The matrix of `moving` after the shift that lays centroid on centroid.

    The shift is rounded to whole voxels, so that grids of one spacing are not interpolated: a
    copy must keep its texture.
    """
    shifted = moving.ijk_to_ras.copy()
    shifted[:3, 3] += _centroid_ras(fixed) - _centroid_ras(moving)
    fixed_to_moving = np.linalg.inv(shifted) @ fixed.ijk_to_ras
    fixed_to_moving[:3, 3] = np.rint(fixed_to_moving[:3, 3])
    return fixed.ijk_to_ras @ np.linalg.inv(fixed_to_moving)


def _mean_dice(fixed: LabelMap, moving: LabelMap, moving_ijk_to_ras: np.ndarray) -> float:
    """Mean Dice over the labels of `fixed`, on a thinned grid, nearest neighbor."""
    thinned = fixed.labels_kji[::STEP, ::STEP, ::STEP]
    grid_kji = np.stack(np.meshgrid(*(np.arange(n) * STEP for n in thinned.shape), indexing="ij"))
    ijk = grid_kji.reshape(3, -1)[::-1]
    to_moving = np.linalg.inv(moving_ijk_to_ras) @ fixed.ijk_to_ras
    found_kji = np.rint(to_moving[:3, :3] @ ijk + to_moving[:3, 3:]).astype(int)[::-1]
    shape = np.array(moving.labels_kji.shape)[:, None]
    inside = ((found_kji >= 0) & (found_kji < shape)).all(axis=0)
    labels = np.zeros(ijk.shape[1], dtype=moving.labels_kji.dtype)
    labels[inside] = moving.labels_kji[tuple(found_kji[:, inside])]
    dice = dice_by_label(thinned.ravel(), labels)
    return float(np.mean(list(dice.values()))) if dice else 0.0
