"""Structures that an edit moves as a whole. Their voxels are copied and not interpolated.

A field that is smooth bends a moved structure a little. If the edited label is the old one shifted
by whole voxels, copying with that shift is exact.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from AnatoMaskGANLib.editing.parts import changed_labels

_LEAST_DICE = 0.95  # least Dice coefficient of the old label, shifted, with the edited one
_MOST_LEFT = 0.25  # the shift may leave at most this fraction of the difference between both labels


def find_shifts(before: np.ndarray, after: np.ndarray) -> dict[int, tuple[int, int, int]]:
    """Finds the labels of a region that were moved as a whole. Each has the offset in voxels (k, j,
    i) from its voxels to where their content lies in the old map."""
    found = {}
    for label, box in changed_labels(before, after).items():
        is_old, is_new = before[box] == label, after[box] == label
        if not is_old.any() or not is_new.any():
            continue
        k, j, i = (
            round(old - new) for old, new in zip(_middle(is_old), _middle(is_new), strict=True)
        )
        offset = (k, j, i)
        if not any(offset):
            continue
        shifted, unshifted = _dice(is_old, is_new, offset), _dice(is_old, is_new, (0, 0, 0))
        if shifted >= _LEAST_DICE and 1 - shifted <= _MOST_LEFT * (1 - unshifted):
            found[label] = offset
    return found


def put_shifts(
    places: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    start_kji: tuple[int, ...],
    shifts: Mapping[int, tuple[int, int, int]],
    around: np.ndarray,
) -> np.ndarray:
    """Replaces the places of shifted labels and of the voxels next to them if the new place has the
    right label. Gives back the mask of the replaced voxels with a shifted label.

    places [3,K,J,I] are in voxels of `before`. after [K,J,I] are labels, whose first voxel is the
    voxel `start_kji` of `before`. around [3,3,3] marks the voxels that count as next to the middle
    one.
    """
    from scipy import ndimage

    is_shifted = np.zeros(after.shape, dtype=bool)
    has_shift = np.isin(after, list(shifts))
    for label, offset in shifts.items():
        is_label = after == label
        # voxels next to the structure hold a fraction of it
        beside = ndimage.binary_dilation(is_label, around) & ~has_shift
        spots = np.argwhere(is_label | beside)
        at = spots + np.array(start_kji) + offset
        inside = ((at >= 0) & (at < before.shape)).all(axis=1)
        spots, at = spots[inside], at[inside]
        right = before[tuple(at.T)] == after[tuple(spots.T)]
        k, j, i = spots[right].T
        places[:, k, j, i] = at[right].T
        is_shifted[k, j, i] = is_label[k, j, i]
    return is_shifted


def _middle(mask: np.ndarray) -> list[float]:
    """Gives the mean place of the voxels of a mask along each axis."""
    middle = []
    for axis, size in enumerate(mask.shape):
        counts = np.count_nonzero(mask, axis=tuple(other for other in range(3) if other != axis))
        middle.append(float(counts @ np.arange(size)) / float(counts.sum()))
    return middle


def _dice(is_old: np.ndarray, is_new: np.ndarray, offset: tuple[int, ...]) -> float:
    """Gives the Dice coefficient of the old label, shifted, with the edited one, both in one
    box."""
    there = tuple(
        slice(max(0, step), size + min(0, step))
        for step, size in zip(offset, is_old.shape, strict=True)
    )
    here = tuple(
        slice(max(0, -step), size + min(0, -step))
        for step, size in zip(offset, is_new.shape, strict=True)
    )
    num_same = np.count_nonzero(is_old[there] & is_new[here])
    return 2 * num_same / (np.count_nonzero(is_old) + np.count_nonzero(is_new))
