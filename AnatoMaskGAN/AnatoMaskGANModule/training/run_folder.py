"""The files of a training that people look at: curves and sheets of pictures."""

import csv
import math
import pathlib
import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Curve:
    """A value over the steps."""

    name: str
    steps: tuple[int, ...]
    values: tuple[float, ...]
    isReference: bool = False
    """Whether it is something to compare with."""


class RunFolder:
    """The files of a run, read again when they have changed."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self._tables: dict[str, tuple[float, list[dict[str, str]]]] = {}

    def lossCurves(self) -> list[Curve]:
        """A curve for every loss."""
        from AnatoMaskGANLib.training.logs import NO_LOSSES

        rows = self._rows("log.csv")
        names = [name for name in (rows[0] if rows else ()) if name not in NO_LOSSES]
        return [curve for name in names if (curve := _curve(rows, name, name)).steps]

    def metricCurves(self, name: str) -> list[Curve]:
        """A metric on the held-out cases, and that of the label-mean image."""
        rows = self._rows("validation.csv")
        curves = [_curve(rows, name, "run")]
        curves.append(_curve(rows, f"label_mean_{name}", "label mean", isReference=True))
        return [curve for curve in curves if curve.steps]

    def sheets(self) -> dict[int, pathlib.Path]:
        """Step -> picture, by step."""
        found = {}
        for path in sorted((self.folder / "sheets").glob("step-*.png")):
            match = re.fullmatch(r"step-(\d+)", path.stem)
            if match:
                found[int(match[1])] = path
        return dict(sorted(found.items()))

    def checkpoints(self) -> list[str]:
        """The names of the checkpoints, among latest and best, that exist."""
        names = ("latest", "best")
        return [name for name in names if (self.folder / f"{name}.safetensors").is_file()]

    def _rows(self, name: str) -> list[dict[str, str]]:
        path = self.folder / name
        try:
            changed = path.stat().st_mtime
            if self._tables.get(name, (None,))[0] != changed:
                with open(path, newline="", encoding="utf-8") as file:
                    self._tables[name] = (changed, list(csv.DictReader(file)))
        except (OSError, csv.Error, UnicodeDecodeError):
            return []
        return self._tables[name][1]


def _curve(
    rows: Sequence[dict[str, str]], column: str, name: str, isReference: bool = False
) -> Curve:
    steps, values = [], []
    for row in rows:
        try:
            step, value = int(row["step"]), float(row[column])
        except (KeyError, TypeError, ValueError):
            continue  # a line that is being written, or a value that is not there
        if math.isfinite(value):
            steps.append(step)
            values.append(value)
    return Curve(name, tuple(steps), tuple(values), isReference)
