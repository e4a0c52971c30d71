"""Intervals of a mean over subjects, by drawing the subjects again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

NUM_RESAMPLES = 10_000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """Lower and upper end of a 95 % interval."""

    low: float
    high: float


def interval_of_mean(values: Sequence[float]) -> Interval | None:
    """Percentile bootstrap interval of the mean; None below two values or with an infinite one.

    A value is a subject, not a slice: slices of one person are not independent, and counting them
    as such makes intervals several times too narrow. With fewer than about ten subjects the
    interval is still too narrow; tables say how many there were.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.size < 2 or not np.isfinite(numbers).all():
        return None
    # A fixed seed: the same figures give the same interval on every machine.
    draws = np.random.default_rng(0).integers(numbers.size, size=(NUM_RESAMPLES, numbers.size))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(numbers[draws].mean(axis=1), [tail, 1 - tail])
    return Interval(float(low), float(high))
