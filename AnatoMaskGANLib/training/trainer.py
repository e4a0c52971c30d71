"""One run: its networks, its optimizers, and the training step that moves them."""

from __future__ import annotations

import copy
import math
import time
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam

from AnatoMaskGANLib.config import settings_to_dict
from AnatoMaskGANLib.networks.normalization import FrozenBatchNorm2d
from AnatoMaskGANLib.training.checkpoints import (
    BestCheckpoint,
    read_run_state,
    read_tensors,
    write_run_state,
)
from AnatoMaskGANLib.training.losses import total as sum_of_losses
from AnatoMaskGANLib.training.numerics import go_on_with, numerics_now
from AnatoMaskGANLib.training.objective import Objective, SegmentationObjective, SynthesisObjective
from AnatoMaskGANLib.training.processes import Processes
from AnatoMaskGANLib.training.run_identity import check_same_run, describe_contents, describe_store
from AnatoMaskGANLib.training.run_networks import build_networks
from AnatoMaskGANLib.training.settings import OptimizerSettings, TrainingSettings
from AnatoMaskGANLib.training.stacks import PrefetchingSampler, StackBatch, StackSampler
from AnatoMaskGANLib.volumes.case_store import CaseStore

_LARGEST_LOSS = 1e6
_AUTOCAST = {"32": torch.float32, "bf16": torch.bfloat16, "16": torch.float16}
# The optimizers, by their names in checkpoints.
_GENERATOR, _DISCRIMINATORS = "generator", "judges"


class TrainingDivergedError(RuntimeError):
    """A loss that is no number any more, or that has grown out of all bounds."""


class Trainer:
    """A run: its state is its modules, its optimizers and the step; all else follows from these."""

    def __init__(self, settings: TrainingSettings, store: CaseStore, processes: Processes) -> None:
        self.settings = settings
        self.store = store
        self.processes = processes
        self.device = processes.device
        self.step = 0
        self.seconds = 0.0
        self.data_seconds = 0.0
        self.best: BestCheckpoint | None = None
        """The validation that made `best.safetensors`; None before the first one."""
        self.networks = build_networks(settings, store.num_classes, self.device)
        self.ema = copy.deepcopy(self.networks.generator).requires_grad_(False).eval()
        processes.synchronize_statistics(self.networks.generator)
        self.objective: Objective[Any] = (
            SegmentationObjective(settings, self.networks)
            if settings.direction == "image2mask"
            else SynthesisObjective(settings, store, self.networks, self.device)
        )
        self.optimizers = self._build_optimizers()
        # Gradients of 16-bit floats vanish unless the loss is scaled up.
        self.scalers = (
            {name: torch.amp.GradScaler(self.device.type) for name in self.optimizers}
            if settings.precision == "16"
            else {}
        )
        self.sampler = PrefetchingSampler(
            StackSampler(store, "train", settings.data, self.objective.halo, settings.seed)
        )

    def _build_optimizers(self) -> dict[str, Adam]:
        """Two learning rates: one for the generator, one for all that judge it (TTUR)."""
        settings = self.settings.optimizer
        generator = self.networks.generator.parameters()
        optimizers = {_GENERATOR: Adam(generator, settings.lr_generator, settings.betas)}
        discriminators = [
            parameter
            for network in self.networks.discriminators()
            for parameter in network.parameters()
        ]
        if discriminators:
            optimizers[_DISCRIMINATORS] = Adam(
                discriminators, settings.lr_discriminator, settings.betas
            )
        return optimizers

    @property
    def modules(self) -> dict[str, nn.Module]:
        """Everything with weights, by name."""
        return {**self.networks.named(), "ema": self.ema}

    def train_step(self) -> dict[str, float]:
        """One update of the discriminators and the generator; returns the weighted losses."""
        started = time.perf_counter()
        self._follow_schedules()
        count = self.settings.optimizer.accumulate
        self.data_seconds = 0.0
        if count == 1:
            terms = self._step_on_one_batch()
        else:
            terms = self._step_on_batches(count)
        self._update_ema()
        self.step += 1
        means = self.processes.mean(terms)
        self.seconds += time.perf_counter() - started
        return means

    def _step_on_one_batch(self) -> dict[str, Tensor]:
        """Discriminators and generator learn from one pass of the generator."""
        with self._autocast():
            result = self.objective.forward(self._batch(0, 1))
            discriminator_losses = self.objective.discriminator_losses(result, self.step)
        self._backward(_DISCRIMINATORS, discriminator_losses, 1)
        self._update(_DISCRIMINATORS, discriminator_losses)
        with self._autocast():
            generator_losses = self.objective.generator_losses(result, self.step)
        self._backward(_GENERATOR, generator_losses, 1)
        self._update(_GENERATOR, generator_losses)
        return discriminator_losses | generator_losses

    def _step_on_batches(self, count: int) -> dict[str, Tensor]:
        """The discriminators see all batches before the generator, as with one large batch."""
        objective = self.objective
        means: dict[str, Tensor] = {}
        for name, has_gradients, losses_of in (
            (_DISCRIMINATORS, False, objective.discriminator_losses),
            (_GENERATOR, True, objective.generator_losses),
        ):
            if name not in self.optimizers:
                continue
            found: dict[str, Tensor] = {}
            for number in range(count):
                with self._autocast(), torch.set_grad_enabled(has_gradients):
                    result = objective.forward(self._batch(number, count))
                with self._autocast():
                    losses = losses_of(result, self.step)
                self._backward(name, losses, count)
                for key, value in losses.items():
                    part = value.detach() / count
                    found[key] = found[key] + part if key in found else part
            self._update(name, found)
            means |= found
        return means

    def _batch(self, number: int, count: int) -> StackBatch:
        """One of the `count` batches of this step, on the device."""
        started = time.perf_counter()
        batch = self.sampler.batch(self.step * count + number, self.processes.rank)
        self.data_seconds += time.perf_counter() - started
        return batch.to(self.device)

    def _autocast(self) -> torch.autocast:
        kind = _AUTOCAST[self.settings.precision]
        return torch.autocast(self.device.type, kind, enabled=kind != torch.float32)

    def _backward(self, name: str, losses: dict[str, Tensor], count: int) -> None:
        """Adds the gradients of one of `count` batches; TrainingDivergedError if it diverged."""
        if not losses:
            return
        total = sum_of_losses(losses.values())
        if not torch.isfinite(total) or abs(float(total.detach())) > _LARGEST_LOSS:
            values = ", ".join(
                f"{key} {float(value.detach()):.4g}" for key, value in losses.items()
            )
            raise TrainingDivergedError(
                f"step {self.step}: the losses of the {name} are not finite or far too "
                f"large ({values}). Try, in this order: a lower lr_generator and "
                "lr_discriminator (half), a gradient_clip of 1, precision 32, r1 above 0; "
                "the last checkpoint is from before this step. --resume-from continues "
                "from a numbered or the best checkpoint."
            )
        mean = total / count
        (self.scalers[name].scale(mean) if name in self.scalers else mean).backward()

    def _update(self, name: str, losses: dict[str, Tensor]) -> None:
        """Moves the weights by the gradients, and forgets these."""
        if not losses:
            return
        optimizer, scaler = self.optimizers[name], self.scalers.get(name)
        parameters = optimizer.param_groups[0]["params"]
        self.processes.average_gradients(parameters)
        if scaler is not None:
            scaler.unscale_(optimizer)
        clip = self.settings.optimizer.gradient_clip
        if name == _GENERATOR and clip:
            nn.utils.clip_grad_norm_(parameters, clip)
        if scaler is None:
            optimizer.step()
        else:
            scaler.step(optimizer)
            scaler.update()
        optimizer.zero_grad(set_to_none=True)

    def _follow_schedules(self) -> None:
        """Sets the learning rates of this step, and whether batch statistics are frozen."""
        settings = self.settings.optimizer
        factor = learning_rate_factor(settings, self.step)
        rates = {_GENERATOR: settings.lr_generator, _DISCRIMINATORS: settings.lr_discriminator}
        for name, optimizer in self.optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = rates[name] * factor
        is_frozen = has_frozen_statistics(settings, self.step)
        for module in self.networks.generator.modules():
            if isinstance(module, FrozenBatchNorm2d):
                module.is_frozen = is_frozen

    @torch.no_grad()
    def _update_ema(self) -> None:
        """Moves the averaged weights; the statistics of normalizations are copied."""
        decay = min(self.settings.optimizer.ema_decay, (1 + self.step) / (10 + self.step))
        generator = self.networks.generator
        for average, weight in zip(self.ema.parameters(), generator.parameters(), strict=True):
            average.lerp_(weight, 1 - decay)
        for copied, buffer in zip(self.ema.buffers(), generator.buffers(), strict=True):
            copied.copy_(buffer)

    @cached_property
    def contents(self) -> dict[str, str]:
        """Hashes of the cases. The run asks for them before its first step, so that they are those
        of the data that it learns from."""
        return describe_contents(self.store)

    def save(self, path: Path) -> None:
        """Writes all that a resumed run needs."""
        metadata = {
            "step": self.step,
            "seconds": self.seconds,
            "best": self.best.to_metadata() if self.best is not None else {},
            "settings": settings_to_dict(self.settings),
            "generator": settings_to_dict(self.networks.generator.settings),
            "store": describe_store(self.store),
            "contents": self.contents,
            "processes": self.processes.count,
            "numerics": numerics_now(self.device, self.processes.count),
            "scalers": {name: scaler.state_dict() for name, scaler in self.scalers.items()},
        }
        write_run_state(path, self.modules, self.optimizers, metadata)

    def resume(self, path: Path) -> None:
        """Goes on from a state written by `save`.

        Raises RunStateError for one that is damaged or of other settings or data.
        """
        _, metadata = read_tensors(path)
        check_same_run(path, metadata, self.settings, self.store)
        read_run_state(path, self.modules, self.optimizers)
        self.step = int(metadata["step"])
        self.seconds = float(metadata["seconds"])
        self.best = BestCheckpoint.from_metadata(metadata.get("best", {}))
        before = metadata.get("numerics")
        go_on_with(before if isinstance(before, dict) else {}, self.device, self.processes.count)
        for name, state in metadata.get("scalers", {}).items():
            if state and name in self.scalers:
                self.scalers[name].load_state_dict(state)


def learning_rate_factor(settings: OptimizerSettings, step: int) -> float:
    """Factor on the learning rates at a step; 1 at the first step of a run without warm-up."""
    progress = min(1.0, step / settings.steps)
    if settings.schedule == "cosine":
        fallen = 0.5 * (1 - math.cos(math.pi * progress))
    elif settings.schedule == "linear":
        fallen = max(0.0, 2 * progress - 1)
    else:
        fallen = 0.0
    warm = min(1.0, (step + 1) / settings.warmup_steps) if settings.warmup_steps else 1.0
    return warm * (1 - (1 - settings.final_lr_share) * fallen)


def has_frozen_statistics(settings: OptimizerSettings, step: int) -> bool:
    """Whether normalization statistics stay fixed at a step."""
    return step >= settings.freeze_statistics_from * settings.steps
