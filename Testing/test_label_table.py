"""Label tables: the bundled ones are sound, damaged ones are refused in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from AnatoMaskGANLib.resources import resources_folder
from AnatoMaskGANLib.volumes import LabelTable, VolumeError, label_table_of_model, load_label_table
from AnatoMaskGANLib.volumes.label_names import read_label_names
from AnatoMaskGANLib.volumes.label_spelling import normalized_name, side_of
from AnatoMaskGANLib.volumes.label_table import bundled_tables

BUNDLED = sorted(bundled_tables())


def test_the_brain_table_has_the_names_and_values_of_the_sample_subject() -> None:
    table = load_label_table("freesurfer-brain")
    path = resources_folder() / "SampleData/brain-t1-sub-19/labels.json"
    assert {str(value): name for value, name in table.labels.items()} == json.loads(
        path.read_text()
    )
    assert len(table.labels) == 35


def test_the_abdomen_table_has_the_values_of_btcv() -> None:
    names = list(load_label_table("abdomen-ct-13").labels.values())
    assert names[:4] == ["Spleen", "Right-Kidney", "Left-Kidney", "Gallbladder"]
    assert len(names) == 13


def test_the_table_of_totalsegmentator_has_its_values_and_the_codes_of_the_abdomen_table() -> None:
    table, abdomen = load_label_table("totalsegmentator-v2"), load_label_table("abdomen-ct-13")
    names = table.labels
    assert len(names) == 117
    assert (names[1], names[52], names[90], names[117]) == (
        *("spleen", "aorta", "brain"),
        "costal_cartilages",
    )
    assert (names[92], names[104]) == ("rib_left_1", "rib_right_1")
    value_of = {code: value for value, code in table.codes.items()}
    spellings = dict(table.spellings())
    for value, code in abdomen.codes.items():
        named = spellings.get(normalized_name(abdomen.labels[value]))
        assert named in (None, value_of[code])


# A heart's left chambers are no mirror image of its right ones: none becomes another in a flip.
ONE_SIDED = ("lung_middle_lobe_right", "atrial_appendage_left")
MIRRORED = [name for name in BUNDLED if name != "mm-whs"]


def test_chambers_of_the_heart_do_not_change_places_in_a_flip() -> None:
    assert load_label_table("mm-whs").swaps == {}


@pytest.mark.parametrize("name", MIRRORED)
def test_left_and_right_of_a_bundled_table_are_partners(name: str) -> None:
    table = load_label_table(name)
    assert table.name == name
    other_side = {"left": "right", "right": "left"}
    for value, label in table.labels.items():
        side = side_of(label)
        if label in ONE_SIDED:
            assert value not in table.swaps
            continue
        assert (value in table.swaps) == bool(side)
        if side:
            partner = table.swaps[value]
            swapped = normalized_name(label).replace(side, other_side[side], 1)
            assert normalized_name(table.labels[partner]) == swapped
            code, partner_code = table.codes.get(value, ""), table.codes.get(partner, "")
            assert code.partition("+")[0] == partner_code.partition("+")[0]
            assert code.endswith({"left": "+SCT:7771000", "right": "+SCT:24028007"}[side]) or not (
                code
            )


@pytest.mark.parametrize("name", BUNDLED)
def test_a_table_survives_json(name: str) -> None:
    table = load_label_table(name)
    assert LabelTable.from_dict(json.loads(json.dumps(table.to_dict()))) == table


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"name": "t"}, "KeyError: 'labels'"),
        ({"labels": {"1": "a"}}, "KeyError: 'name'"),
        ({"name": "t", "labels": {}}, "no labels"),
        ({"name": "t", "labels": {"0": "a"}}, "value 0 .* expected values from 1"),
        ({"name": "t", "labels": {"x": "a"}}, "damaged"),
        ({"name": "t", "labels": {"1": 5}}, "5 is not a text"),
        ({"name": "t", "labels": ["a"]}, "damaged"),
        ({"name": "t", "labels": {"1": "Kidney-L", "2": "left kidney"}}, "'left kidney' for both"),
        ({"name": "t", "labels": {"1": "a"}, "lables": {}}, "'lables'; expected only name"),
        ({"name": "t", "labels": {"1": "a"}, "codes": {"2": "SCT:1"}}, "codes for the value 2"),
        ({"name": "t", "labels": {"1": "a"}, "codes": {"1": "12"}}, "code '12' for 'a'"),
        ({"name": "t", "labels": {"1": "a"}, "aliases": {"1": "b"}}, "'b' is not a list"),
        ({"name": "t", "labels": {"1": "a", "2": "b"}, "swaps": {"1": 2}}, "but not back"),
        ({"name": "t", "labels": {"1": "a"}, "swaps": {"1": 1}}, "expected pairs"),
    ],
)
def test_a_damaged_table_is_refused_in_words(
    tmp_path: Path, content: dict[str, Any], words: str
) -> None:
    path = tmp_path / "table.json"
    path.write_text(json.dumps(content))
    with pytest.raises(VolumeError, match=words) as caught:
        load_label_table(path)
    assert "table.json" in str(caught.value)


@pytest.mark.parametrize("content", ["", "[]", "{", '"text"', "[" * 100_000])
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "table.json"
    path.write_text(content)
    with pytest.raises(VolumeError, match="table.json"):
        load_label_table(path)


def test_an_unknown_table_names_the_bundled_ones() -> None:
    with pytest.raises(VolumeError, match="abdomen-ct-13, chaos-mr, fmriprep-tissues"):
        load_label_table("freesurfer")


@pytest.mark.parametrize(
    ("name", "normalized"),
    [
        ("Left-Thalamus-Proper*", "left thalamus proper"),
        ("thalamus proper (L)", "left thalamus proper"),
        ("lh.ThalamusProper", "left thalamus proper"),
        ("THALAMUS_PROPER_LEFT", "left thalamus proper"),
        ("3rd-Ventricle", "3rd ventricle"),
        ("Großhirn", "grosshirn"),
        ("Épiphyse", "epiphyse"),
        ("rib right 7", "right rib 7"),
        ("L5", "l5"),
        ("", ""),
        ("???", ""),
    ],
)
def test_names_have_one_spelling(name: str, normalized: str) -> None:
    assert normalized_name(name) == normalized


@pytest.mark.parametrize(
    ("name", "side"), [("kidney_r", "right"), ("lh", "left"), ("Liver", ""), ("Larynx", "")]
)
def test_the_side_is_a_word_of_its_own(name: str, side: str) -> None:
    assert side_of(name) == side


def test_relatives_are_names_of_labels_or_stand_alone() -> None:
    labels = {"1": "a", "2": "b"}
    for targets in (["c"], [], ["a", "surrounding"]):
        with pytest.raises(VolumeError, match="for the relative 'x'"):
            LabelTable.from_dict({"name": "t", "labels": labels, "relatives": {"x": targets}})
    content = {
        "name": "t",
        "labels": labels,
        "relatives": {"x y": ["a", "b"], "z *": ["background"]},
    }
    table = LabelTable.from_dict(content)
    assert LabelTable.from_dict(table.to_dict()) == table
    assert table.relative_of("X_Y") == ("a", "b")
    assert table.relative_of("z one") == ("background",)
    assert table.relative_of("z") == table.relative_of("a") == ()


def test_what_is_added_to_a_bundled_table_reaches_models_that_exist() -> None:
    bundled = load_label_table("freesurfer-brain").to_dict()
    model = {key: bundled[key] for key in ("name", "labels")} | {"codes": bundled["codes"]}
    table = label_table_of_model(model)
    assert table.aliases == load_label_table("freesurfer-brain").aliases
    assert table.relative_of("CC_Central") == bundled_relative("CC_*")
    own = label_table_of_model(model | {"labels": {"1": "Fin"}, "codes": {}})
    assert (own.aliases, own.relatives) == ({}, {})
    other = label_table_of_model(model | {"name": "elsewhere"})
    assert (other.aliases, other.relatives) == ({}, {})


def test_a_model_of_some_labels_gets_the_relatives_that_it_has_labels_for() -> None:
    bundled = load_label_table("freesurfer-brain").to_dict()
    labels = {v: name for v, name in bundled["labels"].items() if v in ("1", "20")}
    table = label_table_of_model({"name": bundled["name"], "labels": labels})
    assert table.relative_of("CC_Central") == bundled_relative("CC_*")
    assert table.relative_of("Optic-Chiasm") == ()
    assert set(table.aliases) == {1, 20}


def bundled_relative(name: str) -> tuple[str, ...]:
    return load_label_table("freesurfer-brain").relatives[name]


def test_further_values_are_names_and_no_classes() -> None:
    table = load_label_table("mm-whs")
    assert 421 not in table.labels and table.more_values == {421: "Left-Atrium"}
    assert read_label_names("mm-whs")[421] == read_label_names("mm-whs")[420] == "Left-Atrium"
    for more in ({"1": "a"}, {"5": "b"}):
        with pytest.raises(VolumeError, match="expected a new value for one of its labels"):
            LabelTable.from_dict({"name": "t", "labels": {"1": "a"}, "more_values": more})


def test_a_byte_order_mark_is_no_part_of_a_table(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    path.write_text('{"name": "t", "labels": {"1": "a"}}', encoding="utf-8-sig")
    assert load_label_table(path).labels == {1: "a"}
