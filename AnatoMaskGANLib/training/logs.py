"""Reports of a run: tables as CSV with their curves as PNG, TensorBoard, Weights & Biases."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from AnatoMaskGANLib.config import settings_to_dict
from AnatoMaskGANLib.training.settings import TrainingSettings
from AnatoMaskGANLib.volumes.atomic_writing import write_bytes

NO_LOSSES = ("step", "seconds", "lr_generator", "data_seconds")
"""Columns of log.csv that are no losses."""
SHOWN_METRICS = (
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

logger = logging.getLogger(__name__)


class WideTable:
    """A CSV file with the column `step` and one for every value.

    When a run goes on from an earlier step, the lines of later steps are dropped.
    """

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        self.columns = ["step"]
        self.rows: list[dict[str, str]] = []
        if path.exists():
            with open(path, newline="") as file:
                reader = csv.DictReader(file)
                names = list(reader.fieldnames or [])
                if names[:1] == ["step"] and "name" not in names:
                    self.columns = names
                    self.rows = [row for row in reader if int(row["step"]) <= step]
        self._rewrite()

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Appends a line; a new name becomes a column that is empty in the lines before."""
        row = {"step": str(step), **{name: f"{value:.6g}" for name, value in values.items()}}
        self.rows.append(row)
        if any(name not in self.columns for name in row):
            self.columns += [name for name in row if name not in self.columns]
            self._rewrite()
            return
        with open(self.path, "a", newline="") as file:
            csv.DictWriter(file, self.columns).writerow(row)

    def column(self, name: str) -> tuple[list[int], list[float]]:
        """Steps and values of the lines in which the column has a value."""
        filled = [row for row in self.rows if row.get(name)]
        return [int(row["step"]) for row in filled], [float(row[name]) for row in filled]

    def _rewrite(self) -> None:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self.columns)
        writer.writeheader()
        writer.writerows(self.rows)
        write_bytes(self.path, ".csv", lambda: text.getvalue().encode())


class LossMeans:
    """Means of the losses since the last line of the log."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    def add(self, values: Mapping[str, float]) -> None:
        """Counts one step."""
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
            self._counts[name] = self._counts.get(name, 0) + 1

    def take(self) -> dict[str, float]:
        """Returns the means, and starts counting again."""
        means = {name: total / self._counts[name] for name, total in self._sums.items()}
        self._sums, self._counts = {}, {}
        return means


def draw_curves(log: WideTable, validation: WideTable, path: Path) -> None:
    """Writes a PNG: all losses in one plot, and a plot for each of the shown metrics.

    Each metric has the label-mean image's curve next to the run's.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    losses = [name for name in log.columns if name not in NO_LOSSES]
    shown = [name for name in SHOWN_METRICS if validation.column(name)[0]]
    plots = {"losses": {name: log.column(name) for name in losses}}
    for name in shown:
        columns = {"run": name, "label mean": f"label_mean_{name}"}
        plots[name] = {title: validation.column(column) for title, column in columns.items()}
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


class Dashboards:
    """TensorBoard where it is installed, Weights & Biases where the settings ask for it."""

    def __init__(self, settings: TrainingSettings, step: int) -> None:
        self._writer = _tensorboard_writer(settings, step) if settings.tensorboard else None
        self._run = _wandb_run(settings) if settings.wandb_project else None

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Adds the numbers of a step."""
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)
            self._writer.flush()
        if self._run is not None:
            self._run.log(dict(values), step=step)

    def close(self) -> None:
        """Writes what is left."""
        if self._writer is not None:
            self._writer.close()
        if self._run is not None:
            self._run.finish()


def _tensorboard_writer(settings: TrainingSettings, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        logger.info("TensorBoard is not installed; log.csv and curves.png are still written")
        return None
    return SummaryWriter(str(settings.folder / "tensorboard"), purge_step=step + 1)


def _wandb_run(settings: TrainingSettings) -> Any:
    try:
        import wandb
    except ImportError as error:
        raise ImportError(
            f"wandb_project is {settings.wandb_project!r}, but wandb is not installed; pip install "
            "wandb, or leave wandb_project out"
        ) from error
    return wandb.init(
        project=settings.wandb_project,
        dir=str(settings.folder),
        config=settings_to_dict(settings),
        resume="allow",
        id=settings.folder.name,
    )
