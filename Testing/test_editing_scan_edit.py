"""A real scan follows an edit of its segmentation: what must hold for every edit."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from AnatoMaskGANLib.editing import (
    FILLED,
    KEEP,
    KEPT,
    MOVED,
    PAINTED,
    EditError,
    EditSettings,
    Look,
    ScanEditSession,
    edit_scan,
    operations,
    questions,
)
from AnatoMaskGANLib.editing.field import distance_mm
from AnatoMaskGANLib.editing.painting import dominant_tissue, fill
from AnatoMaskGANLib.editing.regions import as_box
from AnatoMaskGANLib.editing.settings import FieldSettings
from AnatoMaskGANLib.volumes import LabelMap, Volume, VolumeError, read_volume, write_volume
from Testing.edit_phantoms import (
    BODY,
    KIDNEY,
    LIVER,
    MEANS,
    NOISE,
    anisotropic,
    ball,
    oblique,
    phantom,
    relabeled,
    with_ball,
)

GRIDS = {"plain": None, "anisotropic": anisotropic(), "oblique": oblique()}


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.uint16, np.int32, np.float32])
def test_no_edit_changes_no_voxel(dtype: type) -> None:
    scan, labels = phantom(dtype=np.uint8 if dtype is np.uint8 else np.int16)
    scan = Volume(np.abs(scan.voxels_kji).astype(dtype), scan.ijk_to_ras)
    edited = edit_scan(scan, labels, labels)
    assert edited.volume.voxels_kji.dtype == dtype
    np.testing.assert_array_equal(edited.volume.voxels_kji, scan.voxels_kji)
    assert (edited.num_moved, edited.num_filled, edited.num_painted) == (0, 0, 0)


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float32])
@pytest.mark.parametrize("grid", GRIDS)
def test_beyond_the_reach_every_voxel_keeps_its_bits(grid: str, dtype: type) -> None:
    scan, before = phantom(GRIDS[grid], dtype)
    original = scan.voxels_kji.copy()
    after = operations.grow(before, KIDNEY, 3.0)
    reach = 9.0
    edited = edit_scan(scan, before, after, EditSettings(reach_mm=reach))
    voxels = edited.volume.voxels_kji
    far = distance_mm(before.labels_kji != after.labels_kji, before.spacing_ijk_mm[::-1]) > reach
    assert far.sum() > 1000
    assert voxels.dtype == dtype
    np.testing.assert_array_equal(voxels[far], original[far])
    np.testing.assert_array_equal(scan.voxels_kji, original)
    assert edited.num_moved == np.count_nonzero(edited.how_made() == MOVED) > 500
    np.testing.assert_array_equal(
        voxels[edited.how_made() == KEPT], original[edited.how_made() == KEPT]
    )
    assert voxels.min() >= original.min() and voxels.max() <= original.max()


@pytest.mark.parametrize("grid", GRIDS)
def test_a_grown_organ_looks_like_the_organ_where_it_has_grown(grid: str) -> None:
    scan, before = phantom(GRIDS[grid])
    after = operations.grow(before, KIDNEY, 2.5)
    voxels = edit_scan(scan, before, after).volume.voxels_kji
    gained = (after.labels_kji == KIDNEY) & (before.labels_kji != KIDNEY)
    inner = distance_mm(after.labels_kji != KIDNEY, before.spacing_ijk_mm[::-1]) > 1.2
    assert abs(scan.voxels_kji[gained].mean() - MEANS[BODY]) < 30  # it was body before
    assert abs(voxels[gained & inner].mean() - MEANS[KIDNEY]) < 25
    assert 0.6 < voxels[inner].std() / NOISE < 2.5


def test_a_moved_organ_takes_its_own_voxels_along() -> None:
    scan, before = phantom()
    after = operations.move(before, KIDNEY, (0.0, 3.0, 0.0))
    voxels = edit_scan(scan, before, after).volume.voxels_kji
    organ = after.labels_kji == KIDNEY
    came = np.roll(scan.voxels_kji, 3, axis=1)
    np.testing.assert_array_equal(voxels[organ], came[organ])
    behind = (before.labels_kji == KIDNEY) & ~organ
    assert abs(voxels[behind].mean() - MEANS[BODY]) < 60  # it was 240 above


def test_an_organ_carried_far_is_copied_voxel_by_voxel() -> None:
    scan, before = phantom(shape_kji=(24, 48, 80))
    labels = before.labels_kji.copy()
    organ = labels == KIDNEY
    labels[organ] = BODY
    labels[np.roll(organ, 20, axis=2)] = KIDNEY
    after = LabelMap(labels, before.ijk_to_ras)
    edited = edit_scan(scan, before, after)
    np.testing.assert_array_equal(
        edited.volume.voxels_kji[np.roll(organ, 20, axis=2)], scan.voxels_kji[organ]
    )
    assert abs(edited.volume.voxels_kji[organ].mean() - MEANS[BODY]) < 5
    assert edited.num_filled >= organ.sum()


def test_the_same_inputs_give_the_same_voxels_with_any_number_of_threads() -> None:
    scan, before = phantom()
    after = operations.grow(before, KIDNEY, 3.0)
    after = with_ball(after, 9, (12, 24, 13), 4)
    field = FieldSettings(iterations=(2, 2))
    settings = EditSettings(looks={9: Look("value", mean=20, standard_deviation=12)}, field=field)
    num_threads = torch.get_num_threads()
    made = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            made.append(edit_scan(scan, before, after, settings).volume.voxels_kji)
    finally:
        torch.set_num_threads(num_threads)
    np.testing.assert_array_equal(made[0], made[1])


def test_a_label_map_on_a_coarser_turned_grid_moves_the_scan_on_its_own() -> None:
    fine, fine_labels = phantom(shape_kji=(30, 50, 50))
    turn = oblique()
    turn[:3, 3] = 0
    turn[:3, 3] = fine.ijk_to_ras[:3, :3] @ [24.5, 24.5, 14.5] - turn[:3, :3] @ [29.5, 24.5, 14.5]
    index = np.indices((30, 50, 60)).reshape(3, -1)[::-1]
    places = np.rint(turn[:3, :3] @ index + turn[:3, 3:]).astype(int)[::-1]
    inside = ((places >= 0) & (places < np.array([[30], [50], [50]]))).all(axis=0)
    labels = np.zeros(index.shape[1], np.uint8)
    labels[inside] = fine_labels.labels_kji[tuple(places[:, inside])]
    before = LabelMap(labels.reshape(30, 50, 60), turn)
    after = operations.grow(before, KIDNEY, 3.0)
    edited = edit_scan(fine, before, after)
    assert edited.volume.shape_kji == fine.shape_kji
    center = (14.5, 24.5, 34.5)
    shell = ball((30, 50, 50), center, 7.5) & ~ball((30, 50, 50), center, 6.2)
    assert abs(fine.voxels_kji[shell].mean() - MEANS[BODY]) < 25
    assert abs(edited.volume.voxels_kji[shell].mean() - MEANS[KIDNEY]) < 60
    far = ~ball((30, 50, 50), center, 30)
    np.testing.assert_array_equal(edited.volume.voxels_kji[far], fine.voxels_kji[far])


def test_a_finer_label_map_moves_a_coarse_scan() -> None:
    scan, labels = phantom(np.diag([2.0, 2.0, 2.0, 1.0]), shape_kji=(16, 30, 30))
    fine = np.repeat(np.repeat(np.repeat(labels.labels_kji, 2, 0), 2, 1), 2, 2)
    matrix = np.eye(4)
    matrix[:3, 3] = -0.5  # the corners of both grids agree
    before = LabelMap(fine, matrix)
    after = operations.grow(before, LIVER, 3.0)
    edited = edit_scan(scan, before, after)
    grown = operations.grow(labels, LIVER, 2.0).labels_kji == LIVER
    gained = grown & (labels.labels_kji != LIVER)
    assert abs(edited.volume.voxels_kji[gained].mean() - MEANS[LIVER]) < 60
    assert edited.num_moved > 100


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_single_slice_can_be_edited(axis: int) -> None:
    shape = [40, 40, 40]
    shape[axis] = 1
    labels = np.full(shape, BODY, np.uint8)
    center = [(size - 1) / 2 for size in shape]
    labels[ball(tuple(shape), tuple(center), 7)] = LIVER
    noise = np.random.default_rng(0).standard_normal(shape)
    values = np.vectorize(MEANS.get)(labels) + NOISE * noise
    scan = Volume(values.astype(np.int16), np.eye(4))
    before = LabelMap(labels, np.eye(4))
    after = relabeled(before, ball(tuple(shape), tuple(center), 10), LIVER)
    edited = edit_scan(scan, before, after)
    deep = ball(tuple(shape), tuple(center), 8.5)
    assert abs(edited.volume.voxels_kji[deep].mean() - MEANS[LIVER]) < 12
    removed = edit_scan(scan, before, operations.remove(before, LIVER))
    assert abs(removed.volume.voxels_kji[deep].mean() - MEANS[BODY]) < 8
    added = edit_scan(
        scan,
        before,
        relabeled(before, ball(tuple(shape), tuple(center), 4), 9),
        EditSettings(looks={9: Look("value", mean=300, standard_deviation=20)}),
    )
    assert added.num_painted > 30


def test_labels_thinner_than_a_voxel_and_many_labels_are_edited() -> None:
    shape = (12, 40, 40)
    labels = 1 + (np.arange(12)[:, None, None] // 4 * 100) + (np.arange(40)[:, None] // 4) * 10
    labels = (labels + np.arange(40) // 4).astype(np.int32)  # 300 of 4 x 4 x 4 voxels
    scan = Volume((labels % 97 * 10).astype(np.int16), np.eye(4))
    before = LabelMap(labels, np.eye(4))
    edited_labels = labels.copy()
    edited_labels[:, 20, 8:30] = labels[4, 18, 18]  # a sheet of one voxel
    edited = edit_scan(scan, before, LabelMap(edited_labels, np.eye(4)))
    assert edited.num_moved > 0
    far = np.abs(np.arange(shape[1]) - 20) > 16
    np.testing.assert_array_equal(edited.volume.voxels_kji[:, far], scan.voxels_kji[:, far])


def test_edits_at_the_border_of_the_volume_stay_in_it() -> None:
    scan, before = phantom()
    after = relabeled(before, np.zeros(before.shape_kji, bool), 1)
    labels = after.labels_kji.copy()
    labels[:4, :10, :10] = LIVER
    labels[-3:, -12:, -12:] = BODY
    edited = edit_scan(scan, before, LabelMap(labels, before.ijk_to_ras))
    assert edited.num_painted + edited.num_moved + edited.num_filled > 300
    assert abs(edited.volume.voxels_kji[:4, :10, :10].mean() - MEANS[LIVER]) < 15


def test_of_tissues_side_by_side_the_largest_goes_on_that_is_not_like_what_went() -> None:
    """Fat, muscle and what lies between them, around an organ about as bright as muscle."""
    draws = np.random.default_rng(5)
    voxels = np.empty((3, 40, 40), np.float32)
    voxels[:, :, :14] = -100
    voxels[:, :, 14:22] = np.linspace(-90, 30, 8)
    voxels[:, :, 22:] = 40
    hole = np.zeros(voxels.shape, dtype=bool)
    hole[1, :4, 36:] = True
    voxels[hole] = 55
    voxels += NOISE * draws.standard_normal(voxels.shape).astype(np.float32)
    is_fat = dominant_tissue(voxels, ~hole, hole, NOISE)
    assert abs(voxels[is_fat].mean() + 100) < 8
    assert is_fat[:, :, :14].mean() > 0.99
    assert not is_fat[:, :, 18:].any()
    # without noise to tell tissues by, and where all is one tissue, all of it goes on
    np.testing.assert_array_equal(dominant_tissue(voxels, ~hole, hole, 0.0), ~hole)
    muscle = ~hole & (np.arange(40) >= 22)
    np.testing.assert_array_equal(dominant_tissue(voxels, muscle, hole, 1.5 * NOISE), muscle)


@pytest.mark.parametrize("change", ["stroke", "lesion", "removed"])
def test_in_thick_slices_a_change_of_one_slice_leaves_its_neighbors_their_bits(change: str) -> None:
    scan, before = phantom(np.diag([1.0, 1.0, 5.0, 1.0]), shape_kji=(20, 64, 64))
    labels = before.labels_kji.copy()
    rows, columns = np.argwhere(labels[10] == KIDNEY).mean(axis=0)
    j, i = np.ogrid[:64, :64]
    disk = (j - rows - 5) ** 2 + (i - columns) ** 2 <= 9
    if change == "removed":
        labels[10][labels[10] == KIDNEY] = BODY
    else:
        labels[10][disk] = KIDNEY if change == "stroke" else 9
    settings = EditSettings(looks={9: Look("value", mean=300, standard_deviation=5)})
    settings = replace(settings, cut_labels={KIDNEY} if change == "removed" else ())
    edited = edit_scan(scan, before, LabelMap(labels, before.ijk_to_ras), settings)
    differs = (edited.volume.voxels_kji != scan.voxels_kji).any(axis=(1, 2))
    assert np.flatnonzero(differs).tolist() == [10]


def test_in_slices_that_are_not_thick_neighbors_give_way_too() -> None:
    scan, before = phantom()
    labels = before.labels_kji.copy()
    labels[12, 29:33, 30:36] = KIDNEY
    edited = edit_scan(scan, before, LabelMap(labels, before.ijk_to_ras))
    assert (edited.how_made()[[11, 13]] == MOVED).any()


def test_a_gap_in_a_thin_structure_has_its_noise_and_not_the_steps_of_its_borders() -> None:
    """A layer of fluid in bright tissue, blurred over its five voxels."""
    voxels = np.full((24, 24, 40), 100, np.float32)
    voxels[:, 9:14] = np.array([50, 30, 20, 30, 50]).reshape(1, 5, 1)
    voxels += 3 * np.random.default_rng(6).standard_normal(voxels.shape).astype(np.float32)
    layer = np.zeros(voxels.shape, dtype=bool)
    layer[:, 9:14] = True
    hole = layer & (np.abs(np.arange(40) - 20) <= 4)
    box = as_box(slice(0, size) for size in voxels.shape)
    filled = fill(voxels, hole, layer & ~hole, box, (1.0, 1.0, 1.0), None, False)
    assert 0.8 * 3 < filled[:, 11, 16:25].std() < 1.5 * 3
    assert 20 < filled[:, 11, 16:25].mean() < 50


def test_a_removed_organ_becomes_what_is_around() -> None:
    scan, before = phantom()
    edited = edit_scan(scan, before, operations.remove(before, KIDNEY))
    hole = before.labels_kji == KIDNEY
    values = edited.volume.voxels_kji[hole]
    assert abs(values.mean() - MEANS[BODY]) < 4
    assert 0.8 < values.std() / NOISE < 1.2
    assert edited.num_filled >= hole.sum()
    assert (edited.how_made()[hole] == FILLED).all()
    assert any("3 (kidney)" in warning for warning in edited.warnings)


@pytest.mark.parametrize(
    ("fill", "mean", "tolerance"),
    [
        (Look("like", label=LIVER), MEANS[LIVER], 5),
        (Look("value", mean=8, standard_deviation=5), 8, 1),
    ],
)
def test_a_removed_organ_is_filled_as_asked(fill: Look, mean: float, tolerance: float) -> None:
    scan, before = phantom()
    after = operations.remove(before, KIDNEY)
    edited = edit_scan(scan, before, after, EditSettings(fills={KIDNEY: fill}))
    hole = before.labels_kji == KIDNEY
    assert abs(edited.volume.voxels_kji[hole].mean() - mean) < tolerance


def test_what_is_cut_away_is_filled_and_nothing_moves() -> None:
    scan, before = phantom()
    half = (before.labels_kji == LIVER) & (np.arange(48)[:, None] > 24)
    after = relabeled(before, half, BODY)
    cut = edit_scan(scan, before, after, EditSettings(cut_labels=frozenset({LIVER})))
    assert cut.num_moved == 0
    deep = distance_mm(~half, (1, 1, 1)) > 1.5  # the rest shares its voxels with what is beside
    assert abs(cut.volume.voxels_kji[deep].mean() - MEANS[BODY]) < 5
    drawn_in = edit_scan(scan, before, after)
    assert drawn_in.num_moved > 0 == drawn_in.num_filled


@pytest.mark.parametrize(
    ("mean", "standard_deviation"), [(20.0, 12.0), (300.0, 40.0), (-50.0, 0.0)]
)
@pytest.mark.parametrize("grid", GRIDS)
def test_a_lesion_has_the_mean_and_deviation_that_were_asked_for(
    grid: str, mean: float, standard_deviation: float
) -> None:
    scan, before = phantom(GRIDS[grid])
    middle = tuple(int(m) for m in np.argwhere(before.labels_kji == LIVER).mean(axis=0))
    after = with_ball(before, 9, middle, 5)
    settings = EditSettings(
        looks={9: Look("value", mean=mean, standard_deviation=standard_deviation)}
    )
    edited = edit_scan(scan, before, after, settings)
    values = edited.volume.voxels_kji[after.labels_kji == 9]
    window = MEANS[KIDNEY] - MEANS[0]
    assert abs(values.mean() - mean) < 0.005 * window
    assert abs(values.std() - standard_deviation) <= 0.1 * standard_deviation
    assert (edited.how_made()[after.labels_kji == 9] == PAINTED).all()


def test_a_lesion_has_a_rim_and_a_core() -> None:
    scan, before = phantom()
    after = with_ball(before, 9, (12, 24, 14), 6)
    look = Look(
        "value",
        mean=10,
        standard_deviation=4,
        rim=Look("value", mean=200, standard_deviation=6),
        rim_mm=2,
    )
    voxels = edit_scan(scan, before, after, EditSettings(looks={9: look})).volume.voxels_kji
    core = ball(before.shape_kji, (12, 24, 14), 3)
    rim = ball(before.shape_kji, (12, 24, 14), 6) & ~ball(before.shape_kji, (12, 24, 14), 5.2)
    assert abs(voxels[core].mean() - 10) < 3
    assert abs(voxels[rim].mean() - 200) < 3


def test_a_structure_like_another_one_has_its_mean_and_grain() -> None:
    scan, before = phantom()
    after = with_ball(before, 9, (12, 8, 24), 4)
    settings = EditSettings(looks={9: Look("like", label=KIDNEY)})
    values = edit_scan(scan, before, after, settings).volume.voxels_kji[after.labels_kji == 9]
    assert abs(values.mean() - MEANS[KIDNEY]) < 4
    assert 0.8 < values.std() / NOISE < 1.2


def test_a_second_piece_of_an_organ_looks_like_the_organ() -> None:
    scan, before = phantom()
    after = with_ball(before, KIDNEY, (12, 8, 8), 4)
    edited = edit_scan(scan, before, after)
    new = ball(before.shape_kji, (12, 8, 8), 4)
    assert abs(edited.volume.voxels_kji[new].mean() - MEANS[KIDNEY]) < 6
    assert edited.num_moved == 0


def test_split_and_merged_labels_keep_every_voxel() -> None:
    scan, before = phantom()
    split = operations.split(before, LIVER, 9, axis_ras=1, at_mm=24.0)
    done = edit_scan(scan, before, split, EditSettings(looks={9: KEEP}))
    np.testing.assert_array_equal(done.volume.voxels_kji, scan.voxels_kji)
    merged = operations.merge(before, [LIVER, KIDNEY], LIVER)
    done = edit_scan(scan, before, merged, EditSettings(fills={KIDNEY: KEEP}))
    np.testing.assert_array_equal(done.volume.voxels_kji, scan.voxels_kji)


def test_a_segment_that_vanishes_by_shrinking_is_told_and_filled() -> None:
    scan, before = phantom()
    after = relabeled(before, before.labels_kji == LIVER, BODY)
    edited = edit_scan(scan, before, after)
    assert "Removed and filled like the surroundings: 2 (liver)." in edited.warnings


def test_another_anatomy_is_told_to_be_one() -> None:
    scan, before = phantom()
    labels = np.where(before.labels_kji == BODY, LIVER, BODY)
    labels[:, 10:30, 5:20] = KIDNEY
    edited = edit_scan(scan, before, LabelMap(labels, before.ijk_to_ras))
    assert any("different anatomy" in warning for warning in edited.warnings)
    small = edit_scan(scan, before, operations.grow(before, KIDNEY, 2))
    assert small.warnings == ()


def test_the_record_tells_the_inputs_and_that_the_scan_is_a_persons(tmp_path) -> None:
    scan, before = phantom()
    after = operations.grow(before, KIDNEY, 2.0)
    edited = edit_scan(scan, before, after, EditSettings(reach_mm=10))
    record = edited.volume.provenance
    assert record["LabelMapBeforeSHA256"] == before.sha256()
    assert record["LabelMapAfterSHA256"] == after.sha256()
    assert len(record["EditedScanSHA256"]) == 64
    assert json.loads(record["EditSettings"])["reach_mm"] == 10
    assert "real person" in record["Notice"]
    assert "SyntheticData" not in record
    assert record["VoxelsMoved"] == str(edited.num_moved)
    write_volume(edited.volume, tmp_path / "edited.nii.gz")
    again = read_volume(tmp_path / "edited.nii.gz")
    assert again.voxels_kji.dtype == np.int16 and dict(again.provenance) == dict(record)
    far = edited.how_made() == KEPT
    np.testing.assert_array_equal(again.voxels_kji[far], scan.voxels_kji[far])


def test_a_synthetic_scan_stays_marked_as_synthetic() -> None:
    scan, before = phantom()
    scan = Volume(scan.voxels_kji, scan.ijk_to_ras, provenance={"SyntheticData": "YES"})
    record = edit_scan(scan, before, operations.grow(before, KIDNEY, 2)).volume.provenance
    assert record["SyntheticData"] == "YES" and "real person" not in record["Notice"]


def test_the_record_of_settings_makes_the_same_settings_again() -> None:
    rim = Look("value", mean=5, standard_deviation=1)
    settings = EditSettings(
        looks={9: Look("like", label=2, rim=rim, rim_mm=2)},
        fills={3: KEEP},
        cut_labels=frozenset({2}),
        reach_mm=11.0,
    )
    text = json.dumps(settings.to_dict())
    assert EditSettings.from_dict(json.loads(text)) == settings
    assert (
        EditSettings.from_dict(json.loads(json.dumps(EditSettings().to_dict()))) == EditSettings()
    )


def test_what_has_to_be_asked_has_a_default_that_works() -> None:
    scan, before = phantom()
    after = with_ball(operations.remove(before, KIDNEY), 9, (12, 24, 14), 4)
    asked = questions(scan, before, after)
    assert [(one.kind, one.label) for one in asked] == [("look", 9), ("fill", KIDNEY)]
    assert asked[1].name == "kidney"
    settings = EditSettings(
        looks={one.label: one.default for one in asked if one.kind == "look"},
        fills={one.label: one.default for one in asked if one.kind == "fill"},
    )
    assert edit_scan(scan, before, after, settings).num_painted > 0


def test_a_new_label_without_a_look_is_refused_with_what_to_say() -> None:
    scan, before = phantom()
    after = with_ball(before, 9, (12, 24, 14), 4)
    with pytest.raises(EditError, match=r"the scan does not have: 9; expected a look"):
        edit_scan(scan, before, after)


def test_a_look_like_a_label_that_the_scan_has_not_is_refused() -> None:
    scan, before = phantom()
    after = with_ball(before, 9, (12, 24, 14), 4)
    with pytest.raises(EditError, match=r"like label 77.*expected one of \[1, 2, 3\]"):
        edit_scan(scan, before, after, EditSettings(looks={9: Look("like", label=77)}))


def test_maps_on_different_grids_are_refused() -> None:
    scan, before = phantom()
    after = LabelMap(before.labels_kji[:-1], before.ijk_to_ras)
    with pytest.raises(EditError, match="expected the same grid"):
        edit_scan(scan, before, after)


def test_a_scan_elsewhere_is_refused() -> None:
    scan, before = phantom()
    away = scan.ijk_to_ras.copy()
    away[:3, 3] = 1000
    with pytest.raises(EditError, match="do not overlap"):
        edit_scan(Volume(scan.voxels_kji, away), before, before)


def test_an_edit_outside_the_scan_is_told() -> None:
    scan, before = phantom(shape_kji=(24, 48, 96))
    part = Volume(scan.voxels_kji[:, :, :20], scan.ijk_to_ras)
    edited = edit_scan(part, before, operations.grow(before, KIDNEY, 2.0))
    assert any("outside the scan" in warning for warning in edited.warnings)
    np.testing.assert_array_equal(edited.volume.voxels_kji, part.voxels_kji)


def test_a_scan_with_voxels_that_are_no_numbers_is_refused() -> None:
    scan, before = phantom(dtype=np.float32)
    voxels = scan.voxels_kji.copy()
    voxels[3, 3, 3] = np.nan
    with pytest.raises(VolumeError, match="1 of .* NaN or infinite"):
        edit_scan(Volume(voxels, scan.ijk_to_ras), before, before)


def test_colors_and_vectors_are_refused() -> None:
    with pytest.raises(VolumeError, match="expected three axes"):
        Volume(np.zeros((4, 4, 4, 3), np.uint8), np.eye(4))


def test_an_edit_that_changes_everything_is_done_and_told() -> None:
    scan, before = phantom()
    everything = relabeled(before, np.ones(before.shape_kji, bool), LIVER)
    edited = edit_scan(scan, before, everything)
    assert edited.volume.shape_kji == scan.shape_kji
    assert edited.warnings


def test_a_map_with_nothing_around_a_removed_label_is_filled_all_the_same() -> None:
    voxels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    before = LabelMap(np.ones((2, 2, 3), np.uint8), np.eye(4))
    after = LabelMap(np.zeros((2, 2, 3), np.uint8), np.eye(4))
    edited = edit_scan(Volume(voxels, np.eye(4)), before, after)
    assert edited.num_filled == 12
    assert 0 <= edited.volume.voxels_kji.min() <= edited.volume.voxels_kji.max() <= 20


@pytest.mark.parametrize("seed", range(12))
def test_any_edit_of_any_map_keeps_type_and_bits_and_can_be_undone(seed: int) -> None:
    draws = np.random.default_rng(seed)
    shape = tuple(int(size) for size in draws.choice([1, 2, 5, 17, 26], 3))
    blocks = draws.integers(0, 5, [-(-size // 4) for size in shape])
    labels = blocks.repeat(4, 0).repeat(4, 1).repeat(4, 2)[tuple(map(slice, shape))]
    edited_labels = labels.copy()
    for _ in range(3):
        middle = [int(draws.integers(size)) for size in shape]
        radius = int(draws.integers(1, 6))
        part = tuple(slice(max(0, at - radius), at + radius) for at in middle)
        edited_labels[part] = draws.integers(0, 7)
    grid = list(GRIDS.values())[seed % 3]
    grid = np.eye(4) if grid is None else grid
    values = np.clip(20 * draws.standard_normal(shape) + 15 * labels + 40, 0, 127)
    scan = Volume(values.astype([np.uint8, np.int16, np.float32, np.int8][seed % 4]), grid)
    before, after = (LabelMap(one, grid) for one in (labels, edited_labels))
    looks = {label: Look("value", mean=30, standard_deviation=5) for label in (5, 6)}
    session = ScanEditSession(scan, before)
    session.update(after, EditSettings(looks=looks))
    edited = session.edited()
    kept = edited.how_made() == KEPT
    assert edited.volume.voxels_kji.dtype == scan.voxels_kji.dtype
    np.testing.assert_array_equal(edited.volume.voxels_kji[kept], scan.voxels_kji[kept])
    assert np.isfinite(edited.volume.voxels_kji.astype(float)).all()
    session.update(before)
    np.testing.assert_array_equal(session.voxels_kji, scan.voxels_kji)


def test_no_edit_needs_the_bridge_between_pytorch_and_numpy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*args: object, **more: object) -> None:
        raise RuntimeError("Numpy is not available")

    of_list = torch.tensor

    def without_arrays(data: object, **more: object) -> torch.Tensor:
        if isinstance(data, np.ndarray | np.generic):
            refuse()
        return of_list(data, **more)

    for name in ("from_numpy", "as_tensor", "asarray"):
        monkeypatch.setattr(torch, name, refuse)
    monkeypatch.setattr(torch, "tensor", without_arrays)
    monkeypatch.setattr(torch.Tensor, "numpy", refuse)
    monkeypatch.setattr(torch.Tensor, "__array__", refuse)
    scan, before = phantom()
    after = with_ball(operations.grow(before, KIDNEY, 2.0), 9, (12, 24, 13), 4)
    settings = EditSettings(looks={9: Look("value", mean=20, standard_deviation=12)})
    edited = edit_scan(scan, before, after, settings)
    assert edited.num_moved > 0 and edited.num_painted > 0
