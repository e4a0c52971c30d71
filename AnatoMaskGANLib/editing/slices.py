"""Thick slices: where one is so much thicker than its voxels are wide that it stands for itself.

A brush paints one slice. Its neighbors in a thick stack show other tissue, and they keep their
voxels where their own labels stay.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

THICK = 3.5
"""Of a voxel along an axis, over its shortest edge: from here on that axis is one of thick slices.
Ours: at 3 mm over 1 mm organs still go on smoothly from slice to slice."""


def is_thick(spacing_kji: Sequence[float]) -> list[bool]:
    """For each axis whether it is one of thick slices."""
    shortest = min(spacing_kji)
    return [length >= THICK * shortest for length in spacing_kji]


def beside(spacing_kji: Sequence[float]) -> np.ndarray:
    """[3,3,3] bool: a voxel and those that share a face with it, in the same thick slice."""
    structure = np.zeros((3, 3, 3), dtype=bool)
    structure[1, 1, 1] = True
    for axis, thick in enumerate(is_thick(spacing_kji)):
        if not thick:
            at: list[int | slice] = [1, 1, 1]
            at[axis] = slice(None)
            structure[tuple(at)] = True
    return structure
