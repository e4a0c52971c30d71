"""Corrects the places of a smooth field so that each has the right label and gives real voxels.

A field that is smooth cannot follow every corner of a border. A voxel that it brings to another
label takes the offset of the nearest voxel of its own label that arrived right. If that misses too,
it takes the nearest place of the old map with the right label.
"""

from __future__ import annotations

import itertools

import numpy as np

from AnatoMaskGANLib.editing.regions import box_of

_NEAR_VOXELS = 3  # a place this near is searched voxel by voxel
_NEAR = sorted(
    (
        step
        for step in itertools.product(range(-_NEAR_VOXELS, _NEAR_VOXELS + 1), repeat=3)
        if sum(side * side for side in step) <= _NEAR_VOXELS**2
    ),
    key=lambda step: (sum(side * side for side in step), step),
)
# a place with a smaller fraction of the right label is wrong and not partial volume
_LEAST_SHARE = 0.2


def fix_places(
    places: np.ndarray, before: np.ndarray, after: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Gives places with the label of `after` wherever `before` has it, and the mask of voxels that
    the field itself had brought to another label.

    after is [K,J,I]. places [3,K,J,I] are in voxels of `before`, which may cover a larger box.
    """
    from scipy import ndimage

    at = _whole(places, before.shape)
    wrong = before[at[0], at[1], at[2]] != after
    is_off = np.zeros(after.shape, dtype=bool)
    if not wrong.any():
        return places, is_off
    places = places.copy()
    for value in np.unique(after[wrong]):
        is_source = before == value
        if not is_source.any():
            continue
        is_own = after == value
        spots = np.argwhere(is_own & wrong).T
        fraction = ndimage.map_coordinates(
            is_source.astype(np.float32),
            places[:, spots[0], spots[1], spots[2]],
            order=1,
            mode="nearest",
        )
        spots = spots[:, fraction < _LEAST_SHARE]  # the others are partial volume at a border
        if spots.shape[1] == 0:
            continue
        is_off[tuple(spots)] = True
        right = is_own & ~wrong
        guess = places[:, spots[0], spots[1], spots[2]]
        if right.any():
            nearest = nearest_voxels(right, spots)
            guess = places[:, nearest[0], nearest[1], nearest[2]] + (spots - nearest)
        whole = _whole(guess, before.shape)
        miss = before[tuple(whole)] != value
        if miss.any():
            guess[:, miss] = nearest_voxels(is_source, whole[:, miss])
        places[:, spots[0], spots[1], spots[2]] = guess
    return places, is_off


def nearest_voxels(mask: np.ndarray, spots: np.ndarray) -> np.ndarray:
    """Gives the voxels of the mask nearest to the voxels [3,N], as [3,N]."""
    from scipy import ndimage

    found = np.zeros_like(spots)
    left = np.arange(spots.shape[1])
    for step in _NEAR:  # most are a voxel or two away; a transform would cover the whole box
        at = spots[:, left] + np.array(step).reshape(3, 1)
        inside = np.ones(left.size, dtype=bool)
        for axis, size in enumerate(mask.shape):
            inside &= (at[axis] >= 0) & (at[axis] < size)
            np.clip(at[axis], 0, size - 1, out=at[axis])
        is_hit = inside & mask[tuple(at)]
        found[:, left[is_hit]] = at[:, is_hit]
        left = left[~is_hit]
        if left.size == 0:
            return found
    spots = spots[:, left]
    used = box_of(mask)
    low = np.minimum(spots.min(axis=1), [side.start for side in used])
    high = np.maximum(spots.max(axis=1) + 1, [side.stop for side in used])
    box = tuple(slice(int(start), int(stop)) for start, stop in zip(low, high, strict=True))
    index = ndimage.distance_transform_edt(~mask[box], return_distances=False, return_indices=True)
    k, j, i = spots - low[:, None]
    found[:, left] = index[:, k, j, i] + low[:, None]
    return found


def _whole(places: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Gives the voxels nearest to places, inside the box."""
    at = np.rint(places).astype(np.int32)
    for axis, size in enumerate(shape):
        np.clip(at[axis], 0, size - 1, out=at[axis])
    return at
