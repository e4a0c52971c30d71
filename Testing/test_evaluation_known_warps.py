from __future__ import annotations

import numpy as np
import pytest
from edit_phantoms import BODY, KIDNEY, LIVER, phantom

from AnatoMaskGANLib.evaluation.edit_suite import usual_window
from AnatoMaskGANLib.evaluation.known_warps import (
    Shift,
    Swell,
    draw_warps,
    known_edit,
    warp_field,
    warp_name,
)
from AnatoMaskGANLib.volumes import LabelMap, Volume

SPACING_KJI = (3.0, 1.0, 1.0)
MATRIX = np.diag([1.0, 1.0, 3.0, 1.0])


def box_map() -> LabelMap:
    """A body with a box of 5 x 9 x 9 voxels in the middle of 15 x 41 x 41."""
    labels = np.ones((15, 41, 41), np.uint8)
    labels[5:10, 16:25, 16:25] = 2
    return LabelMap(labels, MATRIX, {1: "body", 2: "box"})


def test_a_swollen_structure_is_larger_by_its_gain_along_every_axis() -> None:
    scan = Volume(np.zeros((15, 41, 41), np.float32), MATRIX)
    after, _ = known_edit(scan, box_map(), Swell((2,), 1.4, 6.0))
    places = np.argwhere(after.labels_kji == 2)
    extent = places.max(axis=0) - places.min(axis=0) + 1
    np.testing.assert_allclose(extent, [7, 13, 13], atol=1)  # 1.4 times 5, 9 and 9
    assert after.names == {1: "body", 2: "box"}


def test_a_shifted_structure_has_moved_by_so_many_mm_and_its_surroundings_fade_out() -> None:
    labels = box_map().labels_kji
    field = warp_field(labels, SPACING_KJI, Shift((2,), (3.0, 0.0, -2.0), 4.0))
    np.testing.assert_allclose(field[:, 7, 20, 20], [-1, 0, 2])  # voxels, target to source
    # 4 mm before the new place in J: exp(-1/2) of the whole
    np.testing.assert_allclose(field[2, 7, 12, 20], 2 * np.exp(-0.5), rtol=1e-5)
    assert not field[:, :, 0].any()


def test_the_truth_shows_the_structure_where_its_labels_are_and_no_change_elsewhere() -> None:
    scan, before = phantom(MATRIX)
    after, truth = known_edit(scan, before, Shift((KIDNEY,), (0.0, 2.0, 2.0), 4.0))
    assert truth.voxels_kji.dtype == scan.voxels_kji.dtype
    kidney = after.labels_kji == KIDNEY
    assert truth.voxels_kji[kidney].mean() == pytest.approx(
        scan.voxels_kji[before.labels_kji == KIDNEY].mean(), abs=15
    )
    far = np.s_[:, :4, :4]
    np.testing.assert_array_equal(truth.voxels_kji[far], scan.voxels_kji[far])
    assert (after.labels_kji != before.labels_kji).any()


def test_edits_are_drawn_by_a_seed_of_structures_that_are_inside_and_not_too_large() -> None:
    before = box_map()
    labels = before.labels_kji.copy()
    labels[1:14, 30:40, 30:40] = 3
    labels[0:6, 1:11, 1:11] = 4  # touches a face
    labels[7:9, 2:4, 2:4] = 5  # 8 voxels
    several = LabelMap(labels, MATRIX)
    warps = draw_warps(several, 9, seed=0)
    assert [(type(warp), warp.labels) for warp in warps] == [
        (kind, (label,)) for label in (2, 3) for kind in (Swell, Shift)
    ]
    one = draw_warps(several, 1, seed=3)
    assert one == draw_warps(several, 1, seed=3)
    assert len(one) == 2
    shift = one[1]
    assert isinstance(shift, Shift)
    assert np.linalg.norm(shift.by_kji_mm) == pytest.approx(3.0)  # three voxels of 1 mm
    assert shift.by_kji_mm[0] == 0  # not along thick slices
    assert warp_name(one[0], before) == "swell box" or one[0].labels == (3,)


def test_what_cannot_be_edited_is_an_error_that_says_so() -> None:
    scan, before = phantom()
    with pytest.raises(ValueError, match=r"none of the labels \(9,\)"):
        known_edit(scan, before, Swell((9,), 1.2, 4.0))
    other = LabelMap(before.labels_kji[1:], before.ijk_to_ras)
    with pytest.raises(ValueError, match="not on one grid"):
        known_edit(scan, other, Swell((LIVER,), 1.2, 4.0))
    with pytest.raises(ValueError, match="not on one grid"):
        usual_window(scan, other)
    with pytest.raises(ValueError, match="no structure to edit"):
        draw_warps(LabelMap(np.full((9, 9, 9), BODY), np.eye(4)), 1, 0)
    with pytest.raises(ValueError, match="no structure to edit"):
        draw_warps(LabelMap(np.zeros((9, 9, 9), np.uint8), np.eye(4)), 1, 0)


def test_the_window_is_that_of_the_file_or_of_the_labeled_voxels() -> None:
    scan = Volume(np.arange(1000, dtype=np.float32).reshape(10, 10, 10), np.eye(4), (3.0, 7.0))
    labels = LabelMap(np.ones((10, 10, 10), np.uint8), np.eye(4))
    assert usual_window(scan, labels) == (3.0, 7.0)
    low, high = usual_window(Volume(scan.voxels_kji, np.eye(4)), labels)
    assert (low, high) == pytest.approx((0.005 * 999, 0.995 * 999))
