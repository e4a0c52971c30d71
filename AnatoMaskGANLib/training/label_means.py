"""The card's label statistics: mean and standard deviation of every class in training scans."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from AnatoMaskGANLib.training.condition_map import condition_map, num_condition_classes
from AnatoMaskGANLib.volumes.case_store import StoredCase, decode_guidance, decode_image


def measure_label_statistics(
    cases: Sequence[StoredCase], num_classes: int, guidance: str = "labels"
) -> dict[str, tuple[float, float]]:
    """Class -> (mean, standard deviation) of the images in [0,1]; every voxel counts once.

    The classes are those of the condition map of a guidance: labels, superpixels or both; class 0
    is background. Classes that no case has are left out, as are cases without image or labels.
    Reads one slice at a time.
    """
    size = num_condition_classes(guidance, num_classes)
    counts = np.zeros(size, dtype=np.int64)
    sums, squares = np.zeros(size), np.zeros(size)
    for case in cases:
        if case.image_sjk is None or case.labels_sjk is None:
            continue
        for number, (image, labels) in enumerate(zip(case.image_sjk, case.labels_sjk, strict=True)):
            values = decode_image(image).reshape(-1)
            guided_by = None if case.guidance_sjk is None else case.guidance_sjk[number]
            flat = _condition_of(labels, guided_by, num_classes, guidance)
            counts += np.bincount(flat, minlength=size)
            sums += np.bincount(flat, values, size)
            squares += np.bincount(flat, values * values, size)
    statistics = {}
    for value in np.flatnonzero(counts):
        mean = sums[value] / counts[value]
        variance = max(0.0, squares[value] / counts[value] - mean * mean)
        statistics[str(value)] = (round(float(mean), 6), round(math.sqrt(variance), 6))
    return statistics


def _condition_of(
    labels: np.ndarray, stored_guidance: np.ndarray | None, num_classes: int, guidance: str
) -> np.ndarray:
    """[H*W] condition classes of one slice with labels [H,W] and, where needed, guidance [H,W]."""
    superpixels = None
    if guidance != "labels" and stored_guidance is not None:
        superpixels = torch.from_numpy(decode_guidance(stored_guidance.astype(np.float32)))
    whole = torch.from_numpy(labels.astype(np.int64))
    return condition_map(guidance, whole, superpixels, num_classes).numpy().reshape(-1)
