"""Tables of a run as CSV, one line a step, and their curves as PNG."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from AnatoMaskGANLib.volumes.atomic_writing import write_bytes

NO_LOSSES = ("seconds", "lr_generator", "data_seconds")
"""Columns of log.csv that are no losses."""
SHOWN_FIGURES = (
    "psnr",
    "ssim",
    "dz_ratio",
    "label_deviation_ratio",
    "dice",
    "fid",
    "kid",
    "lpips",
)
"""Columns of validation.csv that are drawn."""


class WideTable:
    """A CSV file with the column `step` and one for every value; lines of later steps are dropped
    when a run goes on from an earlier one.
    """

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        self.columns = ["step"]
        self.rows: list[dict[str, str]] = []
        if path.exists():
            with open(path, newline="") as file:
                reader = csv.DictReader(file)
                if (reader.fieldnames or [""])[0] == "step" and "name" not in reader.fieldnames:
                    self.columns = list(reader.fieldnames)
                    self.rows = [row for row in reader if int(row["step"]) <= step]
        self._rewrite()

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Appends a line; a name that is new becomes a column, empty in the lines before."""
        row = {"step": str(step), **{name: f"{value:.6g}" for name, value in values.items()}}
        self.rows.append(row)
        if any(name not in self.columns for name in row):
            self.columns += [name for name in row if name not in self.columns]
            self._rewrite()
            return
        with open(self.path, "a", newline="") as file:
            csv.DictWriter(file, self.columns).writerow(row)

    def column(self, name: str) -> tuple[list[int], list[float]]:
        """Steps and values of a column where it has any."""
        filled = [row for row in self.rows if row.get(name)]
        return [int(row["step"]) for row in filled], [float(row[name]) for row in filled]

    def _rewrite(self) -> None:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self.columns)
        writer.writeheader()
        writer.writerows(self.rows)
        write_bytes(self.path, ".csv", lambda: text.getvalue().encode())


class LossMeans:
    """Means of the losses since the last line."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    def add(self, values: Mapping[str, float]) -> None:
        """Counts one step."""
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
            self._counts[name] = self._counts.get(name, 0) + 1

    def take(self) -> dict[str, float]:
        """The means; counting starts anew."""
        means = {name: total / self._counts[name] for name, total in self._sums.items()}
        self._sums, self._counts = {}, {}
        return means


def draw_curves(log: WideTable, figures: WideTable, path: Path) -> None:
    """Writes a PNG: all losses in one plot, and one for each of the figures that tell most, beside
    the label-mean image's.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    losses = [name for name in log.columns[1:] if name not in NO_LOSSES]
    shown = [name for name in SHOWN_FIGURES if figures.column(name)[0]]
    plots = {"losses": {name: log.column(name) for name in losses}}
    for name in shown:
        beside = {"run": name, "label mean": f"label_mean_{name}"}
        plots[name] = {title: figures.column(column) for title, column in beside.items()}
    figure, axes = pyplot.subplots(1, len(plots), figsize=(4 * len(plots), 3.4), squeeze=False)
    for axis, (title, curves) in zip(axes.flat, plots.items(), strict=True):
        for name, (steps, values) in curves.items():
            if steps:
                axis.plot(steps, values, linewidth=1, marker="." * (len(steps) < 30), label=name)
        axis.set_title(title, fontsize=9)
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.3)
        if axis.lines:
            axis.legend(fontsize=6)
    axes[0, 0].set_yscale("symlog", linthresh=0.01)  # a generator's hinge loss may be negative
    figure.subplots_adjust(0.04, 0.08, 0.99, 0.92)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=90)
    pyplot.close(figure)
    write_bytes(path, ".png", buffer.getvalue)
