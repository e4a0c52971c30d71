"""Mean and deviation of every label class over the training split: the card's label statistics."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from AnatoMaskGANLib.volumes.case_store import StoredCase

_FULL_SCALE = 65535


def measure_label_statistics(
    cases: Sequence[StoredCase], num_classes: int
) -> dict[str, tuple[float, float]]:
    """Class -> (mean, deviation) of the images in [0,1]; background is class 0, every voxel
    counts.

    Classes that no case has are left out, as are cases without image or labels. Reads one slice at
    a time.
    """
    counts = np.zeros(num_classes, dtype=np.int64)
    sums = np.zeros(num_classes)
    squares = np.zeros(num_classes)
    for case in cases:
        if case.image_sjk is None or case.labels_sjk is None:
            continue
        for image, labels in zip(case.image_sjk, case.labels_sjk, strict=True):
            values = image.reshape(-1) / _FULL_SCALE
            flat = labels.reshape(-1)
            counts += np.bincount(flat, minlength=num_classes)
            sums += np.bincount(flat, values, num_classes)
            squares += np.bincount(flat, values * values, num_classes)
    statistics = {}
    for value in np.flatnonzero(counts):
        mean = sums[value] / counts[value]
        variance = max(0.0, squares[value] / counts[value] - mean * mean)
        statistics[str(value)] = (round(float(mean), 6), round(math.sqrt(variance), 6))
    return statistics
