"""Plots of an evaluation: the metrics of every subject, the statistics of every label, and a map of
real and synthetic slices in two dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from AnatoMaskGANLib.evaluation.metrics.definitions import metric_named
from AnatoMaskGANLib.evaluation.metrics.label_intensities import (
    MINIMUM_VOXELS,
    STANDARD_DEVIATION_RATIO_RANGE,
)
from AnatoMaskGANLib.evaluation.packages import import_package
from AnatoMaskGANLib.evaluation.report.table import Table

SERIES_COLORS = ("#2563c9", "#d9622b", "#6b7280", "#18865b", "#8e44ad", "#b8860b", "#c2185b")
"""Color of the first, second, ... method."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
INK = "#22262b"
GRID = "#e3e6ea"
HEADLINE_KEYS = (
    *("psnr", "ssim", "ssim_foreground", "dz_ratio", "label_deviation_ratio", "lpips"),
    *("feature_distance", "dice_ratio", "dice"),
    *("psnr_lab", "edit_undone", "edit_found", "edit_dice", "edit_deviation_ratio"),
    "edit_step_ratio",
)
"""Metrics that get a panel of their own."""
LARGEST_SHOWN_RATIO = 2.2
"""Larger ratios are drawn at the edge of the plot: a misplaced anatomy has far larger ones."""


def subjects_figure(table: Table, keys: Sequence[str] = HEADLINE_KEYS) -> Figure:
    """A panel per metric: a row per method, a dot per subject, the mean with its 95 % interval."""
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
    """Standard deviation ratio and Wasserstein distance of every label, mean over subjects.

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
    ratio_panel.axvspan(*STANDARD_DEVIATION_RATIO_RANGE, color="#18865b", alpha=0.10, linewidth=0)
    ratio_panel.axvline(1.0, color=INK, linewidth=1, linestyle=(0, (3, 2)))
    for number, method in enumerate(table.methods):
        style: dict[str, Any] = {
            "color": SERIES_COLORS[number % len(SERIES_COLORS)],
            "marker": MARKERS[number % len(MARKERS)],
            "label": method,
            "s": 22,
            "alpha": 0.85,
            "linewidths": 0,
        }
        for panel, attribute in (
            (ratio_panel, "standard_deviation_ratio"),
            (distance_panel, "wasserstein"),
        ):
            means = [_mean_over_cases(table, method, value, attribute) for value in values]
            if panel is ratio_panel:
                means = [min(mean, LARGEST_SHOWN_RATIO) for mean in means]
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


def embed_features(features: np.ndarray, seed: int = 0) -> np.ndarray:
    """The feature vectors [N,D] as points [N,2], by t-SNE; the same seed gives the same map.

    Raises ValueError below five vectors.
    """
    if len(features) < 5:
        raise ValueError(
            f"An embedding needs at least 5 feature vectors, got {len(features)}. Use more slices."
        )
    manifold = import_package("sklearn.manifold", "The embedding plot")
    perplexity = min(30.0, (len(features) - 1) / 3)
    tsne = manifold.TSNE(perplexity=perplexity, init="pca", random_state=seed)
    return tsne.fit_transform(features.astype(np.float32))


def embedding_figure(features: Mapping[str, np.ndarray], seed: int = 0) -> Figure:
    """A t-SNE plot with a color and a marker per set.

    features: a set's name -> its feature vectors [N,D].
    """
    points = embed_features(np.concatenate(list(features.values())), seed)
    figure = Figure(figsize=(6.4, 5.2), layout="constrained")
    axes = figure.add_subplot()
    start = 0
    for number, (name, vectors) in enumerate(features.items()):
        part = points[start : start + len(vectors)]
        start += len(vectors)
        axes.scatter(
            part[:, 0],
            part[:, 1],
            s=16,
            color=SERIES_COLORS[number % len(SERIES_COLORS)],
            marker=MARKERS[number % len(MARKERS)],
            alpha=0.75,
            linewidths=0,
            label=f"{name} ({len(vectors)})",
        )
    plain_axes(axes)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel("t-SNE 1 (no unit: only neighborhoods mean something)")
    axes.set_ylabel("t-SNE 2")
    figure.legend(frameon=False, loc="outside lower center", ncols=3, fontsize=9)
    return figure


def plain_axes(axes: Axes) -> None:
    """Gives the axes the look that all plots share: a light grid, no box."""
    axes.set_axisbelow(True)
    axes.grid(color=GRID, linewidth=0.8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(GRID)
    axes.tick_params(colors=INK, labelsize=9, length=0)


def _mean_over_cases(table: Table, method: str, value: int, attribute: str) -> float:
    """Mean of one of the label's statistics over the cases in which the label is large enough."""
    numbers = [
        getattr(row.labels[value], attribute)
        for row in table.rows
        if row.method == method
        and value in row.labels
        and row.labels[value].num_voxels >= MINIMUM_VOXELS
    ]
    numbers = [number for number in numbers if math.isfinite(number)]
    return float(np.mean(numbers)) if numbers else math.nan
