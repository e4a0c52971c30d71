"""Tables of figures and the intervals of their means."""

import csv
import io
import json
import math

import numpy as np
import pytest
from scipy.stats import bootstrap

from AnatoMaskGANLib.evaluation.metrics.definitions import goodness, metric_named
from AnatoMaskGANLib.evaluation.report.table import Row, Table, interval_of_mean
from AnatoMaskGANLib.evaluation.suite import EvaluationCase, evaluate_cases
from AnatoMaskGANLib.volumes import LabelMap, Volume

ROWS = (
    Row("model", "a-1", "a", {"psnr": 30.0, "ssim": 0.9}),
    Row("model", "a-2", "a", {"psnr": 32.0, "ssim": 0.9}),
    Row("model", "b", "b", {"psnr": 34.0, "ssim": math.nan}),
    Row("label-mean", "a-1", "a", {"psnr": 28.0}),
    Row("label-mean", "a-2", "a", {"psnr": 28.0}),
    Row("label-mean", "b", "b", {"psnr": math.inf}),
)


def test_each_subject_counts_once_however_many_cases_it_has() -> None:
    table = Table(ROWS)
    assert table.by_subject("model", "psnr") == {"a": 31.0, "b": 34.0}
    assert table.mean("model", "psnr") == 32.5
    assert table.num_subjects == 2


def test_a_missing_figure_is_left_out_and_not_counted_as_zero() -> None:
    table = Table(ROWS)
    assert table.mean("model", "ssim") == 0.9
    assert math.isnan(table.mean("label-mean", "ssim"))


def test_the_advantage_over_a_baseline_is_paired_by_subject() -> None:
    rows = (*ROWS[:3], Row("base", "a", "a", {"psnr": 30.0}), Row("base", "b", "b", {"psnr": 33.0}))
    mean, interval = Table(rows).advantage("model", "psnr", over="base")
    assert mean == 1.0
    assert interval is not None and (interval.low, interval.high) == (1.0, 1.0)


def test_the_csv_has_a_line_a_case_and_an_empty_cell_where_nothing_was_measured() -> None:
    lines = list(csv.DictReader(io.StringIO(Table(ROWS).to_csv())))
    assert len(lines) == 6
    assert lines[0] == {
        "method": "model",
        "case": "a-1",
        "subject": "a",
        "psnr": "30",
        "ssim": "0.9",
    }
    assert lines[3]["ssim"] == "" and lines[5]["psnr"] == "inf"


def test_the_json_is_strict_even_with_infinite_and_missing_figures() -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    content = json.loads(Table(ROWS).to_json(), parse_constant=refuse)
    assert content["summary"]["model"]["psnr"]["mean"] == 32.5
    assert content["summary"]["label-mean"]["psnr"]["mean"] == "inf"
    assert content["summary"]["label-mean"]["ssim"]["mean"] is None


def test_the_text_shows_each_method_and_which_way_is_better() -> None:
    text = Table(ROWS).to_text()
    assert "PSNR dB ↑" in text and "32.50" in text and "Mean over 2 subjects" in text
    assert text.index("model") < text.index("label-mean")


def test_a_ratio_is_best_at_one_from_both_sides() -> None:
    figure = metric_named("dz_ratio")
    assert goodness(figure, 1.0) > goodness(figure, 0.9)
    assert goodness(figure, 2.0) == pytest.approx(goodness(figure, 0.5))


def test_the_interval_agrees_with_scipys_percentile_bootstrap() -> None:
    values = np.random.default_rng(0).normal(30, 2, 12)
    expected = bootstrap((values,), np.mean, n_resamples=10_000, method="percentile")
    interval = interval_of_mean(values)
    assert interval is not None
    assert interval.low == pytest.approx(expected.confidence_interval.low, abs=0.1)
    assert interval.high == pytest.approx(expected.confidence_interval.high, abs=0.1)


def test_one_subject_gives_no_interval() -> None:
    assert interval_of_mean([31.0]) is None
    assert interval_of_mean([31.0, math.inf]) is None


def _case(name: str) -> EvaluationCase:
    affine = np.eye(4)
    labels = np.ones((8, 16, 16), dtype=np.uint8)
    real = np.random.default_rng(len(name)).random(labels.shape, dtype=np.float32)
    return EvaluationCase(name, Volume(real, affine), LabelMap(labels, affine, {1: "tissue"}))


def test_cases_are_evaluated_one_after_the_other_with_every_method() -> None:
    seen = []
    table = evaluate_cases(
        (_case(name) for name in ("x", "yy")),
        {"real": lambda case: case.real, "model": lambda case: case.real},
        (0.0, 1.0),
        on_progress=lambda case, method: seen.append((case, method)),
    )
    assert seen == [("x", "real"), ("x", "model"), ("yy", "real"), ("yy", "model")]
    assert table.mean("real", "ssim") == pytest.approx(1.0)
    assert table.mean("real", "psnr") == math.inf
    assert "tissue" in table.labels_to_csv({1: "tissue"})
