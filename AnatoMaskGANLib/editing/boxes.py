"""Boxes of voxels, and the box in which two label maps differ."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

Box = tuple[slice, slice, slice]


def as_box(sides: Iterable[slice]) -> Box:
    """Makes a box from its three sides along k, j and i."""
    k, j, i = sides
    return k, j, i


def changed_box(before: np.ndarray, after: np.ndarray) -> Box | None:
    """Gives the smallest box that holds all differences of two arrays of one shape. Compares slice
    by slice; None if they are equal."""
    rows = np.zeros(before.shape[1], dtype=bool)
    columns = np.zeros(before.shape[2], dtype=bool)
    slices = np.zeros(before.shape[0], dtype=bool)
    for number, (old, new) in enumerate(zip(before, after, strict=True)):
        if np.array_equal(old, new):
            continue
        differs = old != new
        slices[number] = True
        rows |= differs.any(axis=1)
        columns |= differs.any(axis=0)
    if not slices.any():
        return None
    sides = [np.flatnonzero(used) for used in (slices, rows, columns)]
    return as_box(slice(int(side[0]), int(side[-1]) + 1) for side in sides)
