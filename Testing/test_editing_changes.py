"""Edits in words: what each does to a label map, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from AnatoMaskGANLib.editing.changes import changed_label_maps, label_of, step_names
from AnatoMaskGANLib.editing.errors import EditError
from AnatoMaskGANLib.volumes import LabelMap


def cube(spacing_mm: float = 1.0) -> LabelMap:
    """A cube of 5 voxels a side of label 3, in a body of label 7, in a map of 20 voxels a side."""
    labels = np.full((20, 20, 20), 7, np.uint8)
    labels[:2] = 0
    labels[8:13, 8:13, 8:13] = 3
    matrix = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    return LabelMap(labels, matrix, {3: "Left Kidney", 7: "body"})


def only(change: str, label_map: LabelMap | None = None, fixed: tuple[str, ...] = ()) -> LabelMap:
    (step,) = changed_label_maps(label_map or cube(), [change], fixed)
    assert step.name == ""
    return step.label_map


def count(label_map: LabelMap, label: int) -> int:
    return int(np.count_nonzero(label_map.labels_kji == label))


def test_growing_by_millimeters_counts_the_spacing() -> None:
    # a cube of 5^3 grown by one voxel: its six faces and twelve edges, without the corners
    assert count(only("grow left kidney by 1 mm"), 3) == 125 + 6 * 25 + 12 * 5
    assert count(only("grow Left Kidney by 2 mm", cube(2.0)), 3) == 125 + 6 * 25 + 12 * 5


def test_shrinking_leaves_the_inner_cube_to_the_body() -> None:
    shrunk = only("shrink Left Kidney by 1 mm")
    assert count(shrunk, 3) == 27
    assert count(shrunk, 0) == count(cube(), 0)


def test_a_fixed_label_does_not_yield() -> None:
    assert count(only("grow 3 by 1 mm", fixed=("body",)), 3) == 125


def test_resizing_gives_that_part_of_the_volume() -> None:
    assert count(only("resize Left Kidney to 200 %"), 3) == 250


def test_moving_is_in_the_patients_directions() -> None:
    moved = only("move Left Kidney by 2,0,-3 mm")
    places = np.argwhere(moved.labels_kji == 3)
    assert places.min(axis=0).tolist() == [5, 8, 10]  # (k, j, i): down by 3, right by 2


def test_removing_leaves_the_voxels_to_what_is_near_or_to_what_is_named() -> None:
    assert count(only("remove Left Kidney"), 7) == count(cube(), 7) + 125
    map_with_air = only("remove 3 to body")
    assert count(map_with_air, 7) == count(cube(), 7) + 125


def test_a_ball_is_added_under_a_new_value_with_its_name() -> None:
    added = only("add lesion at 4,4,10 with 2 mm")
    assert added.names[8] == "lesion"
    assert count(added, 8) == 7  # a center and its six neighbors
    assert added.labels_kji[10, 4, 4] == 8


def test_a_ball_inside_a_label_lies_where_it_is_thickest_and_stays_inside() -> None:
    added = only("add lesion in Left Kidney with 30 mm")
    assert added.labels_kji[10, 10, 10] == 8
    assert count(added, 8) == 125
    assert count(added, 7) == count(cube(), 7)


def test_labels_are_merged_and_split() -> None:
    merged = only("merge Left Kidney + body into organs")
    assert merged.names[8] == "organs"
    assert count(merged, 8) == count(cube(), 3) + count(cube(), 7)
    split = only("split Left Kidney at superior 10 into upper pole")
    assert split.names[8] == "upper pole"
    assert count(split, 8) == 2 * 25
    assert count(split, 3) == 3 * 25


def test_a_series_has_a_step_for_every_number_each_from_the_first_map() -> None:
    steps = list(changed_label_maps(cube(), ["resize Left Kidney to 50/100/200 %"]))
    assert [step.name for step in steps] == ["50", "100", "200"]
    assert [count(step.label_map, 3) for step in steps] == [62, 125, 250]
    assert step_names(["resize Left Kidney to 50/100/200 %"]) == ("50", "100", "200")
    assert step_names(["remove body"]) == ("",)


def test_a_move_is_made_in_steps() -> None:
    steps = list(changed_label_maps(cube(), ["move Left Kidney by 0,4,0 mm in 2 steps"]))
    firsts = [int(np.argwhere(step.label_map.labels_kji == 3)[0][1]) for step in steps]
    assert firsts == [10, 12]


def test_edits_are_done_one_after_the_other() -> None:
    changes = ["add lesion at 10,10,10 with 2 mm", "grow lesion by 1 mm"]
    (step,) = changed_label_maps(cube(), changes)
    assert count(step.label_map, 8) > 7


@pytest.mark.parametrize(
    "change",
    ["", "enlarge liver", "grow Left Kidney", "grow Left Kidney by much", "move 3 by 1,2 mm"],
)
def test_words_that_are_no_edit_are_refused_with_examples(change: str) -> None:
    with pytest.raises(EditError, match="expected one such as: grow NAME by 5 mm"):
        list(changed_label_maps(cube(), [change]))


def test_no_edit_at_all_is_refused() -> None:
    with pytest.raises(EditError, match="No edit came"):
        list(changed_label_maps(cube(), []))


def test_an_unknown_name_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(EditError, match=r"No label has the name 'liver'.*3 Left Kidney, 7 body"):
        only("grow liver by 3 mm")


def test_a_name_of_two_labels_is_refused() -> None:
    with pytest.raises(EditError, match="2 labels have the name 'kidney'"):
        label_of("kidney", {1: "Kidney", 2: "kidney"}, [1, 2])


def test_two_series_at_once_are_refused() -> None:
    with pytest.raises(EditError, match="2 edits are a series"):
        list(changed_label_maps(cube(), ["grow 3 by 1/2 mm", "grow 7 by 1/2 mm"]))


def test_a_series_with_a_number_twice_is_refused() -> None:
    with pytest.raises(EditError, match="names a number twice"):
        list(changed_label_maps(cube(), ["grow 3 by 1/1.0 mm"]))


def test_more_steps_than_make_sense_are_refused() -> None:
    with pytest.raises(EditError, match="expected 1 to 1000"):
        list(changed_label_maps(cube(), ["move 3 by 1,0,0 mm in 0 steps"]))
