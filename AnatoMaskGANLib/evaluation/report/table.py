"""The metrics of many cases and methods as a table: means, intervals, CSV, JSON and text.

Intervals are those of a mean over subjects, found by drawing the subjects again (bootstrap).
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from AnatoMaskGANLib.evaluation.metrics.definitions import METRICS, Metric, metric_named
from AnatoMaskGANLib.evaluation.metrics.label_intensities import LabelStatistics

NUM_RESAMPLES = 10_000
CONFIDENCE = 0.95
_ARROWS = {"higher": "↑", "lower": "↓", "one": "→1", "none": ""}


@dataclass(frozen=True)
class Interval:
    """A 95 % interval, from its lower to its upper end."""

    low: float
    high: float


def interval_of_mean(values: Sequence[float]) -> Interval | None:
    """Percentile bootstrap interval of the mean; None below two values or with an infinite one.

    A value belongs to a subject, not to a slice: slices of one person are not independent, and
    counting them as if they were makes intervals several times too narrow. With fewer than about
    ten subjects the interval is still too narrow; tables say how many there were.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.size < 2 or not np.isfinite(numbers).all():
        return None
    # A fixed seed: the same values give the same interval on every machine.
    draws = np.random.default_rng(0).integers(numbers.size, size=(NUM_RESAMPLES, numbers.size))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(numbers[draws].mean(axis=1), [tail, 1 - tail])
    return Interval(float(low), float(high))


@dataclass(frozen=True)
class Row:
    """The metrics of one method on one case."""

    method: str
    case: str
    subject: str
    metrics: Mapping[str, float]
    labels: Mapping[int, LabelStatistics] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """The metrics of all methods on all cases."""

    rows: tuple[Row, ...]
    set_metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Method -> metrics of all its images together, such as FID; they have no interval."""

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods in the order of the rows."""
        return tuple(dict.fromkeys(row.method for row in self.rows))

    @property
    def num_subjects(self) -> int:
        """Number of different persons."""
        return len({row.subject for row in self.rows})

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the metrics that any row has: in the order of `METRICS`, then all others."""
        present = dict.fromkeys(key for row in self.rows for key in row.metrics)
        known = [metric.key for metric in METRICS if metric.key in present]
        return (*known, *(key for key in present if key not in known))

    def by_subject(self, method: str, key: str) -> dict[str, float]:
        """Subject -> mean over the subject's cases; subjects without a number are left out."""
        values: dict[str, list[float]] = {}
        for row in self.rows:
            value = row.metrics.get(key, math.nan)
            if row.method == method and not math.isnan(value):
                values.setdefault(row.subject, []).append(value)
        return {subject: float(np.mean(numbers)) for subject, numbers in values.items()}

    def mean(self, method: str, key: str) -> float:
        """Mean over subjects, each counting once; nan if no subject has the metric."""
        values = list(self.by_subject(method, key).values())
        return float(np.mean(values)) if values else math.nan

    def interval(self, method: str, key: str) -> Interval | None:
        """95 % interval of the mean over subjects; None below two subjects."""
        return interval_of_mean(list(self.by_subject(method, key).values()))

    def advantage(self, method: str, key: str, over: str) -> tuple[float, Interval | None]:
        """Mean of the difference to another method, paired by subject, and its 95 % interval."""
        ours, theirs = self.by_subject(method, key), self.by_subject(over, key)
        differences = [ours[subject] - theirs[subject] for subject in ours if subject in theirs]
        mean = float(np.mean(differences)) if differences else math.nan
        return mean, interval_of_mean(differences)

    def to_csv(self) -> str:
        """A line per method and case, in full precision; an empty cell for a missing value."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("method", "case", "subject", *self.keys))
        for row in self.rows:
            cells = (_csv_cell(row.metrics.get(key, math.nan)) for key in self.keys)
            writer.writerow((row.method, row.case, row.subject, *cells))
        return text.getvalue()

    def labels_to_csv(self, names: Mapping[int, str] | None = None) -> str:
        """A line per method, case and label: voxels, means, standard deviations and distance."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(
            ("method", "case", "label", "name", "voxels", "real_mean", "synthetic_mean")
            + ("real_deviation", "synthetic_deviation", "deviation_ratio", "wasserstein")
        )
        for row in self.rows:
            for value, label in row.labels.items():
                numbers = (
                    label.real_mean,
                    label.synthetic_mean,
                    label.real_standard_deviation,
                    label.synthetic_standard_deviation,
                    label.standard_deviation_ratio,
                    label.wasserstein,
                )
                name = (names or {}).get(value, "")
                writer.writerow(
                    (row.method, row.case, value, name, label.num_voxels, *map(_csv_cell, numbers))
                )
        return text.getvalue()

    def to_json(self) -> str:
        """Means and intervals of each method, metrics of each case; infinity as text, no NaN."""
        summary = {
            method: {
                key: {
                    "mean": _json_number(self.mean(method, key)),
                    "interval_95": _json_interval(self.interval(method, key)),
                    "subjects": len(self.by_subject(method, key)),
                }
                for key in self.keys
            }
            for method in self.methods
        }
        cases = [
            {
                "method": row.method,
                "case": row.case,
                "subject": row.subject,
                "figures": {key: _json_number(value) for key, value in row.metrics.items()},
            }
            for row in self.rows
        ]
        sets = {
            method: {key: _json_number(value) for key, value in metrics.items()}
            for method, metrics in self.set_metrics.items()
        }
        content = {
            "num_subjects": self.num_subjects,
            "summary": summary,
            "sets": sets,
            "cases": cases,
        }
        return json.dumps(content, indent=2, allow_nan=False) + "\n"

    def to_text(self, keys: Sequence[str] | None = None) -> str:
        """A table for people: a line per method with means over subjects, and what is better."""
        metrics = [metric_named(key) for key in (keys or self.keys)]
        head = ["", *(f"{metric.title} {_ARROWS[metric.better]}".strip() for metric in metrics)]
        lines = [
            [method, *(_text_cell(self.mean(method, metric.key), metric) for metric in metrics)]
            for method in self.methods
        ]
        widths = [max(len(line[column]) for line in [head, *lines]) for column in range(len(head))]
        count = f"Mean over {self.num_subjects} subject{'s' if self.num_subjects != 1 else ''}."
        return "\n".join(
            [
                *(
                    "  ".join(
                        [
                            line[0].ljust(widths[0]),
                            *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True)),
                        ]
                    ).rstrip()
                    for line in [head, *lines]
                ),
                count + " ↑ higher is better, ↓ lower is better, →1 one is right.",
            ]
        )


def _text_cell(value: float, metric: Metric) -> str:
    return "-" if math.isnan(value) else f"{value:.{metric.decimals}f}"


def _csv_cell(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.8g}"


def _json_number(value: float) -> float | str | None:
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else str(value)


def _json_interval(interval: Interval | None) -> list[float | str | None] | None:
    return None if interval is None else [_json_number(interval.low), _json_number(interval.high)]
