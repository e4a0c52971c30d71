"""Subjects are split once, reproducibly, and never stand in two splits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from AnatoMaskGANLib.preparation.settings import PreparationError
from AnatoMaskGANLib.preparation.subject_split import (
    check_split,
    read_earlier_split,
    read_split,
    split_counts,
    split_subjects,
    write_split,
)

SHARES = (0.7, 0.15, 0.15)


def names(number: int) -> list[str]:
    return [f"sub-{n:03d}" for n in range(number)]


@pytest.mark.parametrize(
    ("num_subjects", "expected"),
    [(20, (14, 3, 3)), (100, (70, 15, 15)), (3, (1, 1, 1)), (16, (11, 3, 2)), (414, (290, 62, 62))],
)
def test_seventy_fifteen_fifteen(num_subjects: int, expected: tuple[int, int, int]) -> None:
    assert tuple(split_counts(num_subjects, SHARES).values()) == expected
    assigned = split_subjects(names(num_subjects), SHARES, seed=0)
    counts = [list(assigned.values()).count(s) for s in ("train", "validation", "test")]
    assert tuple(counts) == expected


def test_the_split_depends_on_the_seed_and_not_on_the_order_of_names() -> None:
    subjects = names(30)
    assert split_subjects(subjects, SHARES, 1) == split_subjects(subjects[::-1], SHARES, 1)
    assert split_subjects(subjects, SHARES, 1) != split_subjects(subjects, SHARES, 2)


@given(
    before=st.integers(3, 60),
    added=st.integers(0, 60),
    shares=st.sampled_from([SHARES, (0.8, 0.1, 0.1), (0.5, 0.5, 0.0), (1.0, 0.0, 0.0)]),
)
def test_no_subject_moves_when_others_are_added(
    before: int, added: int, shares: tuple[float, float, float]
) -> None:
    first = split_subjects(names(before), shares, 0)
    later = split_subjects(names(before + added), shares, 0, known=first)
    assert {subject: later[subject] for subject in first} == first
    assert len(later) == before + added
    for split, share in zip(("train", "validation", "test"), shares, strict=True):
        count = list(later.values()).count(split)
        assert (count > 0) == (share > 0)
        assert abs(count - share * (before + added)) <= 2


def test_one_subject_cannot_fill_three_splits() -> None:
    with pytest.raises(PreparationError, match=r"is one subject for 3 splits.*\[1, 0, 0\]"):
        split_subjects(["sub-01"], SHARES, 0)
    assert split_subjects(["sub-01"], (1, 0, 0), 0) == {"sub-01": "train"}


def test_fewer_subjects_than_splits_are_refused() -> None:
    with pytest.raises(PreparationError, match="are 2 subjects for 3 splits"):
        split_subjects(["a", "b"], SHARES, 0)


def test_a_written_split_is_read_again(tmp_path: Path) -> None:
    assigned = {"a": "train", "b": "validation", "c": "test", "d": "left_out"}
    write_split(assigned, tmp_path / "split.json")
    assert read_split(tmp_path / "split.json") == assigned


def given_split(folder: Path, **lists: list[str]) -> Path:
    path = folder / "given.json"
    path.write_text(json.dumps(lists))
    return path


def test_a_subject_in_two_splits_is_refused(tmp_path: Path) -> None:
    path = given_split(tmp_path, train=["a", "b"], test=["b"])
    with pytest.raises(PreparationError, match="subject b in train and in test"):
        read_split(path)


@pytest.mark.parametrize("text", ["{", "[]", '{"train": "a"}', '{"train": [1]}', "{}"])
def test_a_file_that_is_no_split_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "given.json"
    path.write_text(text)
    with pytest.raises(PreparationError, match="given.json"):
        read_split(path)


def test_a_given_split_names_every_subject_and_no_other(tmp_path: Path) -> None:
    path = given_split(tmp_path, train=["a"], validation=["b"], left_out=["x"])
    assigned = read_split(path)
    check_split(assigned, {"a", "b"}, path)
    with pytest.raises(PreparationError, match="does not name c"):
        check_split(assigned, {"a", "b", "c"}, path)
    with pytest.raises(PreparationError, match="names b, which the archive does not have"):
        check_split(assigned, {"a"}, path)
    with pytest.raises(PreparationError, match="no subject to train on"):
        check_split({"a": "test"}, {"a"}, path)


def test_a_split_that_lost_its_subjects_is_refused_unless_a_new_one_comes() -> None:
    known = {"a": "train", "b": "train", "c": "validation", "d": "test"}
    with pytest.raises(PreparationError, match=r"for the split validation \(the archive had c for"):
        split_subjects(["a", "b", "d"], SHARES, 0, known)
    assert split_subjects(["a", "b", "d", "e"], SHARES, 0, known)["e"] == "validation"


def test_an_earlier_split_remembers_who_is_away_and_how_it_was_drawn(tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    made_with = {"split": [0.5, 0.5, 0], "split_seed": 3}
    write_split({"a": "train"}, path, {"b": "test"}, made_with)
    assert read_split(path) == {"a": "train"}
    assert read_earlier_split(path, made_with, {}) == {"a": "train", "b": "test"}
    assert read_earlier_split(path, made_with | {"split_seed": 4}, {}) is None


def test_an_earlier_split_without_notes_is_known_by_the_settings_of_its_store(
    tmp_path: Path,
) -> None:
    path = given_split(tmp_path, train=["a"])
    assert read_earlier_split(path, {"split_seed": 3}, {"split_seed": 3}) == {"a": "train"}
    assert read_earlier_split(path, {"split_seed": 3}, {}) is None


@pytest.mark.parametrize("absent", [["a"], {"a": "elsewhere"}, {"a": 3}])
def test_an_earlier_split_with_damaged_notes_is_refused(tmp_path: Path, absent: object) -> None:
    path = tmp_path / "split.json"
    path.write_text(json.dumps({"train": ["b"], "absent": absent}))
    with pytest.raises(PreparationError, match="another content under 'absent'.*remove the file"):
        read_earlier_split(path, {}, {})
