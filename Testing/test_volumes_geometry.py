"""Grids: what is refused, spacing, and the axes closest to RAS."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
from grids import LEFT_HANDED_PSL, OBLIQUE, ijk_to_ras_matrices, small_shapes_kji, voxel_centers
from hypothesis import given, settings

from AnatoMaskGANLib.volumes import LabelMap, Volume, VolumeError, same_grid
from AnatoMaskGANLib.volumes.geometry import (
    axes_closest_to_ras,
    checked_ijk_to_ras,
    largest_shift_mm,
    spacing_ijk_mm_of,
)


def test_spacing_is_the_length_of_the_columns() -> None:
    assert spacing_ijk_mm_of(LEFT_HANDED_PSL) == (0.7, 1.1, 2.5)


def test_axes_of_a_grid_are_assigned_to_right_anterior_and_superior() -> None:
    # right is minus k, anterior is minus i, superior is j
    assert axes_closest_to_ras(LEFT_HANDED_PSL) == ((2, 0, 1), (True, True, False))


def test_a_grid_turned_by_45_degrees_always_gives_the_same_axes() -> None:
    half = np.sqrt(0.5)
    turned = np.eye(4)
    turned[:2, :2] = [[half, -half], [half, half]]
    for nudge in (-1e-12, 0.0, 1e-12):
        turned[0, 1] = -half + nudge
        assert axes_closest_to_ras(turned) == ((0, 1, 2), (False, False, False))


@settings(max_examples=50, deadline=None)
@given(ijk_to_ras_matrices)
def test_the_axes_closest_to_ras_agree_with_nibabel_unless_nearly_tied(matrix: np.ndarray) -> None:
    axes, flips = axes_closest_to_ras(matrix)
    cosines = np.abs(matrix[:3, :3] / np.linalg.norm(matrix[:3, :3], axis=0))
    if not all(cosines[world].max() > 0.8 for world in range(3)):
        return
    orientation = nibabel.io_orientation(matrix)
    for world, (axis, is_flipped) in enumerate(zip(axes, flips, strict=True)):
        assert orientation[axis].tolist() == [world, -1 if is_flipped else 1]


@settings(max_examples=30, deadline=None)
@given(small_shapes_kji, ijk_to_ras_matrices, ijk_to_ras_matrices)
def test_the_largest_shift_is_that_of_the_worst_voxel(
    shape: tuple[int, int, int], first: np.ndarray, second: np.ndarray
) -> None:
    shifts = np.linalg.norm(voxel_centers(shape, first) - voxel_centers(shape, second), axis=-1)
    assert largest_shift_mm(shape, first, second) == pytest.approx(shifts.max())


@settings(max_examples=50, deadline=None)
@given(ijk_to_ras_matrices)
def test_every_turned_flipped_and_stretched_grid_is_accepted_unchanged(matrix: np.ndarray) -> None:
    assert np.array_equal(checked_ijk_to_ras(matrix), matrix)


def _changed(row: int, column: int, value: float) -> np.ndarray:
    matrix = np.diag([1.0, 2.0, 3.0, 1.0])
    matrix[row, column] = value
    return matrix


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        (_changed(1, 3, np.nan), "NaN"),
        (_changed(0, 0, np.inf), "infinite"),
        (_changed(1, 1, 0.0), "spacing along axis j is 0 mm"),
        (_changed(3, 0, 0.5), "last row"),
        (np.eye(3), "4x4"),
        (
            np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]),
            "singular",
        ),
        (_changed(0, 1, 0.5), "sheared: axes i and j meet at 75.96 degrees"),
    ],
)
def test_a_matrix_that_is_no_grid_is_refused_in_words(matrix: np.ndarray, words: str) -> None:
    with pytest.raises(VolumeError, match=words):
        checked_ijk_to_ras(matrix)


def test_rounding_of_a_header_is_no_shear() -> None:
    rounded = np.round(OBLIQUE, 5)
    assert np.array_equal(checked_ijk_to_ras(rounded), rounded)


def test_a_container_does_not_follow_later_changes_of_the_matrix() -> None:
    matrix = np.eye(4)
    volume = Volume(np.zeros((2, 2, 2), np.float32), matrix)
    matrix[0, 3] = 100
    assert volume.ijk_to_ras[0, 3] == 0
    with pytest.raises(ValueError, match="read-only"):
        volume.ijk_to_ras[0, 3] = 5


def test_grids_are_the_same_up_to_a_thousandth_of_a_millimeter() -> None:
    labels = LabelMap(np.ones((3, 4, 5), np.uint8), OBLIQUE)
    near, far = OBLIQUE.copy(), OBLIQUE.copy()
    near[0, 3] += 9e-4
    far[0, 3] += 1.1e-3
    assert same_grid(labels, Volume(np.zeros((3, 4, 5)), near))
    assert not same_grid(labels, Volume(np.zeros((3, 4, 5)), far))
    assert not same_grid(labels, Volume(np.zeros((3, 5, 4)), OBLIQUE))
