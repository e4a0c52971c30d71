"""Plots of a table: the figures of every subject, and the statistics of every label."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from AnatoMaskGANLib.evaluation.label_statistics import DEVIATION_RANGE, MINIMUM_VOXELS
from AnatoMaskGANLib.evaluation.metrics import metric_named
from AnatoMaskGANLib.evaluation.plot_style import INK, MARKERS, SERIES_COLORS, plain_axes
from AnatoMaskGANLib.evaluation.table import Table

HEADLINE_KEYS = ("psnr", "ssim", "ssim_foreground", "dz_ratio", "label_deviation_ratio", "lpips")
HEADLINE_KEYS += ("feature_distance", "dice_ratio", "dice")
LARGEST_SHOWN_RATIO = 2.2
"""Deviation ratios beyond it stand at the edge of the plot: a misplaced anatomy has far more."""


def subjects_figure(table: Table, keys: Sequence[str] = HEADLINE_KEYS) -> Figure:
    """A panel a figure: each method a row, a dot a subject, the mean with its 95 % interval."""
    keys = [key for key in keys if key in table.keys]
    columns = min(len(keys), 3)
    rows = math.ceil(len(keys) / columns)
    height = rows * (0.75 + 0.34 * len(table.methods))
    figure = Figure(figsize=(3.3 * columns + 1.4, height), layout="constrained")
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for panel, key in zip(panels, keys, strict=False):
        shown = metric_named(key)
        plain_axes(panel)
        panel.grid(axis="y", visible=False)
        if shown.better == "one":
            panel.axvline(1.0, color=INK, linewidth=1, linestyle=(0, (3, 2)))
        for number, method in enumerate(table.methods):
            color = SERIES_COLORS[number % len(SERIES_COLORS)]
            values = [v for v in table.by_subject(method, key).values() if math.isfinite(v)]
            if not values:
                continue
            interval = table.interval(method, key)
            if interval is not None:
                ends = [interval.low, interval.high]
                panel.plot(ends, [number, number], color=color, linewidth=2.5, zorder=2)
            panel.scatter(values, [number] * len(values), s=14, color=color, alpha=0.45, zorder=3)
            panel.scatter(
                [np.mean(values)], [number], s=46, color=color, edgecolor="white", zorder=4
            )
        way = {"higher": "higher is better", "lower": "lower is better", "one": "1 is right"}
        panel.set_title(f"{shown.title}  ({way[shown.better]})", fontsize=9.5, color=INK)
    for panel in panels[len(keys) :]:
        panel.set_visible(False)
    panels[0].set_yticks(range(len(table.methods)), table.methods)
    panels[0].set_ylim(len(table.methods) - 0.5, -0.5)
    return figure


def labels_figure(table: Table, names: Mapping[int, str] | None = None) -> Figure:
    """The deviation ratio and the Wasserstein distance of every label, mean over subjects.

    Labels below 500 voxels in a case are left out, as in the means of the table.
    """
    values = sorted(
        {
            value
            for row in table.rows
            for value, label in row.labels.items()
            if label.num_voxels >= MINIMUM_VOXELS
        }
    )
    figure = Figure(figsize=(9.6, 1.0 + 0.22 * max(len(values), 4)), layout="constrained")
    ratio_panel, distance_panel = figure.subplots(1, 2, sharey=True)
    ratio_panel.axvspan(*DEVIATION_RANGE, color="#18865b", alpha=0.10, linewidth=0)
    ratio_panel.axvline(1.0, color=INK, linewidth=1, linestyle=(0, (3, 2)))
    for number, method in enumerate(table.methods):
        style = {
            "color": SERIES_COLORS[number % len(SERIES_COLORS)],
            "marker": MARKERS[number % len(MARKERS)],
            "label": method,
            "s": 22,
            "alpha": 0.85,
            "linewidths": 0,
        }
        for panel, attribute in (
            (ratio_panel, "deviation_ratio"),
            (distance_panel, "wasserstein"),
        ):
            means = [_mean_over_cases(table, method, value, attribute) for value in values]
            if panel is ratio_panel:
                means = np.minimum(means, LARGEST_SHOWN_RATIO)
            panel.scatter(means, range(len(values)), **style)
    for panel in (ratio_panel, distance_panel):
        plain_axes(panel)
    titles = [(names or {}).get(value, f"label {value}") for value in values]
    ratio_panel.set_yticks(range(len(values)), titles, fontsize=7.5)
    ratio_panel.set_ylim(len(values) - 0.5, -0.5)
    ratio_panel.set_xlim(-0.05, LARGEST_SHOWN_RATIO + 0.05)
    ratio_panel.set_title(
        "Standard deviation, synthetic over real  (1 is right)", fontsize=9.5, color=INK
    )
    distance_panel.set_title("Wasserstein distance in [0,1]  (lower is better)", fontsize=9.5)
    distance_panel.set_xlim(left=0)
    handles, labels = ratio_panel.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=8.5)
    return figure


def _mean_over_cases(table: Table, method: str, value: int, attribute: str) -> float:
    numbers = [
        getattr(row.labels[value], attribute)
        for row in table.rows
        if row.method == method
        and value in row.labels
        and row.labels[value].num_voxels >= MINIMUM_VOXELS
    ]
    numbers = [number for number in numbers if math.isfinite(number)]
    return float(np.mean(numbers)) if numbers else math.nan
