"""The training loop: steps, log, checkpoints, validation, picture sheets, exact resume."""

from __future__ import annotations

import json
import logging
import math
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import torch

from AnatoMaskGANLib.config import SettingsError, settings_to_dict
from AnatoMaskGANLib.training.checkpoints import (
    BEST,
    LATEST,
    BestCheckpoint,
    checkpoint_file,
    find_checkpoint,
    is_better,
)
from AnatoMaskGANLib.training.logs import Dashboards, LossMeans, WideTable, draw_curves
from AnatoMaskGANLib.training.processes import Processes
from AnatoMaskGANLib.training.sample_pictures import write_sheet
from AnatoMaskGANLib.training.settings import TrainingSettings
from AnatoMaskGANLib.training.trainer import Trainer
from AnatoMaskGANLib.training.validation import Validator
from AnatoMaskGANLib.volumes.atomic_writing import write_bytes
from AnatoMaskGANLib.volumes.case_store import open_store

logger = logging.getLogger(__name__)

# Windows has no SIGHUP, which comes when a connection is gone.
_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)

_Handler = Callable[[int, FrameType | None], Any] | int | signal.Handlers | None

OnEvent = Callable[[dict[str, Any]], None]
"""Called with {"event": "start" | "step" | "checkpoint" | "validation" | "sheet" | "done", ...}."""


def train(
    settings: TrainingSettings,
    device: str = "cpu",
    on_event: OnEvent | None = None,
    resume_from: str = LATEST,
) -> Path:
    """Trains a run to its last step, from a checkpoint of its folder where there is one.

    Returns the path of the last checkpoint. resume_from: "latest", "best" or a step's number;
    anything but "latest" must exist. Raises KeyboardInterrupt, with the last whole step saved, when
    Ctrl-C, SIGTERM or SIGHUP comes; what `on_event` raises comes after saving, too.
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
    reporter = _Reporter(trainer, validator, on_event) if processes.is_first else None
    return _run_to_the_end(trainer, reporter)


def _run_to_the_end(trainer: Trainer, reporter: _Reporter | None) -> Path:
    """Runs the steps that are left; returns the last checkpoint."""
    steps = trainer.settings.optimizer.steps
    if reporter is not None:
        reporter.report({"event": "start", "step": trainer.step, "steps": steps})
        logger.debug("the store has %d cases", len(trainer.contents))
    with Interrupts() as interrupts:
        is_stopped = False
        while trainer.step < steps and not is_stopped:
            losses = trainer.train_step()
            if reporter is not None:
                try:
                    reporter.after_step(losses)
                except BrokenPipeError:  # who follows the run is gone; its last step is kept
                    reporter.report = lambda event: None
                    reporter.after_last_step()
                    raise
            is_stopped = trainer.processes.any(interrupts.came)
    trainer.sampler.close()
    if reporter is not None:
        reporter.after_last_step()
    if is_stopped:
        raise KeyboardInterrupt
    latest = checkpoint_file(trainer.settings.folder, LATEST)
    if reporter is not None:
        reporter.report({"event": "done", "step": trainer.step, "checkpoint": str(latest)})
    return latest


class _Reporter:
    """Writes what a run leaves behind; only the first process of a run has one."""

    def __init__(
        self, trainer: Trainer, validator: Validator | None, on_event: OnEvent | None
    ) -> None:
        self.trainer = trainer
        self.validator = validator
        self.settings = trainer.settings
        self.folder = trainer.settings.folder
        self.report: OnEvent = on_event or (lambda event: None)
        self._means = LossMeans()
        self._saved = time.monotonic()
        text = json.dumps(settings_to_dict(self.settings), indent=1)
        write_bytes(self.folder / "settings.json", ".json", text.encode)
        step = trainer.step
        self.log = WideTable(self.folder / "log.csv", step)
        self.validations = WideTable(self.folder / "validation.csv", step)
        self.dashboards = Dashboards(self.settings, step)

    def after_step(self, losses: dict[str, float]) -> None:
        """Reports a step, and does what is due after it: log, validation, checkpoint, pictures."""
        trainer, settings, step = self.trainer, self.settings, self.trainer.step
        self._means.add({**losses, "data_seconds": trainer.data_seconds})
        self.report(
            {
                "event": "step",
                "step": step,
                "steps": settings.optimizer.steps,
                "seconds": round(trainer.seconds, 3),
                "losses": losses,
            }
        )
        if step % settings.log_every == 0:
            rate = trainer.optimizers["generator"].param_groups[0]["lr"]
            values = {"seconds": trainer.seconds, "lr_generator": rate, **self._means.take()}
            self.log.add(step, values)
            self.dashboards.add(step, values)
        # Validation first: its best metric belongs into the checkpoint of the same step.
        if self.validator is not None and step % settings.validation.every == 0:
            self._validate(self.validator)
        minutes = (time.monotonic() - self._saved) / 60
        is_time = 0 < settings.checkpoint_minutes <= minutes
        if step % settings.checkpoint_every == 0 or is_time:
            self._save(checkpoint_file(self.folder, LATEST))
        if settings.keep_every and step % settings.keep_every == 0:
            self._save(checkpoint_file(self.folder, step))
        if settings.sheet_every and step % settings.sheet_every == 0:
            sheet = self.folder / "sheets" / f"step-{step:07d}.png"
            write_sheet(trainer, sheet)
            self._draw_curves()
            self.report({"event": "sheet", "step": step, "path": str(sheet)})

    def after_last_step(self) -> None:
        """Saves the run as it is now, finished or interrupted."""
        self._save(checkpoint_file(self.folder, LATEST))
        self._draw_curves()
        self.dashboards.close()

    def _save(self, path: Path) -> None:
        self.trainer.save(path)
        if path == checkpoint_file(self.folder, LATEST):
            self._saved = time.monotonic()
        self.report({"event": "checkpoint", "step": self.trainer.step, "path": str(path)})

    def _validate(self, validator: Validator) -> None:
        trainer, step = self.trainer, self.trainer.step
        metrics = validator.measure(trainer.ema)
        if not metrics:
            return
        self.validations.add(step, metrics)
        self.dashboards.add(step, {f"validation/{name}": value for name, value in metrics.items()})
        self.report({"event": "validation", "step": step, "figures": metrics})
        name, best = self.settings.validation.select_by, trainer.best
        best_value = best.value if best is not None and best.metric == name else None
        if is_better(name, metrics.get(name, math.nan), best_value):
            trainer.best = BestCheckpoint(name, metrics[name], step)
            self._save(checkpoint_file(self.folder, BEST))

    def _draw_curves(self) -> None:
        draw_curves(self.log, self.validations, self.folder / "curves.png")


class Interrupts:
    """Lets Ctrl-C, SIGTERM and SIGHUP wait for the end of a step, so that a whole step is saved.

    While it is active, the first signal sets `came`; a second one stops at once. One that the
    program was started to ignore, as SIGHUP under nohup, stays ignored. Signals reach the
    main thread only; in another thread this does nothing.
    """

    def __init__(self) -> None:
        self.came = False
        self._handlers: dict[int, _Handler] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN:
                    self._handlers[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.came:
            raise KeyboardInterrupt
        self.came = True
        logger.info("stopping after this step; its checkpoint is written first")
