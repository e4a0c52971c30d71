"""A map without names is taken for a table only where it bears the table out by itself."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from AnatoMaskGANLib.resources import resources_folder
from AnatoMaskGANLib.volumes import (
    LabelMap,
    LabelTable,
    UnmatchedLabelsError,
    apply_matches,
    load_label_table,
    match_labels,
    read_label_map,
)
from AnatoMaskGANLib.volumes.label_recognition import measured_structures, recognized
from AnatoMaskGANLib.volumes.label_shapes import shapes_of
from AnatoMaskGANLib.volumes.label_spelling import normalized_name

BRAIN = load_label_table("freesurfer-brain")
ASEG = load_label_table("freesurfer-aseg")
TRUNK = load_label_table("totalsegmentator-v2")
SAMPLE = resources_folder() / "SampleData" / "brain-t1-sub-19" / "seg.nii.gz"


@pytest.fixture(scope="module")
def sample() -> LabelMap:
    """The bundled brain, on every third voxel."""
    whole = read_label_map(SAMPLE)
    place = np.array(whole.ijk_to_ras)
    place[:3, :3] *= 3
    return LabelMap(whole.labels_kji[::3, ::3, ::3], place)


def renumbered(label_map: LabelMap, values: Mapping[int, int]) -> LabelMap:
    """The map with other values, and without the labels that have none."""
    lookup = np.zeros(max(label_map.values) + 1, dtype=np.int32)
    for old, new in values.items():
        if old < len(lookup):
            lookup[old] = new
    return replace(label_map, labels_kji=lookup[label_map.labels_kji])


def value_in(table: LabelTable, name: str) -> int:
    return next(value for value, label in table.labels.items() if label == name)


def table_found(label_map: LabelMap, own: LabelTable = BRAIN) -> str:
    """The name of the table, or "" with nothing."""
    found = recognized(label_map, own, label_map.values).table
    return found.name if found else ""


TO_ASEG = {v: value_in(ASEG, name) for v, name in BRAIN.labels.items()}
LEFT_TO_ASEG = {v: new for v, new in TO_ASEG.items() if BRAIN.labels[v].startswith("Left")}
GRAY = (2, 6, 7, 8, 9, 10, 14, 15, 16, 21, 25, 26, 27, 28, 29, 30, 31, 32)
WHITE = (1, 5, 13, 17, 20, 24, 33)


@pytest.mark.parametrize(
    ("values", "table"),
    [
        ({v: v for v in BRAIN.labels}, "freesurfer-brain"),
        (TO_ASEG, "freesurfer-aseg"),
        (LEFT_TO_ASEG, "freesurfer-aseg"),
        ({v: v for v in LEFT_TO_ASEG}, "freesurfer-brain"),
        ({7: 7, 26: 26}, "freesurfer-brain"),
        ({14: 17, 30: 53}, "freesurfer-aseg"),
    ],
    ids=["own", "aseg", "left half of aseg", "own left half", "own thalami", "hippocampi of aseg"],
)
def test_numberings_of_one_brain_are_told_apart(
    sample: LabelMap, values: Mapping[int, int], table: str, caplog: pytest.LogCaptureFixture
) -> None:
    label_map = renumbered(sample, values)
    assert table_found(label_map) == table
    assert f"read as those of the table {table}" in caplog.text
    matches = match_labels(label_map, BRAIN)
    found = {match.value: match.model_value for match in matches}
    assert found == {new: old for old, new in values.items() if old in sample.values}


@pytest.mark.parametrize(
    "values",
    [
        {7: 1, 14: 2, 13: 3},
        {14: 17},
        {13: 13},
        {**dict.fromkeys(GRAY, 2), **dict.fromkeys(WHITE, 1)},
        {**dict.fromkeys(GRAY, 1), **dict.fromkeys(WHITE, 2)},
    ],
    ids=["1 to 3", "one hippocampus of aseg", "one label", "white and gray", "gray and white"],
)
def test_what_tells_too_little_is_not_guessed(sample: LabelMap, values: Mapping[int, int]) -> None:
    label_map = renumbered(sample, values)
    matches = match_labels(label_map, BRAIN)
    assert {match.rule for match in matches} == {"unmatched"}
    with pytest.raises(UnmatchedLabelsError, match="do not show what they are.*--labels"):
        apply_matches(label_map, matches)
    with pytest.raises(UnmatchedLabelsError):
        apply_matches(label_map, matches, "background")


def test_a_mirrored_brain_does_not_bear_out_its_numbers(sample: LabelMap) -> None:
    mirrored = replace(sample, ijk_to_ras=np.diag([-1.0, 1, 1, 1]) @ sample.ijk_to_ras)
    assert table_found(mirrored) == ""


def test_half_a_brain_still_tells_its_table(sample: LabelMap) -> None:
    half = replace(sample, labels_kji=sample.labels_kji[:, :, : sample.shape_kji[2] // 2])
    assert table_found(half) == "freesurfer-brain"


def phantom(names: Mapping[int, str], spacing_mm: float = 4.0) -> LabelMap:
    """Ellipsoids of the measured size and reach at the measured places, of structures by value."""
    structures = {v: measured_structures()[normalized_name(n)] for v, n in names.items()}
    places = np.array([structure.place_mm for structure in structures.values()])
    low, high = places.min(axis=0) - 90, places.max(axis=0) + 90
    sizes = np.ceil((high - low) / spacing_mm).astype(int)
    labels = np.zeros(sizes[::-1], dtype=np.uint8)
    k, j, i = np.indices(labels.shape, sparse=True)
    by_size = sorted(structures.items(), key=lambda item: -item[1].volume_ml[1])
    for value, structure in by_size:
        distance = sum(
            ((low[axis] + spacing_mm * index - structure.place_mm[axis]) ** 2)
            / (5 * structure.spread_mm[axis] ** 2)
            for axis, index in enumerate((i, j, k))
        )
        labels[distance <= 1] = value
    place = np.diag([spacing_mm] * 3 + [1.0])
    place[:3, 3] = low
    return LabelMap(labels, place)


ORGANS = {v: TRUNK.labels[v] for v in (1, 2, 3, 5, 31)}


def test_a_trunk_in_the_numbers_of_totalsegmentator_is_no_brain() -> None:
    trunk = phantom(ORGANS)
    assert table_found(trunk, TRUNK) == "totalsegmentator-v2"
    matches = match_labels(trunk, BRAIN)
    assert [(match.name, match.rule) for match in matches] == [
        (name, "unmatched") for name in ORGANS.values()
    ]


def test_a_liver_alone_is_no_cerebellum_and_its_table_is_proposed() -> None:
    liver = phantom({5: "liver"})
    (match,) = match_labels(liver, BRAIN)
    assert match.rule == "unmatched"
    assert "totalsegmentator-v2 fits best" in match.note
    assert "5 liver" in match.note and "--labels totalsegmentator-v2" in match.note


def test_the_gray_values_of_chaos_are_known() -> None:
    values = {1: 252, 2: 126, 3: 189, 5: 63}  # without the vertebra
    assert table_found(renumbered(phantom(ORGANS), values)) == "chaos-mr"


@pytest.mark.parametrize(
    ("values", "is_taken"), [((13,), True), ((7,), True), ((5,), False), ((1, 2, 3), False)]
)
def test_in_a_map_too_small_to_judge_one_high_value_is_the_models(
    values: tuple[int, ...], is_taken: bool, caplog: pytest.LogCaptureFixture
) -> None:
    labels = np.zeros((12, 12, 12), np.uint8)
    for number, value in enumerate(values):
        labels[3 + number, 3:9, 3:9] = value
    found = recognized(LabelMap(labels, np.eye(4)), BRAIN, values)
    assert (found.table is BRAIN) == is_taken
    assert ("too small to be judged" in caplog.text) == is_taken
    assert is_taken or "too small to be judged" in found.reason


def test_the_tip_of_a_cut_off_structure_bears_nothing_out() -> None:
    labels = np.zeros((30, 30, 30), np.uint8)
    labels[0, :, :], labels[1, :, :], labels[2, 5:20, 5:20] = 12, 2, 7
    assert table_found(LabelMap(labels, np.eye(4))) == ""


def test_a_table_that_calls_labels_by_their_values_is_taken_at_its_word() -> None:
    table = LabelTable("numbers", {v: f"label {v}" for v in (1, 2, 7)})
    labels = np.zeros((30, 30, 30), np.uint8)
    labels[5:10], labels[12:20] = 1, 7
    assert table_found(LabelMap(labels, np.eye(4)), table) == "numbers"
    labels[20:25] = 9
    assert table_found(LabelMap(labels, np.eye(4)), table) == ""


def test_a_table_of_unknown_structures_needs_all_its_labels() -> None:
    table = LabelTable("fish", {v: f"fin number {v}" for v in range(40, 50)})
    labels = np.zeros((30, 30, 30), np.uint8)
    for value in table.labels:
        labels[3 * (value - 40)] = value
    whole = LabelMap(labels, np.eye(4))
    assert table_found(whole, table) == "fish"
    labels = labels.copy()
    labels[labels == 49] = 0
    assert table_found(LabelMap(labels, np.eye(4)), table) == ""


def test_a_map_is_told_of_once(sample: LabelMap, caplog: pytest.LogCaptureFixture) -> None:
    label_map = replace(sample)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            match_labels(label_map, BRAIN)
    assert caplog.text.count("has no names") == 1


def test_shapes_of_a_label_are_those_worked_out_by_hand() -> None:
    labels = np.zeros((4, 5, 6), np.uint8)
    labels[1:3, 1:3, 2:4], labels[0, 0, 0] = 9, 3
    place = np.array([[0, -2.0, 0, 7], [1, 0, 0, 0], [0, 0, 3, 0], [0, 0, 0, 1]])
    shapes = shapes_of(LabelMap(labels, place))
    assert shapes[9].volume_ml == pytest.approx(8 * 6 / 1000)
    assert shapes[9].place_mm == pytest.approx([7 - 2 * 1.5, 2.5, 4.5])
    assert shapes[9].spread_mm == pytest.approx([1.0, 0.5, 1.5])
    assert (shapes[9].is_cut, shapes[3].is_cut) == (False, True)
    large = shapes_of(LabelMap(labels.astype(np.int64) * 10**9, place))
    assert large[9 * 10**9].volume_ml == shapes[9].volume_ml
