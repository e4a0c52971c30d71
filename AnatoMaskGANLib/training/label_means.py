"""Mean and deviation of every label class over the training split: the card's label statistics."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from AnatoMaskGANLib.training.condition_map import condition_map, num_condition_classes
from AnatoMaskGANLib.volumes.case_store import StoredCase

_FULL_SCALE = 65535


def measure_label_statistics(
    cases: Sequence[StoredCase], num_classes: int, guidance: str = "labels"
) -> dict[str, tuple[float, float]]:
    """Class -> (mean, deviation) of the images in [0,1]; background is class 0, every voxel
    counts.

    The classes are those of the condition map of a guidance: labels, superpixels or both. Classes
    that no case has are left out, as are cases without image or labels. Reads one slice at a time.
    """
    size = num_condition_classes(guidance, num_classes)
    counts = np.zeros(size, dtype=np.int64)
    sums, squares = np.zeros(size), np.zeros(size)
    for case in cases:
        if case.image_sjk is None or case.labels_sjk is None:
            continue
        for number, image in enumerate(case.image_sjk):
            values = image.reshape(-1) / _FULL_SCALE
            flat = _condition_of(case, number, num_classes, guidance)
            counts += np.bincount(flat, minlength=size)
            sums += np.bincount(flat, values, size)
            squares += np.bincount(flat, values * values, size)
    statistics = {}
    for value in np.flatnonzero(counts):
        mean = sums[value] / counts[value]
        variance = max(0.0, squares[value] / counts[value] - mean * mean)
        statistics[str(value)] = (round(float(mean), 6), round(math.sqrt(variance), 6))
    return statistics


def _condition_of(case: StoredCase, number: int, num_classes: int, guidance: str) -> np.ndarray:
    """[H*W] condition classes of one slice."""
    labels = case.labels_sjk[number]
    if guidance == "labels":
        return labels.reshape(-1)
    superpixels = torch.from_numpy(case.guidance_sjk[number].astype(np.float32) / 255)
    whole = torch.from_numpy(labels.astype(np.int64))
    return condition_map(guidance, whole, superpixels, num_classes).numpy().reshape(-1)
