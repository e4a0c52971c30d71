"""From the labels of a map to those of a model: rules in turn, and nothing dropped in silence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from AnatoMaskGANLib.volumes import (
    LabelMap,
    LabelMatch,
    LabelTable,
    UnmatchedLabelsError,
    VolumeError,
    apply_matches,
    load_label_table,
    match_labels,
)

LEFT, RIGHT = "SCT:7771000", "SCT:24028007"
TABLE = LabelTable(
    name="test",
    labels={1: "Left-Kidney", 2: "Right-Kidney", 3: "Liver", 4: "Left-Cerebral-Cortex"},
    codes={1: f"SCT:64033007+{LEFT}", 2: f"SCT:64033007+{RIGHT}", 3: "SCT:10200004"},
    aliases={3: ("hepar",), 4: ("ctx-lh-*",)},
    swaps={1: 2, 2: 1},
)


def _map(names: dict[int, str], codes: dict[int, str] | None = None) -> LabelMap:
    values = sorted({*names, *(codes or {})})
    return LabelMap(np.array([[[0, *values]]]), np.eye(4), names, codes or {})


def _match(name: str, code: str = "", **user: str | int | None) -> LabelMatch:
    names = {7: name} if name else {}
    codes = {7: code} if code else {}
    return match_labels(_map(names, codes), TABLE, user)[0]


@pytest.mark.parametrize(
    ("name", "code", "model_value", "rule"),
    [
        ("anything", "SCT:10200004", 3, "code"),
        ("", f"SCT:64033007+{RIGHT}", 2, "code"),
        ("kidney (R)", "SCT:64033007", 2, "code"),
        ("Liver", "SCT:85756007", 3, "name"),
        ("Left-Kidney", "", 1, "name"),
        ("kidney, left", "", 1, "name"),
        ("rightKidney", "", 2, "name"),
        ("Hepar", "", 3, "alias"),
        ("ctx-lh-superiorfrontal", "", 4, "alias"),
    ],
)
def test_code_comes_before_name_and_name_before_alias(
    name: str, code: str, model_value: int, rule: str
) -> None:
    expected = LabelMatch(7, name, model_value, rule, TABLE.labels[model_value])
    assert _match(name, code) == expected


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("kidney", ""),  # which one?
        ("", "SCT:64033007"),
        ("Segment_1", "SCT:85756007"),
        ("liver tumor", ""),
        ("ctx-rh-superiorfrontal", ""),
        ("ctx", ""),
        ("", f"SCT:10200004+{LEFT}"),  # half a liver is no liver
    ],
)
def test_what_is_not_sure_stays_unmatched(name: str, code: str) -> None:
    assert _match(name, code) == LabelMatch(7, name, None, "unmatched")


def test_a_name_and_a_code_of_two_sides_need_a_decision(caplog: pytest.LogCaptureFixture) -> None:
    match = _match("Right kidney", f"SCT:64033007+{LEFT}")
    assert match.rule == "unmatched"
    assert "name different sides" in caplog.text
    assert _match("Right kidney", f"SCT:64033007+{LEFT}", **{"7": 2}).model_value == 2


@pytest.mark.parametrize(
    ("target", "model_value"),
    [("Liver", 3), ("liver", 3), ("hepar", 3), (3, 3), (None, None), (0, None)],
)
def test_the_users_word_comes_first(target: str | int | None, model_value: int | None) -> None:
    for key in ("Left-Kidney", "7"):
        match = _match("Left-Kidney", f"SCT:64033007+{LEFT}", **{key: target})
        assert (match.model_value, match.rule) == (model_value, "user")


@pytest.mark.parametrize("target", ["livr", 9, True, "Tissue"])
def test_a_decision_for_a_label_that_is_not_there_is_refused(target: str | int) -> None:
    if target is True:
        target = 99
    with pytest.raises(VolumeError, match=f"no label {target!r}.*Liver"):
        _match("x", **{"x": target})


def test_a_map_without_names_is_matched_by_value_and_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    nameless = LabelMap(np.array([[[0, 1, 3]]]), np.eye(4))
    matches = match_labels(nameless, TABLE)
    assert [(match.value, match.model_value, match.rule) for match in matches] == [
        (1, 1, "value"),
        (3, 3, "value"),
    ]
    assert "no names" in caplog.text


def test_a_map_without_names_is_not_guessed_when_one_value_is_strange() -> None:
    nameless = LabelMap(np.array([[[0, 1, 3, 41]]]), np.eye(4))
    matches = match_labels(nameless, TABLE)
    assert [match.rule for match in matches] == ["unmatched"] * 3
    with pytest.raises(UnmatchedLabelsError, match="freesurfer-aseg"):
        apply_matches(nameless, matches)
    decided = match_labels(nameless, TABLE, {"41": "Liver"})
    assert [(match.model_value, match.rule) for match in decided] == [
        (1, "value"),
        (3, "value"),
        (3, "user"),
    ]


def test_names_for_absent_values_are_no_names() -> None:
    labels = LabelMap(np.array([[[3]]]), np.eye(4), {1: "tumor"})
    assert match_labels(labels, TABLE)[0].rule == "value"


def test_a_map_without_any_label_is_refused() -> None:
    with pytest.raises(VolumeError, match="has no label: all of its voxels are background"):
        match_labels(LabelMap(np.zeros((2, 2, 2), np.uint8), np.eye(4)), TABLE)


def test_matches_are_applied_by_hand() -> None:
    labels = LabelMap(
        np.array([[[0, 10, 20], [30, 40, 20]]], np.int16),
        np.diag([1.0, 2.0, 3.0, 1.0]),
        {10: "liver", 20: "left kidney", 30: "hepar", 40: "tumor"},
    )
    matches = match_labels(labels, TABLE, {"tumor": None})
    applied = apply_matches(labels, matches)
    assert applied.labels_kji.tolist() == [[[0, 3, 1], [3, 0, 1]]]
    assert applied.labels_kji.dtype == np.uint8
    assert applied.names == {1: "Left-Kidney", 3: "Liver"}
    assert np.array_equal(applied.ijk_to_ras, labels.ijk_to_ras)


def test_unmatched_labels_stop_or_go_to_background_as_asked() -> None:
    labels = _map({1: "liver", 2: "tumor", 5: "cyst"})
    matches = match_labels(labels, TABLE)
    with pytest.raises(UnmatchedLabelsError, match="2 of the 3 labels.*2 tumor, 5 cyst") as caught:
        apply_matches(labels, matches)
    assert [match.value for match in caught.value.unmatched] == [2, 5]
    assert apply_matches(labels, matches, "background").labels_kji.tolist() == [[[0, 3, 0, 0]]]


def test_a_map_of_which_nothing_is_known_is_refused_even_when_dropping() -> None:
    labels = _map({1: "tumor", 2: "cyst"})
    with pytest.raises(UnmatchedLabelsError, match="knows none of the 2 labels"):
        apply_matches(labels, match_labels(labels, TABLE), "background")
    with pytest.raises(VolumeError, match="would become background"):
        apply_matches(labels, match_labels(labels, TABLE, {"tumor": None, "cyst": None}))


def test_a_long_list_of_unmatched_labels_is_cut() -> None:
    labels = _map({value: f"parcel {value}" for value in range(1, 101)})
    with pytest.raises(UnmatchedLabelsError, match="12 parcel 12, and 88 more"):
        apply_matches(labels, match_labels(labels, TABLE))


def test_a_label_without_a_match_in_the_list_is_unmatched() -> None:
    labels = _map({1: "liver", 2: "left kidney"})
    with pytest.raises(UnmatchedLabelsError, match="1 of the 2 labels"):
        apply_matches(labels, match_labels(labels, TABLE)[:1])


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.one_of(st.integers(1, 400), st.integers(1, 2**40)),
        st.sampled_from([*TABLE.labels.values(), "tumor", "cyst"]),
        min_size=1,
        max_size=200,
    )
)
def test_any_set_of_labels_is_mapped_voxel_by_voxel(names: dict[int, str]) -> None:
    values = np.array([0, *names])
    voxels = values[np.random.default_rng(0).integers(0, len(values), (4, 5, 6))]
    voxels.flat[0] = next(iter(names))
    labels = LabelMap(voxels, np.eye(4), names)
    matches = match_labels(labels, TABLE)
    expected = {0: 0, **{match.value: match.model_value or 0 for match in matches}}
    try:
        applied = apply_matches(labels, matches, "background")
    except UnmatchedLabelsError:
        assert all(match.rule == "unmatched" for match in matches)
        return
    for old, new in zip(voxels.flat, applied.labels_kji.flat, strict=True):
        assert expected[int(old)] == new


@pytest.mark.parametrize("table", ["freesurfer-aseg", "synthseg", "fmriprep-tissues"])
def test_every_name_of_a_stock_brain_segmentation_becomes_something(table: str) -> None:
    labels = _map(dict(load_label_table(table).labels))
    matches = match_labels(labels, load_label_table("freesurfer-brain"))
    assert [match.name for match in matches if match.rule == "unmatched"] == []
    assert all(match.name == match.model_name for match in matches if match.rule == "name")


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("CC_Central", "1 or 20, the nearest"),
        ("WM-hypointensities", "1 or 20, the nearest"),
        ("Left-Substancia-Nigra", "17"),
        ("Optic-Chiasm", "17 or 33, the nearest"),
        ("5th-Ventricle", "3 or 22, the nearest"),
        ("non-WM-hypointensities", "as the tissue around it"),
        ("CSF-ExtraCerebral", "background"),
    ],
)
def test_near_relatives_of_the_brain_table_become_what_it_says(name: str, target: str) -> None:
    (match,) = match_labels(_map({5: name}), load_label_table("freesurfer-brain"))
    assert (match.rule, match.target()) == ("relative", target)


@pytest.mark.parametrize(
    ("name", "model_name"),
    [
        ("Left-Thalamus-Proper*", "Left-Thalamus"),
        ("left thalamus proper", "Left-Thalamus"),
        ("ctx-lh", "Left-Cerebral-Cortex"),
        ("ctx-rh-bankssts", "Right-Cerebral-Cortex"),
        ("wm-lh-cuneus", "Left-Cerebral-White-Matter"),
        ("Brainstem", "Brain-Stem"),
        ("Third ventricle", "3rd-Ventricle"),
        ("Globus pallidus right", "Right-Pallidum"),
        ("Left_VentralDC", "Left-VentralDC"),
        ("right ventraldc", "Right-VentralDC"),
        ("Nucleus accumbens (L)", "Left-Accumbens-area"),
    ],
)
def test_brain_structures_are_known_by_their_other_names(name: str, model_name: str) -> None:
    match = match_labels(_map({1: name}), load_label_table("freesurfer-brain"))[0]
    assert match.model_name == model_name


@pytest.mark.parametrize(
    ("name", "model_value"),
    [
        ("kidney_right", 2),
        ("adrenal_gland_left", 13),
        ("inferior_vena_cava", 9),
        ("portal_vein_and_splenic_vein", 10),
        ("gall bladder", 4),
        ("Oesophagus", 5),
    ],
)
def test_abdominal_organs_are_known_by_their_other_names(name: str, model_value: int) -> None:
    match = match_labels(_map({1: name}), load_label_table("abdomen-ct-13"))[0]
    assert match.model_value == model_value


@pytest.mark.parametrize(
    "names",
    [
        ("печень", "селезёнка"),
        ("肝臓", "脾臓"),
        ("がん", "かん"),  # a voicing mark makes another letter
        ("यकृत", "यकृति"),  # so does a vowel sign
        ("כבד", "טחול"),
        ("간", "비장"),
    ],
)
def test_names_of_every_script_match_themselves_and_no_other(names: tuple[str, str]) -> None:
    table = LabelTable("other script", dict(enumerate(names, start=1)))
    matches = match_labels(_map({5: names[1], 7: f" {names[0].upper()} (L)"}), table)
    assert [match.model_value for match in matches] == [2, None]
    (match,) = match_labels(_map({7: names[0].upper()}), table)
    assert (match.model_value, match.rule) == (1, "name")
