"""Structures that an edit moves as a whole: their voxels are copied, not interpolated.

A field that is smooth bends a moved structure a little. Where the edited label is the old one
shifted by whole voxels, that shift is exact.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .parts import changed_labels

_LEAST_DICE = 0.95  # of a label, shifted, and the edited one
_MOST_LEFT = 0.25  # of the difference of both labels, which the shift leaves


def find_shifts(before: np.ndarray, after: np.ndarray) -> dict[int, tuple[int, int, int]]:
    """The labels of a region that were moved as a whole, each with the offset in voxels (k, j, i)
    from its voxels to where their content lies in the old map."""
    found = {}
    for label, box in changed_labels(before, after).items():
        old, new = np.argwhere(before[box] == label), np.argwhere(after[box] == label)
        if not len(old) or not len(new):
            continue
        offset = np.rint(old.mean(axis=0) - new.mean(axis=0)).astype(int)
        if not offset.any():
            continue
        shifted = _dice(before[box] == label, new, offset, len(old))
        unshifted = _dice(before[box] == label, new, np.zeros(3, int), len(old))
        if shifted >= _LEAST_DICE and 1 - shifted <= _MOST_LEFT * (1 - unshifted):
            found[label] = tuple(offset.tolist())
    return found


def put_shifts(
    places: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    start_kji: tuple[int, ...],
    shifts: Mapping[int, tuple[int, int, int]],
) -> None:
    """Writes the places of shifted labels over others, where they have the label.

    places [3,K,J,I]: in voxels of `before`. after [K,J,I]: labels, whose first voxel is the voxel
    `start_kji` of `before`.
    """
    for label, offset in shifts.items():
        spots = np.argwhere(after == label)
        at = spots + np.array(start_kji) + offset
        inside = ((at >= 0) & (at < before.shape)).all(axis=1)
        spots, at = spots[inside], at[inside]
        right = before[tuple(at.T)] == label
        k, j, i = spots[right].T
        places[:, k, j, i] = at[right].T


def _dice(is_old: np.ndarray, new: np.ndarray, offset: np.ndarray, num_old: int) -> float:
    """Of a label, shifted, and its edited voxels [N,3]."""
    at = new + offset
    inside = ((at >= 0) & (at < is_old.shape)).all(axis=1)
    num_same = int(np.count_nonzero(is_old[tuple(at[inside].T)]))
    return 2 * num_same / (num_old + len(new))
