"""The page of a report: one HTML file that needs nothing else, and its metrics as data."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Plot

from AnatoMaskGANLib.evaluation.edit_suite import TRUTH, UNEDITED
from AnatoMaskGANLib.evaluation.metrics.definitions import Metric, goodness, metric_named
from AnatoMaskGANLib.evaluation.metrics.label_intensities import (
    MINIMUM_VOXELS,
    STANDARD_DEVIATION_RATIO_RANGE,
)
from AnatoMaskGANLib.evaluation.metrics.slice_sets import TRAINING
from AnatoMaskGANLib.evaluation.report.plots import (
    LARGEST_SHOWN_RATIO,
    labels_figure,
    subjects_figure,
)
from AnatoMaskGANLib.evaluation.report.table import Interval, Table
from AnatoMaskGANLib.volumes.atomic_writing import write_bytes

FEW_SUBJECTS = 10
LEVELS = (TRAINING, TRUTH, UNEDITED)
"""Rows that are a level to compare with and never the best method: real scans."""

BLUR_NOTE = (
    "PSNR and SSIM reward blur, and their values depend on the intensity window and on "
    "the fraction of empty background. Compare them with those of the label-mean image, "
    "which knows only the training mean of each label, and with the ratios, which blur "
    "cannot improve."
)

STYLE = """
:root { color-scheme: light dark; --ink: #22262b; --faint: #5d6670; --line: #dfe3e8;
  --paper: #ffffff; --panel: #f5f7f9; --mark: #e4f3ea; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8eaed; --faint: #a3acb6; --line: #343a42;
  --paper: #15181d; --panel: #1d2127; --mark: #1d3b2c; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 1180px; margin: 2rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.6rem; margin-bottom: .2rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
p.note, dl, figcaption, .faint { color: var(--faint); }
div.box { background: var(--panel); border-left: 4px solid #2563c9; padding: .7rem 1rem; }
div.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .88rem; }
th, td { padding: .35rem .7rem; border-bottom: 1px solid var(--line); text-align: right;
  white-space: nowrap; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0;
  background: var(--paper); }
table.settings td { white-space: normal; text-align: left; overflow-wrap: anywhere; }
td.best { background: var(--mark); font-weight: 600; }
td span { display: block; color: var(--faint); font-size: .78rem; font-weight: 400; }
figure { margin: 1.2rem 0; } img { max-width: 100%; border-radius: 6px; }
img.plot { background: #ffffff; }
dt { font-weight: 600; color: var(--ink); } dd { margin: 0 0 .4rem 1rem; }
"""


@dataclass(frozen=True)
class ReportContents:
    """The parts of a report around its table."""

    title: str = "Evaluation"
    baseline: str | None = None
    """Method with which the others are compared, subject by subject."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """What was evaluated: model, hash, seed, command."""
    notes: Sequence[str] = ()
    """Notes on what was left out, and why."""
    label_names: Mapping[int, str] = field(default_factory=dict)
    pictures: Mapping[str, Path] = field(default_factory=dict)
    """Caption -> PNG file; the picture itself goes into the report."""
    plots: Mapping[str, Plot] = field(default_factory=dict)
    """Caption -> a further plot."""


def write_report(folder: str | Path, table: Table, contents: ReportContents) -> Path:
    """Writes report.html with its data, and returns the report's path.

    The data are figures.csv, figures.json, and labels.csv if labels were measured. Each file is
    either the old one or whole.
    """
    folder = Path(folder)
    files = {
        "figures.csv": table.to_csv(),
        "figures.json": table.to_json(),
        "report.html": report_html(table, contents),
    }
    if any(row.labels for row in table.rows):
        files["labels.csv"] = table.labels_to_csv(contents.label_names)
    for name, text in files.items():
        path = folder / name
        write_bytes(path, path.suffix, text.encode)
    return folder / "report.html"


def report_html(table: Table, contents: ReportContents) -> str:
    """The report as one HTML document."""
    baseline, title = contents.baseline, contents.title
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p class=faint>{_count(table.num_subjects, 'subject')}, "
        f"{_count(len({row.case for row in table.rows if row.method != TRAINING}), 'case')}, "
        f"{_count(len(table.methods), 'method')}</p>",
        _box(table, contents.notes),
        "<h2>Metrics</h2>",
        _means_table(table),
        "<p class=note>Mean over subjects; below it the 95 % interval, subjects drawn again "
        "(bootstrap). The best of each line is marked. &uarr; higher is better, "
        "&darr; lower is better, &rarr;1 one is right.</p>",
    ]
    if baseline is not None and baseline in table.methods and len(table.methods) > 1:
        parts += [
            f"<h2>Over {escape(baseline)}</h2>",
            _advantage_table(table, baseline),
            "<p class=note>Difference of the metrics, paired by subject, with its 95 % "
            "interval.</p>",
        ]
    if table.set_metrics:
        parts += [
            "<h2>Sets of images</h2>",
            _sets_table(table),
            "<p class=note>All compared slices together. Values are comparable only for "
            "the same extractor and the same number of images; the row of real training "
            "images shows what real images of other people reach.</p>",
        ]
    parts.append("<h2>Every subject</h2>")
    parts.append(_embedded_plot(subjects_figure(table), "Dots: subjects. Bars: 95 % intervals."))
    if any(row.labels for row in table.rows):
        parts.append("<h2>Every label</h2>")
        caption = (
            "Labels of at least 500 voxels, mean over cases. Shaded: 0.8 to 1.2; ratios "
            f"above {LARGEST_SHOWN_RATIO:g} are drawn at the edge."
        )
        parts.append(_embedded_plot(labels_figure(table, contents.label_names), caption))
        parts += [
            _labels_table(table, contents.label_names),
            "<p class=note>Standard deviation inside the label, synthetic over real: mean "
            "over cases, below it the smallest and the largest. Outside 0.8 to 1.2 in "
            "italics. Real scans of other people, where they are shown, are the level to "
            "compare with: an image made from labels alone cannot know how much a "
            "person's tissue varies.</p>",
        ]
    for caption, plot in contents.plots.items():
        parts += [f"<h2>{escape(caption)}</h2>", _embedded_plot(plot, "")]
    if contents.pictures:
        parts.append("<h2>Pictures</h2>")
        parts += [
            _embedded_png(path.read_bytes(), caption) for caption, path in contents.pictures.items()
        ]
    parts.append(_definitions(table))
    if contents.settings:
        rows = "".join(
            f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>"
            for name, value in contents.settings.items()
        )
        parts.append(f"<h2>What was evaluated</h2><table class=settings>{rows}</table>")
    body = "\n".join(parts)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body>\n{body}\n"
        "</body></html>\n"
    )


def _box(table: Table, notes: Sequence[str]) -> str:
    lines = [*([BLUR_NOTE] if "psnr" in table.keys else []), *notes]
    if table.num_subjects < FEW_SUBJECTS:
        lines.append(
            f"With {_count(table.num_subjects, 'subject')} the intervals are too narrow: small "
            "differences between methods may be chance."
        )
    return "<div class=box>" + "".join(f"<p>{escape(line)}</p>" for line in lines) + "</div>"


def _means_table(table: Table) -> str:
    lines = []
    for metric in map(metric_named, table.keys):
        means = [table.mean(method, metric.key) for method in table.methods]
        merits = [
            math.nan if method in LEVELS else goodness(metric, mean)
            for method, mean in zip(table.methods, means, strict=True)
        ]
        ranked = [merit for merit in merits if not math.isnan(merit)]
        best = max(ranked) if len(ranked) > 1 else math.nan
        cells = [
            _cell(mean, table.interval(method, metric.key), metric, merit == best)
            for method, mean, merit in zip(table.methods, means, merits, strict=True)
        ]
        lines.append((metric, cells))
    return _html_table(table.methods, lines)


def _advantage_table(table: Table, baseline: str) -> str:
    others = [method for method in table.methods if method != baseline]
    lines = []
    for metric in map(metric_named, table.keys):
        if metric.better in ("higher", "lower"):
            found = [table.advantage(method, metric.key, baseline) for method in others]
            if all(math.isnan(mean) for mean, _ in found):
                continue  # the baseline has no such metric, as with diversity
            cells = [_cell(mean, interval, metric, signed=True) for mean, interval in found]
            lines.append((metric, cells))
    return _html_table(others, lines)


def _labels_table(table: Table, names: Mapping[int, str]) -> str:
    """The ratio of standard deviations of every label of at least 500 voxels, a line per label."""
    low, high = STANDARD_DEVIATION_RATIO_RANGE
    found: dict[int, dict[str, list[float]]] = {}
    for row in table.rows:
        for value, label in row.labels.items():
            ratio = label.standard_deviation_ratio
            if label.num_voxels >= MINIMUM_VOXELS and math.isfinite(ratio):
                found.setdefault(value, {}).setdefault(row.method, []).append(ratio)
    head = "".join(f"<th>{escape(method)}</th>" for method in table.methods)
    lines = []
    for value, by_method in sorted(found.items()):
        cells = []
        for method in table.methods:
            ratios = by_method.get(method, [])
            if not ratios:
                cells.append("<td>&ndash;</td>")
                continue
            mean = sum(ratios) / len(ratios)
            text = f"{mean:.2f}" if low <= mean <= high else f"<i>{mean:.2f}</i>"
            span = f"<span>{min(ratios):.2f} to {max(ratios):.2f}</span>" if len(ratios) > 1 else ""
            cells.append(f"<td>{text}{span}</td>")
        title = escape(names.get(value, f"label {value}"))
        lines.append(f"<tr><td>{title}</td>{''.join(cells)}</tr>")
    return (
        f"<div class=scroll><table><thead><tr><th></th>{head}</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _sets_table(table: Table) -> str:
    keys = dict.fromkeys(key for metrics in table.set_metrics.values() for key in metrics)
    lines = []
    for metric in map(metric_named, keys):
        found = [metrics.get(metric.key, math.nan) for metrics in table.set_metrics.values()]
        lines.append((metric, [_cell(value, None, metric) for value in found]))
    return _html_table(list(table.set_metrics), lines)


def _html_table(heads: Sequence[str], lines: Sequence[tuple[Metric, list[str]]]) -> str:
    """A line per metric, a column per method."""
    arrows = {"higher": " &uarr;", "lower": " &darr;", "one": " &rarr;1", "none": ""}
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    rows = "".join(
        f'<tr><td title="{escape(metric.meaning)}">{escape(metric.title)}{arrows[metric.better]}'
        f"</td>{''.join(cells)}</tr>"
        for metric, cells in lines
    )
    return (
        f"<div class=scroll><table><thead><tr><th></th>{head}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div>"
    )


def _cell(
    value: float,
    interval: Interval | None,
    metric: Metric,
    is_best: bool = False,
    signed: bool = False,
) -> str:
    if not math.isfinite(value):
        return f"<td>{'&infin;' if value == math.inf else '&ndash;'}</td>"
    form = f"{'+' if signed else ''}.{metric.decimals}f"
    below = ""
    if interval is not None:
        below = f"<span>{interval.low:{form}} to {interval.high:{form}}</span>"
    return f"<td{' class=best' if is_best else ''}>{value:{form}}{below}</td>"


def _definitions(table: Table) -> str:
    keys = [*table.keys, *dict.fromkeys(k for found in table.set_metrics.values() for k in found)]
    entries = "".join(
        f"<dt>{escape(metric.title)}</dt><dd>{escape(metric.meaning)}</dd>"
        for metric in map(metric_named, keys)
        if metric.meaning
    )
    return f"<h2>What the metrics mean</h2><dl>{entries}</dl>"


def _embedded_plot(plot: Plot, caption: str) -> str:
    FigureCanvasAgg(plot)
    png = io.BytesIO()
    plot.savefig(png, format="png", dpi=130, facecolor="white")
    return _embedded_png(png.getvalue(), caption, "plot")


def _embedded_png(content: bytes, caption: str, kind: str = "picture") -> str:
    data = base64.b64encode(content).decode("ascii")
    text = escape(caption)
    return (
        f'<figure><img class="{kind}" alt="{text}" src="data:image/png;base64,{data}">'
        f"<figcaption>{text}</figcaption></figure>"
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
