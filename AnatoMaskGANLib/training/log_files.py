"""Tables of a run as CSV, one line a step, and their curves as PNG."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from AnatoMaskGANLib.volumes.atomic_writing import write_bytes


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


def draw_curves(tables: Mapping[str, WideTable], path: Path) -> None:
    """Writes a PNG with one small plot for every column of the tables."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    curves = [
        (f"{title}: {name}", *table.column(name))
        for title, table in tables.items()
        for name in table.columns[1:]
        if table.column(name)[0]
    ]
    if not curves:
        return
    width = 4
    height = -(-len(curves) // width)
    figure, axes = pyplot.subplots(
        height, width, figsize=(3.4 * width, 2.4 * height), squeeze=False
    )
    for axis, (title, steps, values) in zip(axes.flat, curves, strict=False):
        axis.plot(steps, values, linewidth=1, marker="." if len(steps) < 30 else "")
        axis.set_title(title, fontsize=8)
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.3)
    for axis in axes.flat[len(curves) :]:
        axis.axis("off")
    figure.tight_layout()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=90)
    pyplot.close(figure)
    write_bytes(path, ".png", buffer.getvalue)
