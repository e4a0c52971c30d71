"""Thick slices: a slice that is much thicker than its voxels are wide is edited by itself.

A brush paints one slice. Its neighbors in a thick stack show other tissue, and they keep their
voxels if their own labels stay.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

THICK = 3.5
"""An axis is one of thick slices if the length of a voxel along it is at least this many times the
voxel's shortest edge. The value is ours: at 3 mm over 1 mm, organs still continue smoothly from
slice to slice."""


def is_thick(spacing_kji: Sequence[float]) -> list[bool]:
    """Says for each axis whether it is one of thick slices."""
    shortest = min(spacing_kji)
    return [length >= THICK * shortest for length in spacing_kji]


def beside(spacing_kji: Sequence[float]) -> np.ndarray:
    """Marks a voxel and those with a common face in the same thick slice, as [3,3,3] bool."""
    structure = np.zeros((3, 3, 3), dtype=bool)
    structure[1, 1, 1] = True
    for axis, thick in enumerate(is_thick(spacing_kji)):
        if not thick:
            at: list[int | slice] = [1, 1, 1]
            at[axis] = slice(None)
            structure[tuple(at)] = True
    return structure
