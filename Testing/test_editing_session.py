"""A scan that follows its segmentation while that is edited."""

from __future__ import annotations

import numpy as np
import pytest

from AnatoMaskGANLib.editing import EditError, EditSettings, Look, ScanEditSession, edit_scan
from AnatoMaskGANLib.volumes import LabelMap
from Testing.edit_phantoms import BODY, KIDNEY, LIVER, phantom, relabeled, with_ball


def stroke(before: LabelMap, center: tuple[int, int, int]) -> LabelMap:
    return with_ball(before, KIDNEY, center, 3)


def test_a_stroke_changes_only_the_box_that_is_given_back() -> None:
    scan, before = phantom(shape_kji=(24, 48, 96))
    session = ScanEditSession(scan, before)
    changed = session.update(stroke(before, (12, 29, 57)))
    pasted = scan.voxels_kji.copy()
    pasted[changed.slices] = changed.voxels_kji
    np.testing.assert_array_equal(pasted, session.voxels_kji)
    assert changed.voxels_kji.size < 0.5 * pasted.size
    assert changed.voxels_kji.dtype == np.int16
    edges = changed.voxels_kji != scan.voxels_kji[changed.slices]
    for axis in range(3):  # the box is no larger than it has to be
        profile = edges.any(axis=tuple(other for other in range(3) if other != axis))
        assert profile[0] and profile[-1]


def test_undo_brings_the_very_voxels_back() -> None:
    scan, before = phantom()
    session = ScanEditSession(scan, before)
    first = stroke(before, (12, 29, 33))
    second = stroke(first, (12, 19, 33))
    session.update(first)
    after_first = session.voxels_kji.copy()
    session.update(second)
    assert (session.voxels_kji != after_first).any()
    session.update(first)
    np.testing.assert_array_equal(session.voxels_kji, after_first)
    changed = session.update(before)
    np.testing.assert_array_equal(session.voxels_kji, scan.voxels_kji)
    assert changed is not None
    assert session.update(before) is None


def test_any_order_of_strokes_gives_what_one_edit_gives() -> None:
    scan, before = phantom(shape_kji=(24, 48, 96))
    one = stroke(before, (12, 29, 57))
    both = with_ball(one, LIVER, (12, 10, 20), 4)
    session = ScanEditSession(scan, before)
    for labels in (one, before, with_ball(before, LIVER, (12, 10, 20), 4), both):
        session.update(labels)
    expected = edit_scan(scan, before, both)
    np.testing.assert_array_equal(session.voxels_kji, expected.volume.voxels_kji)
    again = session.edited()
    assert again.volume.provenance == expected.volume.provenance
    np.testing.assert_array_equal(again.how_made(), expected.how_made())


def test_a_stroke_far_away_leaves_the_first_one_alone() -> None:
    scan, before = phantom(shape_kji=(24, 48, 200))
    session = ScanEditSession(scan, before)
    first = with_ball(before, LIVER, (12, 24, 20), 4)
    session.update(first)
    changed = session.update(with_ball(first, LIVER, (12, 24, 180), 4))
    assert changed.start_kji[2] > 120


def test_a_first_picture_is_followed_by_the_final_one() -> None:
    scan, before = phantom()
    after = stroke(before, (12, 29, 33))
    session = ScanEditSession(scan, before)
    quick = session.update(after, is_quick=True)
    assert quick is not None
    session.update(after)
    np.testing.assert_array_equal(
        session.voxels_kji, edit_scan(scan, before, after).volume.voxels_kji
    )


def test_progress_ends_at_one_and_names_the_step() -> None:
    scan, before = phantom()
    told: list[tuple[float, str]] = []
    session = ScanEditSession(scan, before)
    session.update(stroke(before, (12, 29, 33)), on_progress=lambda *args: told.append(args))
    assert told[0][0] == 0.0 and told[-1] == (1.0, "done")
    assert [share for share, _ in told] == sorted(share for share, _ in told)


@pytest.mark.parametrize("calls", [1, 3, 20, 40])
def test_an_update_that_is_stopped_within_a_region_leaves_the_session_as_it_was(
    calls: int,
) -> None:
    scan, before = phantom()
    first, second = stroke(before, (12, 29, 33)), stroke(before, (12, 19, 33))
    session = ScanEditSession(scan, before)
    session.update(first)
    made = session.voxels_kji.copy()
    record = session.edited().volume.provenance
    told: list[float] = []

    def stop(share: float, text: str) -> None:
        told.append(share)
        if len(told) == calls:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        session.update(second, on_progress=stop)
    assert told == sorted(told) and told[-1] < 1
    np.testing.assert_array_equal(session.voxels_kji, made)
    assert session.edited().volume.provenance == record
    assert session.update(first) is None
    session.update(second)
    np.testing.assert_array_equal(
        session.voxels_kji, edit_scan(scan, before, second).volume.voxels_kji
    )


def test_a_refused_edit_leaves_the_session_as_it_was() -> None:
    scan, before = phantom()
    session = ScanEditSession(scan, before)
    first = stroke(before, (12, 29, 33))
    session.update(first)
    voxels = session.voxels_kji.copy()
    with pytest.raises(EditError, match="expected a look"):
        session.update(with_ball(first, 9, (12, 24, 14), 3))
    np.testing.assert_array_equal(session.voxels_kji, voxels)
    assert session.update(first) is None


def test_another_look_paints_the_lesion_again() -> None:
    scan, before = phantom()
    after = with_ball(before, 9, (12, 24, 14), 4)
    session = ScanEditSession(scan, before)
    session.update(after, EditSettings(looks={9: Look("value", mean=10, deviation=2)}))
    changed = session.update(after, EditSettings(looks={9: Look("value", mean=400, deviation=2)}))
    assert changed is not None
    assert abs(session.voxels_kji[after.labels_kji == 9].mean() - 400) < 1


def test_a_hole_is_the_same_whichever_strokes_came_before() -> None:
    scan, before = phantom()
    after = relabeled(before, before.labels_kji == KIDNEY, BODY)
    session = ScanEditSession(scan, before)
    session.update(stroke(before, (12, 29, 33)))
    session.update(after)
    np.testing.assert_array_equal(
        session.voxels_kji, edit_scan(scan, before, after).volume.voxels_kji
    )
