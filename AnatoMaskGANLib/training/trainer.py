"""One run: its networks, optimizers, and the step that moves them."""

from __future__ import annotations

import copy
import time
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam

from AnatoMaskGANLib.config import settings_to_dict
from AnatoMaskGANLib.networks.spade import FrozenBatchNorm2d
from AnatoMaskGANLib.training.objective import SynthesisObjective
from AnatoMaskGANLib.training.prefetch import PrefetchingSampler
from AnatoMaskGANLib.training.processes import Processes
from AnatoMaskGANLib.training.run_identity import check_same_run, describe_contents, describe_store
from AnatoMaskGANLib.training.run_networks import build_networks
from AnatoMaskGANLib.training.run_state import read_run_state, read_tensors, write_run_state
from AnatoMaskGANLib.training.schedules import has_frozen_statistics, rate_share
from AnatoMaskGANLib.training.segmentation import SegmentationObjective
from AnatoMaskGANLib.training.settings import TrainingSettings
from AnatoMaskGANLib.training.stacks import StackSampler
from AnatoMaskGANLib.volumes.case_store import CaseStore

_LARGEST_LOSS = 1e6
_AUTOCAST = {"32": torch.float32, "bf16": torch.bfloat16, "16": torch.float16}


class TrainingDivergedError(RuntimeError):
    """A loss that is no number any more, or has grown out of all bounds."""


class Trainer:
    """A run's state is its modules, its optimizers and the step; all else follows from these."""

    def __init__(self, settings: TrainingSettings, store: CaseStore, processes: Processes) -> None:
        self.settings = settings
        self.store = store
        self.processes = processes
        self.device = processes.device
        self.step = 0
        self.seconds = 0.0
        self.data_seconds = 0.0
        self.best: dict[str, Any] = {}
        """Metric and step of `best.safetensors`; empty before the first validation."""
        self.networks = build_networks(settings, store.num_classes, self.device)
        self.ema = copy.deepcopy(self.networks.generator).requires_grad_(False).eval()
        processes.synchronize_statistics(self.networks.generator)
        self.objective = (
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
        """Two learning rates, one for the generator and one for all that judges it (TTUR)."""
        settings = self.settings.optimizer
        generator = self.networks.generator.parameters()
        optimizers = {"generator": Adam(generator, settings.lr_generator, settings.betas)}
        judges = [p for network in self.networks.judges() for p in network.parameters()]
        if judges:
            optimizers["judges"] = Adam(judges, settings.lr_discriminator, settings.betas)
        return optimizers

    @property
    def modules(self) -> dict[str, nn.Module]:
        """Everything with weights, by name."""
        return {**self.networks.named(), "ema": self.ema}

    def train_step(self) -> dict[str, float]:
        """One update of the judges and the generator; gives back the weighted losses."""
        started = time.perf_counter()
        self._set_rates()
        count = self.settings.optimizer.accumulate
        self.data_seconds = 0.0
        if count == 1:
            terms = self._step_on_one_batch()
        else:
            terms = self._step_on_batches(count)
        self._average()
        self.step += 1
        means = self.processes.mean(terms)
        self.seconds += time.perf_counter() - started
        return means

    def _step_on_one_batch(self) -> dict[str, Tensor]:
        """Judges and generator learn from one pass of the generator."""
        with self._autocast():
            made = self.objective.make(self._batch(0, 1))
            judge_terms = self.objective.judge_terms(made, self.step)
        self._backward("judges", judge_terms, 1)
        self._update("judges", judge_terms)
        with self._autocast():
            own_terms = self.objective.own_terms(made, self.step)
        self._backward("generator", own_terms, 1)
        self._update("generator", own_terms)
        return judge_terms | own_terms

    def _step_on_batches(self, count: int) -> dict[str, Tensor]:
        """The judges see all batches before the generator does, as with one large batch."""
        sums: dict[str, Tensor] = {}
        for name in ("judges", "generator"):
            if name not in self.optimizers:
                continue
            found: dict[str, Tensor] = {}
            for number in range(count):
                learns = torch.enable_grad() if name == "generator" else torch.no_grad()
                with self._autocast(), learns:
                    made = self.objective.make(self._batch(number, count))
                with self._autocast():
                    terms = (
                        self.objective.own_terms(made, self.step)
                        if name == "generator"
                        else self.objective.judge_terms(made, self.step)
                    )
                self._backward(name, terms, count)
                for key, value in terms.items():
                    found[key] = found.get(key, 0.0) + value.detach() / count
            self._update(name, found)
            sums |= found
        return sums

    def _batch(self, number: int, count: int) -> Any:  # noqa: ANN401  a StackBatch
        started = time.perf_counter()
        batch = self.sampler.batch(self.step * count + number, self.processes.rank)
        self.data_seconds += time.perf_counter() - started
        return batch.to(self.device)

    def _autocast(self) -> torch.autocast:
        kind = _AUTOCAST[self.settings.precision]
        return torch.autocast(self.device.type, kind, enabled=kind != torch.float32)

    def _backward(self, name: str, terms: dict[str, Tensor], count: int) -> None:
        if not terms:
            return
        total = sum(terms.values())
        if not torch.isfinite(total) or abs(float(total.detach())) > _LARGEST_LOSS:
            values = ", ".join(f"{key} {float(value.detach()):.4g}" for key, value in terms.items())
            raise TrainingDivergedError(
                f"step {self.step}: the losses of the {name} are not finite or far too "
                f"large ({values}). Try, in this order: a lower lr_generator and "
                "lr_discriminator (half), a gradient_clip of 1, precision 32, r1 above 0; "
                "the last checkpoint is from before this step. --resume-from continues "
                "from a numbered or the best checkpoint."
            )
        optimizer = self.optimizers[name]
        if not self._has_gradients(optimizer):
            optimizer.zero_grad(set_to_none=True)
        total = total / count
        (self.scalers[name].scale(total) if name in self.scalers else total).backward()

    @staticmethod
    def _has_gradients(optimizer: Adam) -> bool:
        return any(p.grad is not None for group in optimizer.param_groups for p in group["params"])

    def _update(self, name: str, terms: dict[str, Tensor]) -> None:
        if not terms:
            return
        optimizer, scaler = self.optimizers[name], self.scalers.get(name)
        parameters = optimizer.param_groups[0]["params"]
        self.processes.average_gradients(parameters)
        if scaler is not None:
            scaler.unscale_(optimizer)
        clip = self.settings.optimizer.gradient_clip
        if name == "generator" and clip:
            nn.utils.clip_grad_norm_(parameters, clip)
        if scaler is None:
            optimizer.step()
        else:
            scaler.step(optimizer)
            scaler.update()
        optimizer.zero_grad(set_to_none=True)

    def _set_rates(self) -> None:
        settings = self.settings.optimizer
        share = rate_share(settings, self.step)
        rates = {"generator": settings.lr_generator, "judges": settings.lr_discriminator}
        for name, optimizer in self.optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = rates[name] * share
        is_frozen = has_frozen_statistics(settings, self.step)
        for module in self.networks.generator.modules():
            if isinstance(module, FrozenBatchNorm2d):
                module.is_frozen = is_frozen

    @torch.no_grad()
    def _average(self) -> None:
        """Moves the averaged weights; statistics of normalizations are taken as they are."""
        decay = min(self.settings.optimizer.ema_decay, (1 + self.step) / (10 + self.step))
        generator = self.networks.generator
        for own, value in zip(self.ema.parameters(), generator.parameters(), strict=True):
            own.lerp_(value, 1 - decay)
        for own, value in zip(self.ema.buffers(), generator.buffers(), strict=True):
            own.copy_(value)

    @cached_property
    def _contents(self) -> dict[str, str]:
        return describe_contents(self.store)

    def save(self, path: Path) -> None:
        """Writes everything that a resumed run needs."""
        metadata = {
            "step": self.step,
            "seconds": self.seconds,
            "best": self.best,
            "settings": settings_to_dict(self.settings),
            "generator": settings_to_dict(self.networks.generator.settings),
            "store": describe_store(self.store),
            "contents": self._contents,
            "processes": self.processes.count,
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
        self.best = dict(metadata.get("best", {}))
        for name, state in metadata.get("scalers", {}).items():
            if state and name in self.scalers:
                self.scalers[name].load_state_dict(state)
