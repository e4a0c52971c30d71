"""Whether a segmenter finds the anatomy of the label map in the synthetic image."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

import numpy as np

from AnatoMaskGANLib.volumes import LabelMap, Volume, same_grid

Segmenter = Callable[[Volume], LabelMap]
"""A frozen network, trained on real images of other subjects; labels in the model's classes."""


def dice_by_label(reference: np.ndarray, predicted: np.ndarray) -> dict[int, float]:
    """Dice overlap of every label of the reference but the background; 0 for one that is missed.

    Label arrays of one size.
    """
    values, inverse = np.unique(
        np.stack([reference.ravel(), predicted.ravel()]), return_inverse=True
    )
    first, second = inverse.reshape(2, -1)
    num_first = np.bincount(first, minlength=len(values))
    num_second = np.bincount(second, minlength=len(values))
    num_common = np.bincount(first[first == second], minlength=len(values))
    return {
        int(value): 2 * int(num_common[n]) / int(num_first[n] + num_second[n])
        for n, value in enumerate(values)
        if value != 0 and num_first[n] > 0
    }


def mean_of_labels(dice: Mapping[int, float]) -> float:
    """Mean Dice over labels, each counting once; nan without any."""
    return float(np.mean(list(dice.values()))) if dice else math.nan


def mean_dice(reference: LabelMap, found: LabelMap) -> float:
    """Mean Dice over the labels of the reference; nan if it has none.

    Raises ValueError if the two lie on different grids.
    """
    if not same_grid(found, reference):
        raise ValueError(
            "The segmenter returned a label map on another grid than its input; expected "
            "the same grid. Resample its result to the input."
        )
    return mean_of_labels(dice_by_label(reference.labels_kji, found.labels_kji))


def faithfulness(
    label_map: LabelMap, found_in_real: LabelMap, found_in_synthetic: LabelMap
) -> dict[str, float]:
    """Dice of a segmenter on the real and on the synthetic volume, and the second over the first.

    The Dice on synthetic images alone says little: if the segmenter fails on the real image, it
    fails on a faithful image too. Raises ValueError if a segmentation lies on another grid than the
    label map.
    """
    on_real, on_synthetic = (
        mean_dice(label_map, found) for found in (found_in_real, found_in_synthetic)
    )
    ratio = on_synthetic / on_real if on_real > 0 else math.nan
    return {"dice_real": on_real, "dice_synthetic": on_synthetic, "dice_ratio": ratio}


def samples_agreement(found_in_samples: Sequence[LabelMap]) -> dict[str, float]:
    """Whether the seed changes the anatomy: Dice of what a segmenter finds in two samples.

    Mean over the pairs of samples; 1 if it finds the same in all of them.
    """
    pairs = combinations(found_in_samples, 2)
    return {"samples_dice": float(np.mean([mean_dice(*pair) for pair in pairs]))}
