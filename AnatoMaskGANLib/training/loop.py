"""The training loop: steps, log, checkpoints, validation, sheets, exact resume."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from AnatoMaskGANLib.config import SettingsError, settings_to_dict
from AnatoMaskGANLib.training.checkpoints import (
    BEST,
    LATEST,
    checkpoint_file,
    find_checkpoint,
    is_better,
)
from AnatoMaskGANLib.training.dashboards import Dashboards
from AnatoMaskGANLib.training.interrupts import Interrupts
from AnatoMaskGANLib.training.log_files import LossMeans, WideTable, draw_curves
from AnatoMaskGANLib.training.processes import Processes
from AnatoMaskGANLib.training.sample_pictures import write_sheet
from AnatoMaskGANLib.training.settings import TrainingSettings
from AnatoMaskGANLib.training.trainer import Trainer
from AnatoMaskGANLib.training.validation import Validator
from AnatoMaskGANLib.volumes.atomic_writing import write_bytes
from AnatoMaskGANLib.volumes.case_store import open_store

logger = logging.getLogger(__name__)

OnEvent = Callable[[dict[str, Any]], None]
"""Called with {"event": "start" | "step" | "checkpoint" | "validation" | "sheet" | "done", ...}."""


def train(
    settings: TrainingSettings,
    device: str = "cpu",
    on_event: OnEvent | None = None,
    resume_from: str = LATEST,
) -> Path:
    """Trains a run to its last step, from a checkpoint of its folder where there is one.

    Gives back the path of the last checkpoint. resume_from: "latest", "best" or a step's number;
    anything but "latest" must exist. Raises KeyboardInterrupt, with the last whole step saved, when
    Ctrl-C or SIGTERM comes.
    """
    processes = Processes(torch.device(device))
    if processes.count > 1 and settings.data.supervision == "semi":
        raise SettingsError(
            "semi draws batches without labels, in which some losses are absent, so processes "
            "would wait for each other; train semi in one process, with optimizer.accumulate"
        )
    trainer = Trainer(settings, open_store(Path(settings.data.store)), processes)
    validator = None
    if processes.is_first and settings.validation.every:  # may refuse: before anything is written
        validator = Validator(settings, trainer.store, trainer.objective.halo, trainer.device)
    folder = settings.folder
    folder.mkdir(parents=True, exist_ok=True)
    if resume_from != LATEST or checkpoint_file(folder, LATEST).exists():
        trainer.resume(find_checkpoint(folder, resume_from))
        logger.info("continuing from step %d (%s)", trainer.step, resume_from)
    run = _Run(trainer, validator, on_event if processes.is_first else None)
    return run.to_the_end()


class _Run:
    """What happens around the steps; only the first process writes."""

    def __init__(
        self, trainer: Trainer, validator: Validator | None, on_event: OnEvent | None
    ) -> None:
        self.trainer = trainer
        self.validator = validator
        self.settings = trainer.settings
        self.folder = trainer.settings.folder
        self.is_first = trainer.processes.is_first
        self._tell = on_event or (lambda event: None)
        self._means = LossMeans()
        if not self.is_first:
            return
        text = json.dumps(settings_to_dict(self.settings), indent=1)
        write_bytes(self.folder / "settings.json", ".json", text.encode)
        step = trainer.step
        self.log = WideTable(self.folder / "log.csv", step)
        self.figures = WideTable(self.folder / "validation.csv", step)
        self.boards = Dashboards(self.settings, step)

    def to_the_end(self) -> Path:
        """Runs the steps that are left; gives back the last checkpoint."""
        trainer, steps = self.trainer, self.settings.optimizer.steps
        self._tell({"event": "start", "step": trainer.step, "steps": steps})
        with Interrupts() as interrupts:
            is_stopped = False
            while trainer.step < steps and not is_stopped:
                losses = trainer.train_step()
                if self.is_first:
                    self._after_step(losses, steps)
                is_stopped = trainer.processes.any(interrupts.came)
        trainer.sampler.close()
        latest = checkpoint_file(self.folder, LATEST)
        if self.is_first:
            self._save(latest)
            self._draw_curves()
            self.boards.close()
        if is_stopped:
            raise KeyboardInterrupt
        self._tell({"event": "done", "step": trainer.step, "checkpoint": str(latest)})
        return latest

    def _after_step(self, losses: dict[str, float], steps: int) -> None:
        trainer, settings, step = self.trainer, self.settings, self.trainer.step
        self._means.add({**losses, "data_seconds": trainer.data_seconds})
        self._tell(
            {
                "event": "step",
                "step": step,
                "steps": steps,
                "seconds": round(trainer.seconds, 3),
                "losses": losses,
            }
        )
        if step % settings.log_every == 0:
            rate = trainer.optimizers["generator"].param_groups[0]["lr"]
            values = {"seconds": trainer.seconds, "lr_generator": rate, **self._means.take()}
            self.log.add(step, values)
            self.boards.add(step, values)
        # Validation first: its best figure belongs into the checkpoint of the same step.
        if self.validator is not None and step % settings.validation.every == 0:
            self._validate()
        if step % settings.checkpoint_every == 0:
            self._save(checkpoint_file(self.folder, LATEST))
        if settings.keep_every and step % settings.keep_every == 0:
            self._save(checkpoint_file(self.folder, step))
        if settings.sheet_every and step % settings.sheet_every == 0:
            sheet = self.folder / "sheets" / f"step-{step:07d}.png"
            write_sheet(trainer, sheet)
            self._draw_curves()
            self._tell({"event": "sheet", "step": step, "path": str(sheet)})

    def _save(self, path: Path) -> None:
        self.trainer.save(path)
        self._tell({"event": "checkpoint", "step": self.trainer.step, "path": str(path)})

    def _validate(self) -> None:
        trainer, step = self.trainer, self.trainer.step
        figures = self.validator.measure(trainer.ema)
        if not figures:
            return
        self.figures.add(step, figures)
        self.boards.add(step, {f"validation/{name}": value for name, value in figures.items()})
        self._tell({"event": "validation", "step": step, "figures": figures})
        name = self.settings.validation.select_by
        best = trainer.best.get("value") if trainer.best.get("figure") == name else None
        if is_better(name, figures.get(name, math.nan), best):
            trainer.best = {"figure": name, "value": figures[name], "step": step}
            self._save(checkpoint_file(self.folder, BEST))

    def _draw_curves(self) -> None:
        draw_curves(self.log, self.figures, self.folder / "curves.png")
