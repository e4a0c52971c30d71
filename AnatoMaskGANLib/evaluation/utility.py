"""Measures how useful synthetic images are for training: Dice of a segmenter trained on them."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from AnatoMaskGANLib.evaluation.metrics.faithfulness import mean_of_labels
from AnatoMaskGANLib.evaluation.report.plots import INK, MARKERS, SERIES_COLORS, plain_axes
from AnatoMaskGANLib.evaluation.report.table import Row, Table


@dataclass(frozen=True)
class UtilityRun:
    """The Dice that one trained segmenter reached on held-out real images."""

    source: str
    """The images that it was trained on: real, synthetic, both or gaussian."""
    num_subjects: int
    """Real subjects whose label maps, and scans for `real`, it learned from."""
    seed: int
    dice: Mapping[str, Mapping[int, float]]
    """Held-out case -> label -> Dice."""

    @property
    def mean_dice(self) -> float:
        """Mean over cases of the mean over each case's labels."""
        return float(np.mean([mean_of_labels(labels) for labels in self.dice.values()]))


@dataclass(frozen=True)
class UtilityTable:
    """All runs of an experiment."""

    runs: tuple[UtilityRun, ...]
    subject_of: Mapping[str, str]
    """Held-out case -> the person it belongs to."""

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources in the order of the runs."""
        return tuple(dict.fromkeys(run.source for run in self.runs))

    @property
    def sizes(self) -> tuple[int, ...]:
        """The numbers of real subjects, ascending."""
        return tuple(sorted({run.num_subjects for run in self.runs}))

    def over_seeds(self, source: str, size: int) -> tuple[float, float, int]:
        """Mean and standard deviation (n - 1) over seeds of the mean Dice, and the number of seeds.

        The standard deviation of one seed is nan.
        """
        found = [
            run.mean_dice for run in self.runs if (run.source, run.num_subjects) == (source, size)
        ]
        spread = float(np.std(found, ddof=1)) if len(found) > 1 else float("nan")
        return float(np.mean(found)) if found else float("nan"), spread, len(found)

    def to_text(self) -> str:
        """Mean Dice +- standard deviation over seeds: a line per source, a column per size."""
        head = ["Dice", *(f"{size} subject{'s' if size != 1 else ''}" for size in self.sizes)]
        lines = [
            [source, *(self._cell(source, size) for size in self.sizes)] for source in self.sources
        ]
        widths = [max(len(line[n]) for line in [head, *lines]) for n in range(len(head))]
        padded = [
            [cell.rjust(width) if n else cell.ljust(width) for n, (cell, width) in enumerate(cells)]
            for cells in (list(zip(line, widths, strict=True)) for line in [head, *lines])
        ]
        return "\n".join("  ".join(cells).rstrip() for cells in padded)

    def _cell(self, source: str, size: int) -> str:
        mean, spread, count = self.over_seeds(source, size)
        if not count:
            return "-"
        return f"{mean:.4f}" + (f" ± {spread:.4f}" if count > 1 else "")

    def to_csv(self, names: Mapping[int, str] | None = None) -> str:
        """A line per run, held-out case and label."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("source", "real_subjects", "seed", "case", "label", "name", "dice"))
        for run in self.runs:
            for case, labels in run.dice.items():
                for value, dice in labels.items():
                    name = (names or {}).get(value, "")
                    writer.writerow(
                        (run.source, run.num_subjects, run.seed, case, value, name, f"{dice:.6f}")
                    )
        return text.getvalue()

    def as_table(self) -> Table:
        """The same for a report: a method per source and size, a row per seed and held-out case.

        Its intervals are over held-out persons; `to_text` and the plot show how much the seed of
        training matters.
        """
        rows = [
            Row(
                f"{run.source}, {run.num_subjects}",
                f"{case}, seed {run.seed}",
                self.subject_of[case],
                {"dice": mean_of_labels(labels)},
            )
            for run in sorted(self.runs, key=self._order)
            for case, labels in run.dice.items()
        ]
        return Table(tuple(rows))

    def _order(self, run: UtilityRun) -> tuple[int, int, int]:
        return self.sources.index(run.source), run.num_subjects, run.seed

    def figure(self) -> Figure:
        """Dice against the number of real subjects: a line per source, a dot per seed."""
        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        axes = figure.add_subplot()
        for number, source in enumerate(self.sources):
            color, marker = SERIES_COLORS[number % 7], MARKERS[number % 7]
            own = [run for run in self.runs if run.source == source]
            sizes = sorted({run.num_subjects for run in own})
            means = [self.over_seeds(source, size)[0] for size in sizes]
            axes.plot(sizes, means, color=color, marker=marker, linewidth=1.6, label=source)
            axes.scatter(
                [run.num_subjects for run in own],
                [run.mean_dice for run in own],
                color=color,
                s=14,
                alpha=0.45,
                linewidths=0,
            )
        plain_axes(axes)
        axes.set_xticks(self.sizes)
        axes.set_xlabel("number of real subjects whose label maps were used", color=INK)
        axes.set_ylabel("mean Dice on held-out real images", color=INK)
        figure.legend(frameon=False, loc="outside lower center", ncols=4, fontsize=9)
        return figure
