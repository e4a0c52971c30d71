"""Edits of label maps for those who do not paint."""

from __future__ import annotations

import numpy as np
import pytest

from AnatoMaskGANLib.editing import EditError, operations, series
from AnatoMaskGANLib.volumes import LabelMap
from Testing.edit_phantoms import BODY, KIDNEY, LIVER, anisotropic, ball, oblique, phantom


def bar(*labels: int, spacing_mm: float = 1.0) -> LabelMap:
    """One row of voxels along I."""
    return LabelMap(np.array([[labels]], np.uint8), np.diag([spacing_mm, 1, 1, 1]))


def row(label_map: LabelMap) -> list[int]:
    return label_map.labels_kji.ravel().tolist()


def test_a_segment_grows_by_millimeters_and_not_by_voxels() -> None:
    assert row(operations.grow(bar(1, 1, 1, 2, 1, 1, 1), 2, 1.0)) == [1, 1, 2, 2, 2, 1, 1]
    wide = bar(1, 1, 1, 2, 1, 1, 1, spacing_mm=0.5)
    assert row(operations.grow(wide, 2, 1.0)) == [1, 2, 2, 2, 2, 2, 1]
    thick = bar(1, 1, 2, 1, 1, spacing_mm=5)
    assert row(operations.grow(thick, 2, 1.0)) == [1, 1, 2, 1, 1]


def test_what_a_shrunk_segment_leaves_goes_to_the_nearest_label() -> None:
    assert row(operations.grow(bar(1, 1, 2, 2, 2, 2, 3), 2, -1.0)) == [1, 1, 1, 2, 2, 3, 3]


def test_fixed_labels_do_not_yield() -> None:
    assert row(operations.grow(bar(1, 1, 2, 3, 1), 2, 1.0)) == [1, 2, 2, 2, 1]
    assert row(operations.grow(bar(1, 1, 2, 3, 1), 2, 1.0, fixed=[3])) == [1, 2, 2, 3, 1]


def test_a_thick_slice_grows_in_its_plane_before_it_grows_across() -> None:
    _, labels = phantom(anisotropic())
    grown = operations.grow(labels, KIDNEY, 2.0).labels_kji == KIDNEY
    was = labels.labels_kji == KIDNEY
    assert grown[~was].sum() > 100
    reached = np.flatnonzero(grown.any(axis=(1, 2)))
    had = np.flatnonzero(was.any(axis=(1, 2)))
    assert (reached[0], reached[-1]) == (had[0], had[-1])  # 3 mm away


@pytest.mark.parametrize("percent", [25, 50, 75, 100, 150, 300])
@pytest.mark.parametrize("matrix", [np.eye(4), anisotropic(), oblique()])
def test_a_segment_gets_the_volume_that_was_asked_for(percent: float, matrix: np.ndarray) -> None:
    _, labels = phantom(matrix)
    size = (labels.labels_kji == KIDNEY).sum()
    resized = operations.resize(labels, KIDNEY, percent)
    assert (resized.labels_kji == KIDNEY).sum() == round(size * percent / 100)
    same = resized.labels_kji == labels.labels_kji
    assert same.all() if percent == 100 else not same.all()
    both = (resized.labels_kji == KIDNEY) & (labels.labels_kji == KIDNEY)
    assert both.sum() == min(size, round(size * percent / 100))


def test_a_segment_moves_by_millimeters_of_the_world() -> None:
    labels = np.zeros((3, 9, 9), np.uint8)
    labels[1, 4, 4] = 5
    matrix = np.diag([-2.0, 1.0, 3.0, 1.0])  # I runs to the left
    moved = operations.move(LabelMap(labels, matrix), 5, (4.0, -3.0, 3.0))
    assert np.argwhere(moved.labels_kji == 5).tolist() == [[2, 1, 2]]


def test_a_moved_segment_leaves_what_is_nearest_and_its_neighbors_yield() -> None:
    moved = operations.move(bar(1, 1, 2, 2, 3, 3, 3), 2, (2.0, 0, 0))
    assert row(moved) == [1, 1, 1, 1, 2, 2, 3]


def test_a_ball_takes_the_place_of_the_labels_it_may() -> None:
    _, labels = phantom(oblique())
    center = labels.ijk_to_ras @ [*np.argwhere(labels.labels_kji == LIVER).mean(0)[::-1], 1]
    grown = operations.add_ball(labels, 50, center[:3], 30.0, inside=[LIVER], name="lesion")
    new = grown.labels_kji == 50
    assert (labels.labels_kji[new] == LIVER).all() and new.sum() == (
        labels.labels_kji == LIVER
    ).sum()
    assert grown.names[50] == "lesion"
    small = operations.add_ball(labels, 50, center[:3], 8.0)
    volume = (small.labels_kji == 50).sum() * np.prod(labels.spacing_ijk_mm)
    assert abs(volume / (4 / 3 * np.pi * 4**3) - 1) < 0.15


def test_a_removed_segment_becomes_the_nearest_label_or_the_one_given() -> None:
    assert row(operations.remove(bar(1, 2, 2, 2, 2, 3), 2)) == [1, 1, 1, 3, 3, 3]
    assert row(operations.remove(bar(1, 2, 2, 3), 2, to=0)) == [1, 0, 0, 3]
    assert row(operations.remove(bar(2, 2, 2), 2)) == [0, 0, 0]


def test_segments_are_merged_and_split() -> None:
    assert row(operations.merge(bar(1, 2, 3, 0), [1, 3], 7)) == [7, 2, 7, 0]
    assert row(operations.split(bar(1, 2, 2, 2, 2), 2, 300, 0, 2.5)) == [1, 2, 2, 300, 300]


def test_the_map_itself_is_left_alone() -> None:
    _, labels = phantom()
    copy = labels.labels_kji.copy()
    for edited in (
        operations.grow(labels, KIDNEY, 2),
        operations.grow(labels, KIDNEY, -2),
        operations.resize(labels, KIDNEY, 150),
        operations.move(labels, KIDNEY, (3, 0, 0)),
        operations.remove(labels, KIDNEY),
        operations.merge(labels, [KIDNEY], LIVER),
    ):
        assert edited.names == labels.names
        assert (edited.labels_kji != copy).any()
    np.testing.assert_array_equal(labels.labels_kji, copy)


def test_a_series_starts_each_step_from_the_first_map() -> None:
    _, labels = phantom()
    size = (labels.labels_kji == KIDNEY).sum()
    made = list(series.sizes(labels, KIDNEY, [50, 75, 100, 150]))
    counts = [(one.labels_kji == KIDNEY).sum() for one in made]
    assert counts == [round(size * percent / 100) for percent in (50, 75, 100, 150)]
    np.testing.assert_array_equal(made[2].labels_kji, labels.labels_kji)
    steps = list(series.growths(labels, KIDNEY, [1, 2]))
    np.testing.assert_array_equal(
        steps[1].labels_kji, operations.grow(labels, KIDNEY, 2).labels_kji
    )
    path = list(series.moves(labels, KIDNEY, (0, 6, 0), 3))
    middles = [np.argwhere(one.labels_kji == KIDNEY).mean(0)[1] for one in path]
    start = np.argwhere(labels.labels_kji == KIDNEY).mean(0)[1]
    assert np.round(np.array(middles) - start, 6).tolist() == [2, 4, 6]
    lesions = [
        (one.labels_kji == 9).sum() for one in series.balls(labels, 9, (14, 24, 12), [4, 6, 8])
    ]
    assert lesions == sorted(lesions) and lesions[0] == ball((9, 9, 9), (4, 4, 4), 2).sum()


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (
            lambda labels: operations.grow(labels, 77, 1),
            r"no label 77; expected one of \[1, 2",
        ),
        (lambda labels: operations.grow(labels, 0, 1), "no label 0"),
        (lambda labels: operations.grow(labels, KIDNEY, float("nan")), "growth is nan"),
        (lambda labels: operations.grow(labels, KIDNEY, -50), "nothing of label 3 would be left"),
        (lambda labels: operations.resize(labels, KIDNEY, 0), "volume is to be 0 %"),
        (lambda labels: operations.move(labels, KIDNEY, (500, 0, 0)), "outside the label map"),
        (lambda labels: operations.add_ball(labels, 9, (900, 0, 0), 5), "covers no voxel"),
        (lambda labels: operations.split(labels, LIVER, 9, 2, 900), "does not cut label 2"),
        (lambda labels: operations.merge(labels, [77], BODY), "no label 77"),
    ],
)
def test_what_cannot_be_done_is_refused(act: object, says: str) -> None:
    _, labels = phantom()
    with pytest.raises(EditError, match=says):
        act(labels)
