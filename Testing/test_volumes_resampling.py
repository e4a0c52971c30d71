"""To the model grid and back: hand-worked small cases, and what holds for every grid."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
import SimpleITK
from grids import (
    LEFT_HANDED_PSL,
    OBLIQUE,
    grid,
    ijk_to_ras_matrices,
    small_shapes_kji,
    voxel_centers,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from AnatoMaskGANLib.volumes import (
    LabelMap,
    Volume,
    VolumeError,
    same_grid,
    to_grid_of,
    to_model_grid,
    volume_to_model_grid,
)


def _numbered(shape: tuple[int, int, int]) -> np.ndarray:
    """Every voxel with a value of its own."""
    return np.arange(1, np.prod(shape) + 1, dtype=np.int16).reshape(shape)


def _place_of_each_value(label_map: LabelMap) -> dict[int, np.ndarray]:
    centers = voxel_centers(label_map.shape_kji, label_map.ijk_to_ras).reshape(-1, 3)
    return dict(zip(label_map.labels_kji.ravel().tolist(), centers, strict=True))


def test_a_2x2x2_map_in_psl_becomes_ras_by_hand() -> None:
    # i runs to posterior, j to superior, k to left
    labels = np.array([[[1, 2], [3, 4]], [[5, 6], [7, 8]]], np.uint8)
    model = to_model_grid(LabelMap(labels, LEFT_HANDED_PSL), (2.5, 0.7, 1.1))
    # model[k, j, i] = labels[1 - i, k, 1 - j]
    assert model.labels_kji.tolist() == [[[6, 2], [5, 1]], [[8, 4], [7, 3]]]
    assert np.allclose(model.ijk_to_ras[:3, :3], np.diag([2.5, 0.7, 1.1]))
    assert np.allclose(model.ijk_to_ras[:3, 3], (31 - 2.5, -12.25 - 0.7, 7.5))


def test_half_the_spacing_doubles_the_voxels_about_the_same_middle() -> None:
    labels = LabelMap(np.array([[[1, 2, 3]]], np.uint8), np.diag([2.0, 1.0, 1.0, 1.0]))
    model = to_model_grid(labels, (1.0, 1.0, 1.0))
    assert model.labels_kji.tolist() == [[[1, 1, 2, 2, 3, 3]]]
    assert model.ijk_to_ras[0].tolist() == [1.0, 0.0, 0.0, -0.5]


def test_twice_the_spacing_takes_every_other_label() -> None:
    labels = LabelMap(np.array([[[1, 2, 3, 4]]], np.uint8), np.eye(4))
    model = to_model_grid(labels, (2.0, 1.0, 1.0))
    # centers at 0.5 and 2.5: as near to 1 as to 2, and to 3 as to 4
    assert model.labels_kji.tolist() == [[[1, 3]]]


@settings(max_examples=40, deadline=None)
@given(small_shapes_kji, ijk_to_ras_matrices)
def test_permuting_to_the_model_grid_moves_no_voxel(
    shape: tuple[int, int, int], matrix: np.ndarray
) -> None:
    labels = LabelMap(_numbered(shape), matrix)
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    directions = np.abs(matrix[:3, :3] / spacing)
    model = to_model_grid(labels, _spacing_for(directions, spacing))
    before, after = _place_of_each_value(labels), _place_of_each_value(model)
    assert before.keys() == after.keys()
    assert max(np.linalg.norm(before[value] - after[value]) for value in before) < 1e-3


def _spacing_for(directions: np.ndarray, spacing: np.ndarray) -> tuple[float, float, float]:
    """The spacing along the axes that are closest to R, A and S."""
    best = max(
        itertools.permutations(range(3)),
        key=lambda axes: round(sum(directions[world, axis] for world, axis in enumerate(axes)), 6),
    )
    return tuple(float(spacing[axis]) for axis in best)


@settings(max_examples=40, deadline=None)
@given(small_shapes_kji, ijk_to_ras_matrices, st.tuples(*[st.floats(0.2, 12)] * 3))
def test_the_model_grid_keeps_the_axes_and_covers_the_map(
    shape: tuple[int, int, int], matrix: np.ndarray, spacing: tuple[float, float, float]
) -> None:
    labels = LabelMap(np.ones(shape, np.uint8), matrix)
    model = to_model_grid(labels, spacing)
    # along RAS as well as the map's own axes allow, never turned
    own = matrix[:3, :3] / np.linalg.norm(matrix[:3, :3], axis=0)
    its = model.ijk_to_ras[:3, :3] / np.linalg.norm(model.ijk_to_ras[:3, :3], axis=0)
    products = np.abs(own.T @ its)
    assert np.allclose(np.sort(products, axis=0), [[0, 0, 0], [0, 0, 0], [1, 1, 1]], atol=1e-6)
    assert sum(its[axis, axis] for axis in range(3)) > 0
    # same middle
    middle = voxel_centers(shape, matrix).mean(axis=(0, 1, 2))
    model_middle = voxel_centers(model.shape_kji, model.ijk_to_ras).mean(axis=(0, 1, 2))
    assert np.allclose(middle, model_middle, atol=1e-3)
    # covers the map up to the spacing's rounding, and by less than a voxel more
    for model_axis in range(3):
        axis = int(np.argmax(products[:, model_axis]))
        extent = shape[2 - axis] * labels.spacing_ijk_mm[axis]
        step = model.spacing_ijk_mm[model_axis]
        model_extent = model.shape_kji[2 - model_axis] * step
        assert extent - 0.06 * step <= model_extent < extent + step


@settings(max_examples=30, deadline=None)
@given(small_shapes_kji, st.tuples(*[st.floats(0.4, 4)] * 3), st.data())
def test_the_model_labels_do_not_depend_on_how_the_map_is_stored(
    shape: tuple[int, int, int], spacing: tuple[float, float, float], data: st.DataObject
) -> None:
    painting = np.random.default_rng(0).integers(0, 5, shape).astype(np.uint8)
    stored_ras = LabelMap(painting, grid((0, 1, 2), (1, 1, 1), (1.0, 1.5, 2.0)))
    expected = to_model_grid(stored_ras, spacing)
    axes = data.draw(st.sampled_from(list(itertools.permutations(range(3)))))
    flips = data.draw(st.tuples(*[st.booleans()] * 3))
    # array axes of the other storage: K holds world axis axes[2] and so on
    labels = painting.transpose([2 - axis for axis in reversed(axes)])
    lengths = (1.0, 1.5, 2.0)
    origin = [0.0, 0.0, 0.0]
    for column, is_flipped in enumerate(flips):
        if is_flipped:
            labels = np.flip(labels, 2 - column)
            origin[axes[column]] = lengths[axes[column]] * (labels.shape[2 - column] - 1)
    matrix = grid(
        axes,
        tuple(-1 if is_flipped else 1 for is_flipped in flips),
        tuple(lengths[axis] for axis in axes),
        origin=tuple(origin),
    )
    model = to_model_grid(LabelMap(labels, matrix), spacing)
    assert np.array_equal(model.labels_kji, expected.labels_kji)
    assert np.allclose(model.ijk_to_ras, expected.ijk_to_ras)


@settings(max_examples=40, deadline=None)
@given(small_shapes_kji, ijk_to_ras_matrices)
def test_there_and_back_is_exact_when_only_axes_permute(
    shape: tuple[int, int, int], matrix: np.ndarray
) -> None:
    original = Volume(np.random.default_rng(1).random(shape), matrix, (0.0, 1.0), "HU", {"a": "b"})
    labels = LabelMap(_numbered(shape), matrix)
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    model = to_model_grid(labels, _spacing_for(np.abs(matrix[:3, :3] / spacing), spacing))
    back = to_grid_of(volume_to_model_grid(original, model), labels)
    assert np.array_equal(back.voxels_kji, original.voxels_kji)
    assert np.array_equal(back.ijk_to_ras, matrix)
    assert (back.window, back.unit, back.provenance) == ((0.0, 1.0), "HU", {"a": "b"})


@settings(max_examples=30, deadline=None)
@given(small_shapes_kji, ijk_to_ras_matrices, st.tuples(*[st.floats(0.3, 3)] * 3))
def test_a_linear_ramp_in_the_world_survives_the_way_back(
    shape: tuple[int, int, int], matrix: np.ndarray, factors: tuple[float, float, float]
) -> None:
    labels = LabelMap(np.ones(shape, np.uint8), matrix)
    spacing = tuple(float(s * f) for s, f in zip(labels.spacing_ijk_mm, factors, strict=True))
    model = to_model_grid(labels, spacing)
    centers = voxel_centers(model.shape_kji, model.ijk_to_ras)
    ramp = Volume(centers @ np.array([0.5, -1.0, 2.0]), model.ijk_to_ras)
    back = to_grid_of(ramp, labels)
    assert back.shape_kji == shape
    expected = voxel_centers(shape, matrix) @ np.array([0.5, -1.0, 2.0])
    # inside the hull of the model's voxel centers linear interpolation is exact
    to_model = np.linalg.inv(model.ijk_to_ras) @ matrix
    k, j, i = np.indices(shape)
    positions = np.stack([i, j, k, np.ones_like(i)], axis=-1) @ to_model.T
    sizes = np.array(model.shape_kji[::-1])
    inside = ((positions[..., :3] >= 0) & (positions[..., :3] <= sizes - 1)).all(axis=-1)
    tolerance = 0.1 * max(model.spacing_ijk_mm)  # a grid that nearly fits is taken as it is
    assert np.allclose(back.voxels_kji[inside], expected[inside], atol=tolerance, rtol=1e-5)


def test_interpolation_agrees_with_simpleitk_on_parallel_and_on_turned_grids() -> None:
    voxels = np.random.default_rng(2).random((9, 10, 11)).astype(np.float32)
    volume = Volume(voxels, grid((1, 0, 2), (1, -1, 1), (1.0, 1.3, 2.1), origin=(3.0, 4.0, -5.0)))
    middle = voxel_centers(volume.shape_kji, volume.ijk_to_ras).mean(axis=(0, 1, 2))
    for angles in ((0.0, 0.0, 0.0), (0.2, -0.1, 0.3)):
        matrix = grid((0, 1, 2), (1, 1, -1), (0.6, 0.9, 1.0), angles)
        matrix[:3, 3] += middle - voxel_centers((6, 7, 8), matrix).mean(axis=(0, 1, 2))
        like = LabelMap(np.ones((6, 7, 8), np.uint8), matrix)
        ours = to_grid_of(volume, like).voxels_kji
        theirs = SimpleITK.Resample(
            _image(volume.voxels_kji, volume.ijk_to_ras), _image(like.labels_kji, matrix)
        )
        assert np.allclose(ours, SimpleITK.GetArrayFromImage(theirs), atol=1e-5)


def _image(array: np.ndarray, ijk_to_ras: np.ndarray) -> SimpleITK.Image:
    image = SimpleITK.GetImageFromArray(array)
    in_lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ ijk_to_ras
    spacing = np.linalg.norm(in_lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((in_lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(in_lps[:3, 3].tolist())
    return image


def test_outside_the_volume_is_the_low_end_of_the_window(caplog: pytest.LogCaptureFixture) -> None:
    volume = Volume(np.full((1, 1, 2), 50.0), np.eye(4), window=(-1000.0, 1000.0))
    like = LabelMap(np.ones((1, 1, 4), np.uint8), np.eye(4))
    assert to_grid_of(volume, like).voxels_kji.tolist() == [[[50, 50, -1000, -1000]]]
    assert "50.0 % of the target grid is outside" in caplog.text
    assert volume.voxels_kji.tolist() == [[[50, 50]]]


def test_a_coarse_volume_keeps_its_values_up_to_its_edge() -> None:
    coarse = Volume(np.array([[[10.0, 20.0]]]), np.diag([2.0, 1.0, 1.0, 1.0]))
    matrix = np.eye(4)
    matrix[0, 3] = -0.5
    fine = LabelMap(np.ones((1, 1, 4), np.uint8), matrix)
    # centers at -0.5, 0.5, 1.5, 2.5 of voxels 2 mm wide at 0 and 2
    assert to_grid_of(coarse, fine).voxels_kji.tolist() == [[[10.0, 12.5, 17.5, 20.0]]]


def test_a_spacing_in_the_wrong_unit_is_refused_before_memory_runs_out() -> None:
    labels = LabelMap(np.ones((100, 100, 100), np.uint8), np.diag([1000.0, 1000.0, 1000.0, 1.0]))
    with pytest.raises(VolumeError, match="millimeters"):
        to_model_grid(labels, (1.0, 1.0, 1.0))


def test_an_oblique_map_of_thick_slices_keeps_its_slices() -> None:
    labels = np.zeros((5, 8, 6), np.uint8)
    for k in range(5):
        labels[k] = k + 1
    stacked = LabelMap(labels, OBLIQUE)  # i to inferior, j to right, k to posterior
    model = to_model_grid(stacked, (1.25, 1.5, 0.8))
    # each slice of 3 mm becomes two of 1.5 mm along the anterior axis, counted from behind
    assert [np.unique(model.labels_kji[:, j]).tolist() for j in range(10)] == [
        [5], [5], [4], [4], [3], [3], [2], [2], [1], [1]
    ]  # fmt: skip


def test_a_whole_head_is_on_the_model_grid_and_back_well_within_a_second() -> None:
    lia = grid((0, 2, 1), (-1, -1, 1), (1.0, 1.0, 1.0))
    labels = LabelMap(np.random.default_rng(3).integers(0, 36, (224, 192, 160), np.uint8), lia)
    started = time.perf_counter()
    model = to_model_grid(labels, (1.0, 1.0, 1.0))
    back = to_grid_of(Volume(model.labels_kji.astype(np.float32), model.ijk_to_ras), labels)
    elapsed = time.perf_counter() - started
    assert same_grid(back, labels)
    assert np.array_equal(back.voxels_kji, labels.labels_kji)
    assert elapsed < 2.0  # 0.3 s on two idle cores
