"""Places that hang together: speckle joins, and borders come from borders."""

from __future__ import annotations

import numpy as np

from AnatoMaskGANLib.editing.rigid import put_shifts
from AnatoMaskGANLib.editing.seams import join_places
from AnatoMaskGANLib.editing.slices import beside

CUBE = (1.0, 1.0, 1.0)


def own_places(shape: tuple[int, ...]) -> np.ndarray:
    return np.indices(shape, dtype=np.float32)


def test_a_voxel_takes_the_offset_that_its_neighbors_share() -> None:
    labels = np.ones((9, 9, 9), np.uint8)
    places = own_places(labels.shape)
    places[2] += 2  # all move alike, one comes from elsewhere
    places[:, 4, 4, 4] = (1, 1, 1)
    is_loose = np.zeros(labels.shape, dtype=bool)
    is_loose[4, 4, 4] = True
    join_places(places, labels, labels, is_loose, CUBE)
    np.testing.assert_array_equal(places[:, 4, 4, 4], (4, 4, 6))


def test_voxels_beside_a_shifted_structure_come_from_beside_it() -> None:
    """A bar of label 2 moves by four voxels; what shows its blur lies around it, unlabeled."""
    before = np.ones((9, 20, 20), np.uint8)
    before[2:7, 4:8, 5:15] = 2
    after = np.ones_like(before)
    after[2:7, 8:12, 5:15] = 2
    places = own_places(before.shape)
    is_shifted = put_shifts(places, before, after, (0, 0, 0), {2: (0, -4, 0)}, beside(CUBE))
    np.testing.assert_array_equal(is_shifted, after == 2)
    vacated = (before == 2) & (after != 2)
    places[1][vacated] = 3  # the nearest right row: it shows the blur of the bar
    near = np.zeros_like(is_shifted)
    near[1:8, 2:14, 4:16] = True
    join_places(places, before, after, near & ~is_shifted, CUBE)
    rows = places[1, 4, :, 10]
    assert rows[12] == 8  # beyond the bar, the voxel that was beyond it
    # where the bar was nothing shows its blur: rows 3 and 8 of the old scan
    assert not np.isin(np.rint(rows[4:7]), (3, 8)).any()
    at = np.rint(places).astype(int)
    np.testing.assert_array_equal(before[tuple(at)][near], after[near])


def test_what_is_not_loose_keeps_its_place() -> None:
    draws = np.random.default_rng(0)
    labels = draws.integers(0, 3, (8, 9, 10)).astype(np.int16)
    places = own_places(labels.shape) + draws.normal(0, 2, (3, 8, 9, 10)).astype(np.float32)
    is_loose = draws.random(labels.shape) < 0.3
    joined = places.copy()
    join_places(joined, labels, labels, is_loose, CUBE)
    np.testing.assert_array_equal(joined[:, ~is_loose], places[:, ~is_loose])
    again = places.copy()
    join_places(again, labels, labels, is_loose, CUBE)
    np.testing.assert_array_equal(joined, again)
    assert (joined != places).any()
