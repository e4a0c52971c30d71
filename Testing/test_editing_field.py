"""How label maps are registered: the field, where it reaches, and where its places are fixed."""

from __future__ import annotations

import numpy as np
import pytest

from AnatoMaskGANLib.editing import EditError
from AnatoMaskGANLib.editing.field import distance_mm, register_labels
from AnatoMaskGANLib.editing.grids import grids_of
from AnatoMaskGANLib.editing.label_codes import label_codes
from AnatoMaskGANLib.editing.parts import find_parts
from AnatoMaskGANLib.editing.places import fix_places, nearest_voxels
from AnatoMaskGANLib.editing.regions import changed_box, find_regions
from AnatoMaskGANLib.editing.rigid import find_shifts, put_shifts
from AnatoMaskGANLib.editing.settings import FieldSettings
from AnatoMaskGANLib.editing.slices import beside
from AnatoMaskGANLib.editing.tensors import array_of, tensor_of
from AnatoMaskGANLib.volumes import LabelMap, Volume
from Testing.edit_phantoms import anisotropic, ball, oblique

OPEN = ((True, True),) * 3
CLOSED = ((False, False),) * 3
WHOLE = (slice(0, 24), slice(0, 40), slice(0, 40))


def pulled(before: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    at = np.rint(np.indices(before.shape) + offsets).astype(int)
    for axis, size in enumerate(before.shape):
        np.clip(at[axis], 0, size - 1, out=at[axis])
    return before[tuple(at)]


def dice(first: np.ndarray, second: np.ndarray) -> float:
    return 2 * (first & second).sum() / (first.sum() + second.sum())


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (3.0, 1.0, 1.0), (0.5, 0.8, 1.1)])
@pytest.mark.parametrize("moved", [(0, 0, 4), (0, -3, 2)])
def test_the_field_brings_a_ball_to_where_it_was(
    spacing: tuple[float, float, float], moved: tuple[int, int, int]
) -> None:
    shape = (24, 40, 40)
    before = ball(shape, (12, 20, 20), 7, spacing).astype(np.uint8)
    after = np.roll(before, moved, axis=(0, 1, 2))
    field = register_labels(before, after, spacing, 14, OPEN, FieldSettings())
    offsets = field.inside(WHOLE)
    assert dice(pulled(before, offsets) == 1, after == 1) > 0.95
    assert dice(before == 1, after == 1) < 0.85
    assert offsets.dtype == np.float32


def test_the_field_ends_at_the_reach_and_at_closed_sides() -> None:
    before = ball((24, 40, 40), (12, 20, 20), 6).astype(np.uint8)
    after = ball((24, 40, 40), (12, 20, 20), 8).astype(np.uint8)
    offsets = register_labels(before, after, (1, 1, 1), 6, CLOSED, FieldSettings()).inside(WHOLE)
    far = distance_mm(before != after, (1, 1, 1)) >= 6
    assert np.abs(offsets[:, far]).max() == 0
    assert np.abs(offsets).max() > 1
    wide = register_labels(before, after, (1, 1, 1), 60, CLOSED, FieldSettings()).inside(WHOLE)
    for axis in range(1, 4):
        assert np.abs(np.take(wide, [0, -1], axis)).max() == 0


def test_a_part_of_the_field_is_the_field_there() -> None:
    draws = np.random.default_rng(0)
    before = draws.integers(0, 3, (24, 40, 40)).astype(np.uint8)
    after = np.roll(before, 1, axis=2)
    settings = FieldSettings(most_cells=5000)
    field = register_labels(before, after, (1, 1, 1), 30, CLOSED, settings)
    assert max(field.cells_kji) > 1 and np.prod(field.offsets.shape[1:]) <= 5000
    part = (slice(3, 11), slice(8, 9), slice(20, 40))
    np.testing.assert_array_equal(field.inside(part), field.inside(WHOLE)[(slice(None), *part)])


def test_a_field_on_a_coarser_grid_is_near_the_one_on_the_full_grid() -> None:
    before = ball((24, 40, 40), (12, 20, 20), 7).astype(np.uint8)
    after = ball((24, 40, 40), (12, 21, 18), 7).astype(np.uint8)
    fine, coarse = (
        register_labels(before, after, (1, 1, 1), 14, CLOSED, FieldSettings(most_cells=most))
        for most in (100_000, 6_000)
    )
    assert coarse.cells_kji == (2, 2, 2)
    assert dice(pulled(before, coarse.inside(WHOLE)) == 1, after == 1) > 0.93
    border = distance_mm(before != after, (1, 1, 1)) < 2
    difference = (fine.inside(WHOLE) - coarse.inside(WHOLE))[:, border]
    assert np.sqrt(np.square(difference).mean()) < 0.6


def test_hundreds_of_labels_have_codes_that_differ() -> None:
    codes = label_codes(300)
    likeness = codes @ codes.T - 2 * np.eye(300)
    assert likeness.max() < 0.93  # 23 degrees; drawn codes come within 1 degree
    np.testing.assert_allclose(np.linalg.norm(codes, axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(codes, label_codes(300))
    np.testing.assert_array_equal(label_codes(3), np.eye(3, dtype=np.float32)[:, :3])


def test_tensors_and_arrays_hold_the_same_values_and_no_common_memory() -> None:
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)[:, ::-1]
    tensor = tensor_of(array)
    np.testing.assert_array_equal(np.array(tensor.tolist()), array)
    back = array_of(tensor.permute(2, 0, 1))
    np.testing.assert_array_equal(back, array.transpose(2, 0, 1))
    back += 1
    assert tensor[0, 0, 0].item() == array[0, 0, 0]


def test_a_place_with_the_wrong_label_takes_the_offset_of_its_neighbor() -> None:
    before = np.array([[[1, 1, 1, 2, 2, 2, 2, 2]]])
    after = np.array([[[1, 1, 1, 1, 1, 2, 2, 2]]])
    places = np.indices(before.shape).astype(np.float32)  # nothing moved yet
    fixed, is_off = fix_places(places, before, after)
    assert is_off.ravel().tolist() == [False] * 3 + [True] * 2 + [False] * 3
    # the offset 0 misses as well, so both take the nearest voxel of label 1
    assert fixed[2].ravel().tolist() == [0, 1, 2, 2, 2, 5, 6, 7]
    places[2, 0, 0, 2] = 0  # two voxels to the left, still label 1
    fixed, _ = fix_places(places, before, after)
    assert fixed[2].ravel().tolist() == [0, 1, 0, 1, 2, 5, 6, 7]


def test_a_label_that_the_old_map_has_not_stays_where_it_is() -> None:
    before = np.zeros((1, 1, 5), int)
    after = np.array([[[0, 0, 7, 0, 0]]])
    places = np.indices(before.shape).astype(np.float32)
    fixed, is_off = fix_places(places, before, after)
    np.testing.assert_array_equal(fixed, places)
    assert not is_off.any()


def test_the_nearest_voxel_of_a_mask_is_found() -> None:
    mask = np.zeros((5, 6, 7), bool)
    mask[1, 2, 3] = mask[4, 5, 6] = True
    spots = np.array([[0, 4, 3], [0, 4, 5], [0, 4, 6]])
    assert nearest_voxels(mask, spots).T.tolist() == [[1, 2, 3], [4, 5, 6], [4, 5, 6]]


def test_nearest_voxels_are_as_near_as_a_distance_transform_says() -> None:
    draws = np.random.default_rng(2)
    mask = draws.random((9, 20, 20)) < 0.03
    mask[:, :, 12:] = False  # some spots are far from it
    spots = np.argwhere(draws.random(mask.shape) < 0.2).T
    found = nearest_voxels(mask, spots)
    assert mask[tuple(found)].all()
    expected = distance_mm(mask, (1, 1, 1))[tuple(spots)]
    np.testing.assert_allclose(np.linalg.norm(found - spots, axis=0), expected, rtol=1e-5)


def test_the_box_of_a_change_holds_it_and_no_more() -> None:
    first = np.zeros((5, 6, 7), np.uint8)
    second = first.copy()
    assert changed_box(first, second) is None
    second[1, 2, 3] = second[3, 4, 2] = 1
    assert changed_box(first, second) == (slice(1, 4), slice(2, 5), slice(2, 4))


def test_edits_far_apart_are_regions_of_their_own_and_near_ones_are_one() -> None:
    before = np.zeros((20, 40, 200), np.uint8)
    after = before.copy()
    after[10, 20, 20] = after[10, 20, 150] = 1
    far = find_regions(before, after, (1, 1, 1), 12, False)
    assert len(far) == 2 and far[0].box[2].stop <= far[1].box[2].start
    after[10, 20, 40] = 1
    near = find_regions(before, after, (1, 1, 1), 12, False)
    assert len(near) == 2 and near[0].box[2].start <= 8 and near[0].box[2].stop >= 53
    assert near[0].box[0] == slice(0, 20)
    assert find_regions(before, before, (1, 1, 1), 12, False) == []


def test_the_reach_grows_with_how_far_contents_move() -> None:
    before = np.zeros((1, 60, 60), np.uint8)
    before[:, 20:40, 20:30] = 1
    after = before.copy()
    after[:, 20:40, 30:40] = 1  # the border moves by 10, the change is 5 deep
    (region,) = find_regions(before, after, (1, 1, 1), 6, True)
    assert 18 <= region.reach_mm <= 24
    (region,) = find_regions(before, after, (1, 1, 1), 6, False)
    assert region.reach_mm == 6


def test_pieces_are_added_removed_carried_or_moved() -> None:
    shape = (12, 24, 60)
    before = np.zeros(shape, np.uint8)
    before[ball(shape, (6, 12, 10), 4)] = 1
    spacing, near = (1.0, 1.0, 1.0), 6.0

    def kinds(after: np.ndarray, **more: object) -> list[tuple[str, tuple[int, ...]]]:
        new, cut = more.get("new", ()), more.get("cut", ())
        parts = find_parts(before, after, new, cut, spacing, near)
        return [(part.kind, part.offset_kji) for part in parts]

    gone = np.zeros_like(before)
    assert kinds(gone) == [("removed", (0, 0, 0))]
    far = np.roll(before, 30, axis=2)
    assert kinds(far) == [("removed", (0, 0, 0)), ("carried", (0, 0, -30))]
    assert kinds(np.roll(before, 5, axis=2)) == []
    second = before | far
    assert kinds(second) == [("added", (0, 0, 0))]
    assert kinds(np.where(far, 9, before), new=(9,)) == [("added", (0, 0, 0))]
    smaller = ball(shape, (6, 12, 10), 3).astype(np.uint8)
    assert kinds(smaller) == []
    assert kinds(smaller, cut=(1,)) == [("removed", (0, 0, 0))]


def test_a_label_that_moved_as_a_whole_is_found_with_its_offset() -> None:
    shape = (12, 24, 30)
    before = ball(shape, (6, 12, 12), 5).astype(np.uint8)
    before[ball(shape, (6, 12, 24), 2)] = 2
    moved = np.roll(before == 1, (0, -2, 3), axis=(0, 1, 2))
    after = np.where(moved, 1, np.where(before == 1, 0, before))
    assert find_shifts(before, after) == {1: (0, 2, -3)}
    assert find_shifts(before, before) == {}
    grown = np.where(ball(shape, (6, 12, 13), 6), 1, before)
    assert find_shifts(before, grown) == {}


def test_places_of_a_shifted_label_are_whole_where_the_label_is() -> None:
    before = np.array([[[0, 1, 1, 1, 0, 0]]])
    after = np.array([[[1, 1, 1, 0]]])  # begins at voxel 2: the label at 2 to 4
    places = np.full((3, 1, 1, 4), 0.5, np.float32)
    put_shifts(places, before, after, (0, 0, 2), {1: (0, 0, -1)}, beside((1, 1, 1)))
    assert places[2].ravel().tolist() == [1, 2, 3, 4]  # the last one lies beside it
    places[:] = 0.5
    put_shifts(places, before, after, (0, 0, 2), {1: (0, 0, -2)}, beside((1, 1, 1)))
    assert places[2].ravel().tolist() == [0.5, 1, 2, 0.5]


@pytest.mark.parametrize("matrix", [anisotropic(), oblique()])
def test_voxels_of_the_scan_lie_where_both_geometries_say(matrix: np.ndarray) -> None:
    scan = Volume(np.zeros((9, 10, 11), np.int16), matrix)
    turned = oblique()[:3, :3] @ np.diag([0.7, 1.1, 0.9])
    geometry = np.eye(4)
    geometry[:3, :3] = turned
    geometry[:3, 3] = matrix[:3, :3] @ [5, 5, 4] + matrix[:3, 3] - turned @ [6, 6, 6]
    grids = grids_of(scan, LabelMap(np.ones((13, 13, 13), np.uint8), geometry))
    box = (slice(2, 5), slice(3, 7), slice(1, 9))
    places = grids.label_places(box)
    k, j, i = 4, 5, 6
    world = matrix @ [i, j, k, 1]
    expected = np.linalg.solve(geometry, world)[:3][::-1]
    np.testing.assert_allclose(places[:, k - 2, j - 3, i - 1], expected, atol=1e-4)
    step = grids.turn @ [1.0, 0, 0]  # one voxel of the map along K
    there = np.linalg.solve(matrix[:3, :3], geometry[:3, 2])[::-1]
    np.testing.assert_allclose(step, there, atol=1e-9)
    inner = grids.scan_box((slice(4, 9), slice(4, 9), slice(4, 9)))
    at = np.rint(grids.label_places(tuple(slice(0, n) for n in scan.shape_kji))).astype(int)
    inside = ((at >= 4) & (at < 9)).all(axis=0)
    outside = inside.copy()
    outside[inner] = False
    assert inside.any() and not outside.any()


def test_grids_that_share_no_voxel_are_refused() -> None:
    away = np.eye(4)
    away[0, 3] = 50
    with pytest.raises(EditError, match="do not overlap"):
        grids_of(
            Volume(np.zeros((4, 4, 4), np.int16), away),
            LabelMap(np.ones((4, 4, 4), np.uint8), np.eye(4)),
        )
