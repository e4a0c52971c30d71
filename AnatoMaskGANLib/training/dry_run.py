"""A dry run: everything is read and built, two steps are taken, nothing is written."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from AnatoMaskGANLib.training.processes import Processes
from AnatoMaskGANLib.training.settings import TrainingSettings
from AnatoMaskGANLib.training.trainer import Trainer
from AnatoMaskGANLib.training.validation import Validator
from AnatoMaskGANLib.volumes.case_store import SPLITS, CaseStore, open_store


@dataclass(frozen=True)
class DryRun:
    """The data, memory and time that a run will need."""

    cases: dict[str, int]
    """Split -> number of cases."""
    parameters: dict[str, int]
    """Network -> number of weights."""
    device: str
    memory_bytes: int
    """Largest memory so far of the process, or on the GPU."""
    seconds_per_step: float
    """Time of the second step; the first one warms up."""
    steps_per_epoch: int
    """Steps that see as many slices as the training split has."""
    steps: int

    def text(self) -> str:
        """The same as lines of text."""
        cases = ", ".join(f"{count} {split}" for split, count in self.cases.items())
        lines = [f"cases: {cases}"]
        lines += [f"{name}: {count:,} parameters" for name, count in self.parameters.items()]
        epoch = self.seconds_per_step * self.steps_per_epoch
        lines += [
            f"device: {self.device}",
            f"memory: {self.memory_bytes / 2**20:,.0f} MiB",
            f"time per step: {self.seconds_per_step:.3f} s",
            f"time per epoch: {_duration(epoch)} ({self.steps_per_epoch} steps)",
            f"whole run: {_duration(self.seconds_per_step * self.steps)} ({self.steps} steps), "
            "without validation and pictures",
        ]
        return "\n".join(lines)


def check_run(settings: TrainingSettings, device: str) -> DryRun:
    """Takes the first two steps of a run; raises the errors that the run would raise."""
    store = open_store(Path(settings.data.store))
    trainer = Trainer(settings, store, Processes(torch.device(device)))
    if settings.validation.every:
        Validator(settings, store, trainer.objective.halo, trainer.device)
    trainer.train_step()
    started = time.perf_counter()
    trainer.train_step()
    seconds = time.perf_counter() - started
    return DryRun(
        cases={split: len(store.of_split(split)) for split in SPLITS},
        parameters={
            name: sum(parameter.numel() for parameter in network.parameters())
            for name, network in trainer.networks.named().items()
        },
        device=str(trainer.device),
        memory_bytes=_largest_memory(trainer.device),
        seconds_per_step=seconds,
        steps_per_epoch=steps_per_epoch(settings, store),
        steps=settings.optimizer.steps,
    )


def steps_per_epoch(settings: TrainingSettings, store: CaseStore) -> int:
    """Steps that see as many slices as the training split has."""
    slices = sum(
        case.labeled_slices[1] - case.labeled_slices[0] for case in store.of_split("train")
    )
    seen = settings.data.batch_size * settings.data.stack_size * settings.optimizer.accumulate
    return max(1, round(slices / seen))


def _largest_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset
    import resource

    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else size * 1024  # bytes on macOS, KiB elsewhere


def _duration(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {left} s"
