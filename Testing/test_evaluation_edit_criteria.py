from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from AnatoMaskGANLib.evaluation.edit_baselines import label_mean_edit, nearest_voxel_edit
from AnatoMaskGANLib.evaluation.edit_suite import Edit, EvaluatedEdit, measure_edit
from AnatoMaskGANLib.evaluation.metrics.edit_criteria import (
    EditPlaces,
    effectiveness,
    minimality,
    psnr,
    realism,
    reversibility,
    share_of_changed_bits,
    truth_distance,
)
from AnatoMaskGANLib.volumes import LabelMap, Volume

SHAPE = (40, 40, 40)


def maps() -> tuple[np.ndarray, np.ndarray]:
    """A 2 in a 1; afterwards the 2 is three voxels longer along I."""
    before = np.ones(SHAPE, np.uint8)
    before[16:24, 16:24, 16:24] = 2
    after = before.copy()
    after[16:24, 16:24, 24:27] = 2
    return before, after


@pytest.fixture
def places() -> EditPlaces:
    return EditPlaces(*maps(), spacing_kji_mm=(1.0, 1.0, 1.0))


def test_the_psnr_of_an_error_of_a_tenth_is_20_db() -> None:
    true = np.zeros((2, 2, 2))
    where = np.ones_like(true, dtype=bool)
    assert psnr(true, true + 0.1, where) == pytest.approx(20)
    assert psnr(true, true, where) == 120
    assert np.isnan(psnr(true, true, ~where))


def test_the_distance_from_the_truth_counts_the_edit_and_its_box(places: EditPlaces) -> None:
    true = np.zeros(SHAPE, np.float32)
    made = np.where(places.is_changed, 0.1, 0).astype(np.float32)
    found = truth_distance(true, made, places)
    num_changed = 8 * 8 * 3
    num_around = 2 * (8 * 8 + 8 * 3 + 8 * 3)  # neighbors across the faces
    share = num_changed / (num_changed + num_around)
    assert found["psnr_lab"] == pytest.approx(20 - 10 * np.log10(share))
    share = num_changed / (32 * 32 * 27)  # up to the face of the map in I
    assert (places.box[2].start, places.before[places.box].shape) == (12, (32, 32, 27))
    assert found["psnr_box"] == pytest.approx(20 - 10 * np.log10(share), abs=1e-6)


def test_an_edit_without_a_change_of_labels_has_no_place() -> None:
    before, _ = maps()
    same = EditPlaces(before, before, (1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="are the same"):
        _ = same.box


def test_bits_that_differ_are_counted_everywhere_and_beyond_the_reach(places: EditPlaces) -> None:
    scan = np.zeros(SHAPE, np.int16)
    assert share_of_changed_bits(scan, scan) == 0
    made = scan.copy()
    made[places.is_changed] = 1
    made[16, 16, 26 + 12] = 1  # 12 voxels from the edit: within its reach
    assert minimality(scan, made, places) == {
        "edit_outside": 0,
        "edit_spread": pytest.approx(1 + 1 / 192),
    }
    made[16, 16, 26 + 13] = 1
    made[0, 0, 0] = 1
    outside = minimality(scan, made, places)["edit_outside"]
    assert outside == pytest.approx(2 / np.count_nonzero(places.is_beyond))
    assert share_of_changed_bits(scan, made) == pytest.approx((192 + 3) / scan.size)


def test_a_thick_slice_is_as_far_away_as_it_is() -> None:
    thick = EditPlaces(*maps(), spacing_kji_mm=(5.0, 1.0, 1.0))
    assert not thick.is_beyond[23 + 2, 20, 25]  # 10 mm
    assert thick.is_beyond[23 + 3, 20, 25]  # 15 mm, reach 12 mm


def test_an_edit_is_there_where_voxels_are_nearer_to_their_new_label(places: EditPlaces) -> None:
    before, after = maps()
    scan = np.where(before == 2, 0.8, 0.2).astype(np.float32)
    assert effectiveness(scan, scan, places) == {"edit_found": 0}
    assert effectiveness(scan, np.where(after == 2, 0.8, 0.2), places) == {"edit_found": 1}
    half = scan.copy()
    half[16:20, 16:24, 24:27] = 0.6
    assert effectiveness(scan, half, places)["edit_found"] == pytest.approx(0.5)


def test_ratios_are_one_for_the_truth_and_tell_flat_from_noisy_fills(places: EditPlaces) -> None:
    _, after = maps()
    draws = np.random.default_rng(0)
    truth = (np.where(after == 2, 0.7, 0.3) + draws.normal(0, 0.05, SHAPE)).astype(np.float32)
    ratios = realism(truth, truth, after, places)
    assert set(ratios.values()) == {1.0}
    noise = draws.normal(0, 0.05, SHAPE).astype(np.float32)
    twice = truth + np.where(places.is_changed, np.sqrt(3) * noise, 0).astype(np.float32)
    flat = np.where(places.is_changed, 0.7, truth)
    for key in ("edit_deviation_ratio", "edit_step_ratio", "edit_texture_ratio"):
        rough, smooth = (realism(image, truth, after, places)[key] for image in (twice, flat))
        assert smooth < 0.97 and rough > 1.05, key
    # across the border of the edit, two voxels off the changed ones, nothing differs
    assert realism(twice, truth, after, places)["edit_seam_ratio"] == 1


def test_doing_nothing_is_reversible_and_an_error_is_measured_where_the_edit_is(
    places: EditPlaces,
) -> None:
    scan = np.zeros(SHAPE, np.float32)
    assert reversibility(scan, scan, places) == {"edit_undone": 120}
    back = scan + np.where(places.is_beyond, 1, 0)
    assert reversibility(scan, back, places) == {"edit_undone": 120}
    assert reversibility(scan, scan + np.float32(0.1), places)["edit_undone"] == pytest.approx(20)


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_baselines_paint_the_mean_and_copy_the_nearest_voxel(dtype: type) -> None:
    before, after = maps()
    scan = np.where(before == 2, 100, 10).astype(dtype)
    scan[16:24, 16:24, 23] = 140  # the face of the structure that is nearest to the edit
    mean = label_mean_edit(scan, before, after)
    nearest = nearest_voxel_edit(scan, before, after)
    assert mean.dtype == nearest.dtype == dtype
    changed = before != after
    assert set(mean[changed].tolist()) == {105}  # 7 layers of 100, one of 140
    assert set(nearest[changed].tolist()) == {140}
    np.testing.assert_array_equal(nearest[~changed], scan[~changed])
    assert mean[0, 0, 0] == 10
    for edit in (label_mean_edit, nearest_voxel_edit):
        np.testing.assert_array_equal(edit(scan, before, before), scan)


def test_a_label_that_the_scan_lacks_is_painted_with_the_mean_of_all_and_copied_from_nowhere() -> (
    None
):
    before, after = maps()
    after[16:24, 16:24, 24:27] = 3
    scan = np.where(before == 2, 100, 10).astype(np.float32)
    mean = label_mean_edit(scan, before, after)
    assert mean[20, 20, 25] == pytest.approx(scan.mean())
    np.testing.assert_array_equal(nearest_voxel_edit(scan, before, after), scan)


def evaluated(truth: Volume | None) -> EvaluatedEdit:
    before, after = (LabelMap(labels, np.eye(4)) for labels in maps())
    scan = Volume(np.where(before.labels_kji == 2, 80, 20).astype(np.float32), np.eye(4))
    return EvaluatedEdit("case", "person", scan, before, Edit("grow", after, truth), (0.0, 100.0))


def way(
    edit: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray],
) -> Callable[[Volume, LabelMap, LabelMap], Volume]:
    return lambda scan, before, after: Volume(
        edit(scan.voxels_kji, before.labels_kji, after.labels_kji), scan.ijk_to_ras
    )


def test_a_way_is_measured_by_every_criterion_and_real_scans_by_what_makes_sense() -> None:
    truth = Volume(np.where(maps()[1] == 2, 80, 20).astype(np.float32), np.eye(4))
    rows, made = measure_edit(evaluated(truth), {"nearest": way(nearest_voxel_edit)})
    found = {row.method: row.metrics for row in rows}
    assert [row.case for row in rows] == ["case, grow"] * 3
    assert found["nearest"]["psnr_lab"] == found["nearest"]["edit_undone"] == 120
    assert found["nearest"]["edit_unasked"] == found["nearest"]["edit_outside"] == 0
    assert found["nearest"]["edit_found"] == found["known truth"]["edit_found"] == 1
    assert found["scan unedited"]["edit_found"] == 0
    assert "edit_undone" not in found["scan unedited"]
    assert set(found["known truth"]) == {"edit_found"}
    np.testing.assert_array_equal(made["nearest"].voxels_kji, truth.voxels_kji)


def test_without_a_truth_the_rest_is_measured_and_a_judge_is_asked() -> None:
    asked: list[Volume] = []

    def judge(volume: Volume, after: LabelMap, places: EditPlaces) -> float:
        asked.append(volume)
        return 0.25

    rows, _ = measure_edit(evaluated(None), {"mean": way(label_mean_edit)}, judge)
    assert [row.method for row in rows] == ["scan unedited", "mean"]
    assert all(row.metrics["edit_dice"] == 0.25 for row in rows)
    assert all("psnr_lab" not in row.metrics for row in rows)
    assert len(asked) == 2


def test_label_maps_on_another_grid_are_refused() -> None:
    one = evaluated(None)
    other = LabelMap(one.before.labels_kji, 2 * np.eye(4) - np.diag([0, 0, 0, 1]))
    wrong = EvaluatedEdit("c", "s", one.scan, one.before, Edit("e", other, None), (0.0, 1.0))
    with pytest.raises(ValueError, match="not on one grid"):
        measure_edit(wrong, {})
