"""New label maps from one: what stays, what moves, and that nothing folds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import BSpline
from scipy.ndimage import label as connected_parts

from AnatoMaskGANLib.volumes import LabelMap, LabelTable, VolumeError
from AnatoMaskGANLib.volumes.deformation import (
    MOST_STRETCH,
    DeformationSettings,
    anatomy_size_mm,
    deform_label_map,
    draw_bend,
    flip_left_right,
    largest_displacement_mm,
    largest_stretch,
    spline_weights,
)

TABLE = LabelTable(
    "limb",
    {1: "skin", 2: "left bone", 3: "right bone", 4: "marrow"},
    swaps={2: 3, 3: 2},
)
STILL = DeformationSettings(displacement=0, rotation_degrees=0, scale=1, flips=False)


def limb(spacing_ijk_mm: tuple[float, float, float] = (1.0, 1.0, 2.0)) -> LabelMap:
    """Nested shells in a body, left and right, with air all around."""
    labels = np.zeros((30, 60, 60), dtype=np.uint8)
    labels[5:25, 10:50, 8:52] = 1
    labels[8:22, 18:42, 12:26] = 2
    labels[8:22, 18:42, 34:48] = 3
    labels[11:19, 24:36, 16:22] = 4
    return LabelMap(labels, np.diag([*spacing_ijk_mm, 1.0]), dict(TABLE.labels))


def num_parts(mask: np.ndarray) -> int:
    """Parts that touch by faces, edges or corners."""
    return connected_parts(mask, np.ones((3, 3, 3)))[1]


def test_no_deformation_changes_nothing() -> None:
    source = limb()
    still = deform_label_map(source, TABLE, 5, STILL)
    assert np.array_equal(still.labels_kji, source.labels_kji)
    assert np.array_equal(still.ijk_to_ras, source.ijk_to_ras)
    assert still.names == source.names


def test_a_seed_gives_one_anatomy_and_another_seed_another() -> None:
    first, again, other = (deform_label_map(limb(), TABLE, seed) for seed in (1, 1, 2))
    assert np.array_equal(first.labels_kji, again.labels_kji)
    assert (first.labels_kji != other.labels_kji).mean() > 0.02


@pytest.mark.parametrize("seed", range(6))
def test_parts_holes_and_neighbors_stay(seed: int) -> None:
    settings = DeformationSettings(displacement=0.1, control_spacing=0.3)
    labels = deform_label_map(limb(), TABLE, seed, settings).labels_kji
    for value in TABLE.labels:
        assert num_parts(labels == value) == 1
    # The marrow still lies inside one bone: nothing but that bone touches it.
    marrow = labels == 4
    around = np.zeros_like(marrow)
    for axis in range(3):
        for step in (1, -1):
            around |= np.roll(marrow, step, axis)
    touching = set(np.unique(labels[around & ~marrow]).tolist())
    assert touching in ({2}, {3})
    assert num_parts(labels == 0) == 1


@pytest.mark.parametrize("seed", range(4))
def test_the_displacement_folds_nowhere(seed: int) -> None:
    settings = DeformationSettings(displacement=0.5, control_spacing=0.3)
    source = limb()
    bend = draw_bend(source, settings, np.random.default_rng(seed))
    assert largest_stretch(bend) <= MOST_STRETCH + 1e-9
    # The field itself, on a fine lattice: its finite differences obey the bound of the points.
    size_mm = np.array([29 * 2.0, 59.0, 59.0])
    step = 2.0
    field = bend.at([np.arange(0, length, step) for length in size_mm])
    gradient = np.stack(np.gradient(field, step, axis=(0, 1, 2)), axis=-1)
    steepest = np.linalg.norm(gradient, ord=2, axis=(-2, -1)).max()
    assert steepest <= MOST_STRETCH + 1e-6
    assert steepest > 0.3 * MOST_STRETCH  # the bound is not so loose that nothing bends
    assert np.linalg.det(np.eye(3) + gradient).min() > (1 - MOST_STRETCH) ** 3


def beyond_affine_mm(label_map: LabelMap, field_kji: np.ndarray) -> np.ndarray:
    """Lengths, over all labeled voxels, of what of a displacement no affine map does."""
    places = np.argwhere(label_map.labels_kji) * np.array(label_map.spacing_ijk_mm[::-1])
    moved = field_kji[label_map.labels_kji > 0]
    with_ones = np.column_stack([places, np.ones(len(places))])
    affine, *_ = np.linalg.lstsq(with_ones, moved, rcond=None)
    return np.linalg.norm(moved - with_ones @ affine, axis=1)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 2.0), (0.05, 0.05, 0.1), (4.0, 4.0, 8.0)])
@pytest.mark.parametrize("seed", range(3))
def test_the_bend_beyond_affine_is_as_large_as_promised_whatever_the_size(
    spacing: tuple[float, float, float], seed: int
) -> None:
    source, settings = limb(spacing), DeformationSettings()
    bend = draw_bend(source, settings, np.random.default_rng(seed))
    axes = [np.arange(n) * mm for n, mm in zip(source.shape_kji, spacing[::-1], strict=True)]
    lengths = beyond_affine_mm(source, bend.at(axes))
    promised = settings.displacement * anatomy_size_mm(source)
    assert lengths.max() == pytest.approx(promised, rel=0.15)
    assert np.sqrt((lengths**2).mean()) > 0.25 * promised


@pytest.mark.parametrize("seed", range(3))
def test_labels_move_beyond_affine_by_voxels_and_not_by_fractions(seed: int) -> None:
    """Small marks in a block of 160 mm at 1 mm: their middles, before and after, against the best
    affine map between the two."""
    labels = np.ones((80, 80, 80), np.uint8)
    marks = [
        (k, j, i) for k in range(8, 80, 21) for j in range(8, 80, 21) for i in range(8, 80, 21)
    ]
    for value, (k, j, i) in enumerate(marks, start=2):
        labels[k - 2 : k + 3, j - 2 : j + 3, i - 2 : i + 3] = value
    table = LabelTable("marks", {value: f"mark {value}" for value in range(1, len(marks) + 2)})
    source = LabelMap(labels, np.diag([2.0, 2.0, 2.0, 1.0]), dict(table.labels))
    moved = deform_label_map(source, table, seed, DeformationSettings(flips=False)).labels_kji
    found = [v for v in range(2, len(marks) + 2) if np.count_nonzero(moved == v) > 60]
    before = np.array([marks[value - 2] for value in found], float)
    after = np.array([np.argwhere(moved == value).mean(axis=0) for value in found])
    with_ones = np.column_stack([before, np.ones(len(before))])
    affine, *_ = np.linalg.lstsq(with_ones, after, rcond=None)
    lengths_mm = 2.0 * np.linalg.norm(after - with_ones @ affine, axis=1)
    assert len(found) > 40
    assert lengths_mm.max() > 2.0 and lengths_mm.max() < 1.1 * 0.025 * 160


def test_the_spline_is_the_uniform_cubic_one() -> None:
    positions = np.linspace(0, 3, 31)
    weights = spline_weights(positions, 7)
    for number in range(7):  # point p is centered at p - 1 and reaches two spacings to each side
        basis = BSpline.basis_element(np.arange(number - 3, number + 2.0), extrapolate=False)
        expected = np.nan_to_num(basis(positions))
        assert np.allclose(weights[:, number], expected, atol=1e-12)
    assert np.allclose(weights.sum(axis=1), 1)


def test_a_small_anatomy_on_a_large_grid_takes_little_memory() -> None:
    labels = np.zeros((200, 200, 200), np.uint8)
    labels[100:103, 100:103, 100:103] = 1
    source = LabelMap(labels, np.eye(4), {1: "skin"})
    bend = draw_bend(source, DeformationSettings(), np.random.default_rng(0))
    assert bend.points_mm.size < 70**3 * 3


def test_a_single_voxel_has_nothing_to_bend() -> None:
    labels = np.zeros((5, 5, 5), np.uint8)
    labels[2, 2, 2] = 1
    source = LabelMap(labels, np.eye(4), {1: "skin"})
    bend = draw_bend(source, DeformationSettings(), np.random.default_rng(0))
    assert largest_displacement_mm(source, bend) == 0


def test_scaling_changes_sizes_by_no_more_than_the_settings_say() -> None:
    settings = DeformationSettings(displacement=0, rotation_degrees=0, scale=1.2, flips=False)
    source = limb()
    before = np.count_nonzero(source.labels_kji)
    ratios = [
        np.count_nonzero(deform_label_map(source, TABLE, seed, settings).labels_kji) / before
        for seed in range(5)
    ]
    assert max(ratios) < 1.2**3 * 1.1 and min(ratios) > 1.2**-3 * 0.9
    assert len(set(ratios)) == 5


def test_a_flip_mirrors_along_left_right_and_exchanges_the_sides() -> None:
    source = limb()
    mirrored = flip_left_right(source, TABLE)
    expected = np.array([0, 1, 3, 2, 4])[source.labels_kji[:, :, ::-1]]
    assert np.array_equal(mirrored.labels_kji, expected)
    back = flip_left_right(mirrored, TABLE)
    assert np.array_equal(back.labels_kji, source.labels_kji)
    assert np.array_equal(mirrored.ijk_to_ras, source.ijk_to_ras)


def test_the_axis_that_is_flipped_is_the_one_nearest_to_left_right() -> None:
    source = limb()
    turned = LabelMap(
        np.ascontiguousarray(source.labels_kji.transpose(2, 1, 0)),
        source.ijk_to_ras @ np.eye(4)[[2, 1, 0, 3]],
        source.names,
    )
    mirrored = flip_left_right(turned, TABLE)
    expected = flip_left_right(source, TABLE).labels_kji.transpose(2, 1, 0)
    assert np.array_equal(mirrored.labels_kji, expected)


def test_some_maps_are_flipped_and_some_are_not() -> None:
    settings = DeformationSettings(displacement=0, rotation_degrees=0, scale=1)
    source = limb()
    maps = [deform_label_map(source, TABLE, seed, settings) for seed in range(12)]
    flipped = [not np.array_equal(found.labels_kji, source.labels_kji) for found in maps]
    assert any(flipped) and not all(flipped)


def test_a_label_without_a_known_partner_is_not_flipped() -> None:
    labels = np.full((2, 2, 2), 9, dtype=np.uint8)
    with pytest.raises(VolumeError, match=r"values \[9\], which the table limb does not know"):
        flip_left_right(LabelMap(labels, np.eye(4), {9: "unknown"}), TABLE)


def test_an_empty_map_and_settings_without_sense_are_refused() -> None:
    with pytest.raises(VolumeError, match="no label"):
        deform_label_map(LabelMap(np.zeros((2, 2, 2), np.uint8), np.eye(4), {}), TABLE, 0)
    with pytest.raises(ValueError, match=r"scale is 0.5; expected 1 to 2"):
        DeformationSettings(scale=0.5)


def test_a_label_that_is_moved_out_of_the_grid_is_told() -> None:
    labels = np.zeros((1, 9, 9), dtype=np.uint8)
    labels[0, 0, 0] = labels[0, 8, 8] = 1
    settings = DeformationSettings(displacement=0, rotation_degrees=90, flips=False)
    with pytest.raises(VolumeError, match="out of the grid. Give a grid with room around"):
        deform_label_map(LabelMap(labels, np.eye(4), {1: "skin"}), TABLE, 0, settings)
