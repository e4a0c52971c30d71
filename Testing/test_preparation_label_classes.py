"""Label classes: a table, a subset of it by value or name, labels that become one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from AnatoMaskGANLib.preparation.label_classes import (
    all_named,
    check_named_alike,
    choose_classes,
    one_sided_labels,
    read_table,
    table_of_names,
)
from AnatoMaskGANLib.preparation.settings import PreparationError
from AnatoMaskGANLib.volumes import LabelMap, LabelTable, load_label_table

TABLE = LabelTable(
    "body",
    {1: "Spleen", 2: "Right-Kidney", 3: "Left-Kidney", 5: "Liver"},
    codes={5: "SCT:10200004"},
    aliases={5: ("hepar",)},
)


def label_map(*values: int, names: dict[int, str] | None = None) -> LabelMap:
    """One voxel for each value in a row, after one of background."""
    return LabelMap(np.array([[[0, *values]]], dtype=np.int32), np.eye(4), names or {})


def row(result: LabelMap) -> list[int]:
    return result.labels_kji[0, 0].tolist()


def test_a_whole_table_keeps_its_values_and_finds_its_partners_by_name() -> None:
    classes = choose_classes(TABLE)
    assert classes.target.labels == TABLE.labels
    assert classes.target.swaps == {2: 3, 3: 2}
    assert row(classes.apply(label_map(5, 2, 1))) == [0, 5, 2, 1]


def test_large_values_become_small_classes() -> None:
    classes = choose_classes(load_label_table("mm-whs"))
    assert list(classes.target.labels) == [1, 2, 3, 4, 5, 6, 7]
    assert classes.target.labels[1] == "Left-Ventricle-Myocardium"
    assert row(classes.apply(label_map(850, 205, 500))) == [0, 7, 1, 3]


def test_a_subset_by_value_or_name_is_numbered_in_its_order() -> None:
    classes = choose_classes(TABLE, ["hepar", 3, "right kidney"])
    assert classes.target.labels == {1: "Liver", 2: "Left-Kidney", 3: "Right-Kidney"}
    assert classes.target.codes == {1: "SCT:10200004"}
    assert classes.target.swaps == {2: 3, 3: 2}
    assert row(classes.apply(label_map(1, 2, 3, 5))) == [0, 0, 3, 2, 1]


def test_merged_labels_are_one_class_without_sides() -> None:
    classes = choose_classes(TABLE, merge={"kidney": ["left kidney", 2]})
    assert classes.target.labels == {1: "Spleen", 2: "kidney", 3: "Liver"}
    assert classes.target.swaps == {}
    assert row(classes.apply(label_map(1, 2, 3, 5))) == [0, 1, 2, 2, 3]
    only = choose_classes(TABLE, ["kidney"], {"kidney": ["left kidney", 2]})
    assert row(only.apply(label_map(1, 2, 3, 5))) == [0, 0, 1, 1, 0]


def test_merged_labels_of_each_side_swap() -> None:
    table = LabelTable(
        "brain", {1: "left cortex", 2: "left pallidum", 3: "right cortex", 4: "right pallidum"}
    )
    merge = {"left brain": [1, 2], "right brain": [3, 4]}
    assert choose_classes(table, merge=merge).target.swaps == {1: 2, 2: 1}


def test_a_label_whose_other_side_is_left_out_is_told() -> None:
    assert one_sided_labels(choose_classes(TABLE, ["left kidney", "liver"])) == ["Left-Kidney"]
    assert one_sided_labels(choose_classes(TABLE)) == []


@pytest.mark.parametrize(
    ("labels", "merge", "message"),
    [
        (["livr"], None, "no label 'livr'; expected one such as 5 Liver"),
        ([4], None, "no label 4; expected one of 1 Spleen"),
        (["liver", 5], None, "a label twice"),
        ([], {"a": [1, 2], "b": [2]}, "a label in two places"),
        ([], {"liver": [1, 2]}, "makes a label 'liver', which already is label 5 of the table"),
    ],
)
def test_a_choice_that_makes_no_sense_is_refused(labels, merge, message: str) -> None:
    with pytest.raises(PreparationError, match=message):
        choose_classes(TABLE, labels, merge)


def test_labels_outside_the_table_stop_or_become_background() -> None:
    classes = choose_classes(TABLE)
    with pytest.raises(PreparationError, match="labels 9, which the table 'body' does not"):
        classes.apply(label_map(1, 9))
    assert row(classes.apply(label_map(1, 9), "background")) == [0, 1, 0]


def test_names_in_the_file_come_before_values() -> None:
    classes = choose_classes(TABLE)
    named = label_map(1, 2, names={1: "liver", 2: "spleen"})
    assert row(classes.apply(named)) == [0, 5, 1]


def test_a_map_without_any_chosen_label_is_refused() -> None:
    with pytest.raises(PreparationError, match=r"None of the chosen labels \(Liver\)"):
        choose_classes(TABLE, ["liver"]).apply(label_map(1, 2))


def test_the_names_of_many_cases_become_one_table() -> None:
    same = table_of_names("x", [{1: "liver", 3: "spleen"}, {3: "Spleen", 7: "aorta"}])
    assert same.labels == {1: "liver", 3: "spleen", 7: "aorta"}
    other = table_of_names("x", [{1: "liver", 2: "spleen"}, {1: "spleen", 2: "aorta"}])
    assert other.labels == {1: "liver", 2: "spleen", 3: "aorta"}
    with pytest.raises(PreparationError, match="No case has a label"):
        table_of_names("x", [{}])


def test_a_value_named_in_some_cases_and_not_in_others_is_refused() -> None:
    named, unnamed = {1: "liver", 2: "spleen"}, {2: "label 2", 3: "label 3"}
    with pytest.raises(PreparationError, match="case b has no names .*such as a: 2: spleen.*--tab"):
        check_named_alike({"a": named, "b": unnamed, "c": named})
    check_named_alike({"a": {1: "liver"}, "b": unnamed})
    check_named_alike({"a": named, "b": {1: "spleen"}, "c": {3: "label 1"}})


def test_values_without_a_name_are_named_by_themselves() -> None:
    assert all_named(label_map(1, 7, names={1: "liver"})).names == {1: "liver", 7: "label 7"}


def test_label_names_and_label_tables_are_read_as_tables(tmp_path: Path) -> None:
    names = tmp_path / "names.json"
    names.write_text('{"1": "liver", "4": "spleen"}')
    assert read_table(str(names)).labels == {1: "liver", 4: "spleen"}
    names.write_text(json.dumps(TABLE.to_dict()))
    assert read_table(str(names)).codes == {5: "SCT:10200004"}
    assert len(read_table("abdomen-ct-13").labels) == 13
