"""The table of a utility experiment."""

from __future__ import annotations

import csv
import io

import pytest

from AnatoMaskGANLib.evaluation.utility import UtilityRun, UtilityTable


def table() -> UtilityTable:
    runs = [
        UtilityRun("real", 2, 0, {"a": {1: 0.8, 2: 0.4}, "b": {1: 0.6}}),
        UtilityRun("real", 2, 1, {"a": {1: 0.6, 2: 0.6}, "b": {1: 0.8}}),
        UtilityRun("synthetic", 1, 0, {"a": {1: 0.5, 2: 0.5}, "b": {1: 0.3}}),
    ]
    return UtilityTable(tuple(runs), {"a": "person a", "b": "person b"})


def test_a_case_counts_once_whatever_the_number_of_its_labels() -> None:
    assert table().runs[0].mean_dice == pytest.approx(0.6)
    assert table().runs[1].mean_dice == pytest.approx(0.7)


def test_the_deviation_is_over_seeds() -> None:
    mean, deviation, count = table().over_seeds("real", 2)
    assert (mean, count) == (pytest.approx(0.65), 2)
    assert deviation == pytest.approx(0.0707107, abs=1e-6)


def test_the_text_has_a_line_a_source_and_a_column_a_size() -> None:
    lines = table().to_text().splitlines()
    assert lines[0].split("  ")[0] == "Dice" and "1 subject " in lines[0]
    assert lines[1].startswith("real") and "0.6500 ± 0.0707" in lines[1] and " - " in lines[1]
    assert lines[2].startswith("synthetic") and "0.4000" in lines[2] and "±" not in lines[2]


def test_the_csv_has_a_line_a_run_case_and_label() -> None:
    rows = list(csv.DictReader(io.StringIO(table().to_csv({2: "bone"}))))
    assert len(rows) == 9
    assert rows[1] == {
        "source": "real",
        "real_subjects": "2",
        "seed": "0",
        "case": "a",
        "label": "2",
        "name": "bone",
        "dice": "0.400000",
    }


def test_intervals_of_the_report_are_over_held_out_persons() -> None:
    report = table().as_table()
    assert report.methods == ("real, 2", "synthetic, 1")
    assert report.num_subjects == 2
    assert report.mean("real, 2", "dice") == pytest.approx(0.65)
    assert report.by_subject("real, 2", "dice") == pytest.approx({"person a": 0.6, "person b": 0.7})


def test_the_plot_has_a_line_a_source() -> None:
    (axes,) = table().figure().axes
    assert [line.get_label() for line in axes.get_lines()] == ["real", "synthetic"]
