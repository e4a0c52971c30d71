"""Voxels become what lies nearest to them."""

from __future__ import annotations

import numpy as np
import pytest

from AnatoMaskGANLib.volumes import (
    LabelMap,
    LabelTable,
    UnmatchedLabelsError,
    VolumeError,
    apply_matches,
    load_label_table,
    match_labels,
)
from AnatoMaskGANLib.volumes.label_matching import with_unmatched
from AnatoMaskGANLib.volumes.nearest_labels import nearest_label, sided_label

TABLE = LabelTable(
    "test",
    {1: "Left-Wall", 2: "Right-Wall", 3: "Core"},
    swaps={1: 2, 2: 1},
    relatives={
        "bridge": ("Left-Wall", "Right-Wall"),
        "rim *": ("Core",),
        "crack": ("surrounding",),
        "dust": ("background",),
    },
)


def _row(*values: int, names: dict[int, str], spacing_mm: float = 1.0) -> LabelMap:
    return LabelMap(np.array([[values]]), np.diag([spacing_mm, 1, 1, 1]), names)


NAMES = {1: "left wall", 2: "right wall", 3: "core", 7: "bridge", 8: "crack", 9: "tumor", 5: "dust"}


def _applied(*values: int, unmatched: str = "stop") -> list[int]:
    label_map = _row(*values, names=NAMES)
    applied = apply_matches(label_map, match_labels(label_map, TABLE), unmatched)
    return [int(value) for value in applied.labels_kji.ravel()]


def test_each_voxel_of_a_relative_becomes_the_nearest_of_its_labels() -> None:
    assert _applied(1, 1, 7, 7, 7, 3, 2) == [1, 1, 1, 1, 2, 3, 2]


def test_a_relative_of_labels_that_are_not_there_is_split_in_the_middle() -> None:
    assert _applied(7, 7, 0, 3, 0, 7, 7) == [1, 1, 0, 3, 0, 2, 2]


def test_a_crack_becomes_the_tissue_around_it_and_dust_background() -> None:
    assert _applied(0, 3, 8, 8, 1, 5) == [0, 3, 3, 1, 1, 0]


def test_the_tissue_around_may_itself_be_a_relative() -> None:
    assert _applied(7, 8, 0, 0, 8, 7) == [1, 1, 0, 0, 2, 2]


def test_unknown_labels_become_what_was_decided() -> None:
    values = (0, 3, 9, 9, 1, 0)
    assert _applied(*values, unmatched="surrounding") == [0, 3, 3, 1, 1, 0]
    assert _applied(*values, unmatched="background") == [0, 3, 0, 0, 1, 0]
    with pytest.raises(UnmatchedLabelsError, match="9 tumor.*--unmatched surrounding"):
        _applied(*values)


def test_where_nothing_is_known_no_tissue_is_around() -> None:
    with pytest.raises(UnmatchedLabelsError, match="knows none"):
        _applied(0, 9, 9, unmatched="surrounding")
    with pytest.raises(VolumeError, match="Every label of the map would become background"):
        _applied(0, 5, 5)


def test_a_name_or_a_choice_says_it_for_one_label() -> None:
    label_map = _row(
        3, 4, 6, 1, names={3: "core", 1: "left wall", 4: "surrounding", 6: "background"}
    )
    applied = apply_matches(label_map, match_labels(label_map, TABLE))
    assert applied.labels_kji.ravel().tolist() == [3, 3, 0, 1]
    label_map = _row(3, 4, 1, names={3: "core", 1: "left wall", 4: "tumor"})
    (_, _, tumor) = sorted(
        match_labels(label_map, TABLE, {"tumor": "surrounding"}), key=lambda m: m.value
    )
    assert (tumor.rule, tumor.target()) == ("user", "as the tissue around it")


def test_a_decision_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="expected one of"):
        with_unmatched((), "ignore")


def test_what_a_label_becomes_is_told_in_words() -> None:
    label_map = _row(1, 7, 8, 9, 5, names=NAMES)
    matches = with_unmatched(match_labels(label_map, TABLE), "surrounding")
    assert {match.name: match.target() for match in matches} == {
        "left wall": "1",
        "dust": "background",
        "bridge": "1 or 2, the nearest",
        "crack": "as the tissue around it",
        "tumor": "as the tissue around it",
    }


def test_distances_are_in_millimeters_and_reach_beyond_the_first_margin() -> None:
    labels = np.zeros((3, 40, 3), np.uint8)
    labels[0, 0, 0], labels[2, 39, 2] = 4, 6
    label_map = LabelMap(labels, np.diag([1.0, 5, 1, 1]))
    is_open = np.zeros(labels.shape, bool)
    is_open[1, 18, 1] = is_open[1, 22, 1] = True
    assert nearest_label(label_map, is_open, [4, 6]).tolist() == [4, 6]
    assert nearest_label(label_map, is_open, [6]).tolist() == [6, 6]


def test_sides_are_those_of_the_world_and_not_of_the_array() -> None:
    labels = np.ones((1, 1, 4), np.uint8)
    is_open = labels > 0
    for sign, expected in ((1.0, [1, 1, 2, 2]), (-1.0, [2, 2, 1, 1])):
        label_map = LabelMap(labels, np.diag([sign, 1, 1, 1]))
        assert sided_label(label_map, is_open, 1, 2).tolist() == expected


def test_the_callosum_is_shared_by_the_white_matter_of_both_sides() -> None:
    names = {2: "Left-Cerebral-White-Matter", 41: "Right-Cerebral-White-Matter", 253: "CC_Central"}
    label_map = LabelMap(np.array([[[2, 253, 253, 41]]]), np.eye(4), names)
    applied = apply_matches(
        label_map, match_labels(label_map, load_label_table("freesurfer-brain"))
    )
    assert applied.labels_kji.tolist() == [[[1, 1, 20, 20]]]
