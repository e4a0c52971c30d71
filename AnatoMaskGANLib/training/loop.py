"""The training loop: steps, averages, log, sheets, checkpoints, exact resume."""

from __future__ import annotations

import copy
import csv
import json
import logging
import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.optim import Adam

from AnatoMaskGANLib import config
from AnatoMaskGANLib.config import GeneratorSettings, settings_to_dict
from AnatoMaskGANLib.networks.discriminators import MultiScaleDiscriminator
from AnatoMaskGANLib.networks.generator import Generator
from AnatoMaskGANLib.networks.gray_texture import GrayTextureClassifier
from AnatoMaskGANLib.networks.spade import FrozenBatchNorm2d
from AnatoMaskGANLib.training.adversarial import (
    Networks,
    discriminator_loss,
    generator_loss,
    make_images,
)
from AnatoMaskGANLib.training.run_state import read_run_state, write_run_state
from AnatoMaskGANLib.training.settings import TrainingSettings
from AnatoMaskGANLib.training.sheets import write_sheet
from AnatoMaskGANLib.training.stacks import StackSampler
from AnatoMaskGANLib.volumes.case_store import CaseStore, open_store

logger = logging.getLogger(__name__)

LATEST = "latest.safetensors"


class TrainingDivergedError(RuntimeError):
    """A loss that is no number any more."""


def generator_settings(settings: TrainingSettings, num_classes: int) -> GeneratorSettings:
    """The preset with the run's changes."""
    preset = {"compact": config.compact_generator, "paper": config.paper_generator}[settings.preset]
    plain = settings_to_dict(preset(num_classes)) | dict(settings.generator)
    return config.settings_from_dict(GeneratorSettings, plain)


class Trainer:
    """One run: its networks, optimizers and the step it has reached."""

    def __init__(self, settings: TrainingSettings, store: CaseStore, device: torch.device) -> None:
        self.settings = settings
        self.store = store
        self.device = device
        self.step = 0
        self.seconds = 0.0
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.networks = self._build(generator_settings(settings, store.num_classes))
        self.ema = copy.deepcopy(self.networks.generator).requires_grad_(False).eval()
        optimizer = settings.optimizer
        self.optimizers = {
            "generator": Adam(
                self.networks.generator.parameters(), optimizer.lr_generator, optimizer.betas
            )
        }
        judges = [
            parameter
            for network in (self.networks.discriminator, self.networks.classifier)
            if network is not None
            for parameter in network.parameters()
        ]
        if judges:
            self.optimizers["judges"] = Adam(judges, optimizer.lr_discriminator, optimizer.betas)
        self.halo = self.networks.generator.settings.context_radius
        self.sampler = StackSampler(store, "train", settings.data, self.halo, settings.seed)

    def _build(self, generator: GeneratorSettings) -> Networks:
        settings = self.settings
        weights = settings.losses
        judged = weights.adversarial or weights.feature_matching
        classified = settings.use_gray_texture and weights.gray_texture_adversarial
        return Networks(
            Generator(generator).to(self.device),
            MultiScaleDiscriminator(settings.discriminator, generator.num_classes).to(self.device)
            if judged
            else None,
            GrayTextureClassifier(generator.num_classes).to(self.device) if classified else None,
        )

    @property
    def modules(self) -> dict[str, nn.Module]:
        """Everything with weights, by name."""
        named = {
            "generator": self.networks.generator,
            "ema": self.ema,
            "discriminator": self.networks.discriminator,
            "classifier": self.networks.classifier,
        }
        return {name: module for name, module in named.items() if module is not None}

    def train_step(self) -> dict[str, float]:
        """One update of the judges and the generator; gives back the weighted losses."""
        self._set_rates()
        batch = self._to_device(self.sampler.batch(self.step))
        is_adversarial = self.step >= self.settings.optimizer.adversarial_start
        autocast = torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.settings.precision == "bf16"
        )
        with autocast:
            images = make_images(
                self.networks.generator, batch, self.store.spacing_ijk_mm, self.halo
            )
        terms = {}
        if is_adversarial and "judges" in self.optimizers:
            with autocast:
                judge_terms = discriminator_loss(self.networks, images, batch, self.halo)
            self._update("judges", judge_terms)
            terms |= judge_terms
        with autocast:
            own_terms = generator_loss(
                self.networks, images, batch, self.halo, self._weights(), is_adversarial
            )
        self._update("generator", own_terms)
        self._average()
        self.step += 1
        return {name: float(value.detach()) for name, value in (terms | own_terms).items()}

    def _weights(self):
        weights = self.settings.losses
        if self.settings.use_gray_texture:
            return weights
        return type(weights)(**(vars(weights) | {"gray_texture": 0.0}))

    def _update(self, name: str, terms: dict[str, torch.Tensor]) -> None:
        if not terms:
            return
        total = sum(terms.values())
        if not torch.isfinite(total):
            values = ", ".join(f"{key} {float(value):.4g}" for key, value in terms.items())
            raise TrainingDivergedError(
                f"step {self.step}: a loss is no number any more ({values}). Lower "
                "lr_generator and lr_discriminator, or go on from an older checkpoint."
            )
        optimizer = self.optimizers[name]
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        if name == "generator":
            nn.utils.clip_grad_norm_(
                self.networks.generator.parameters(), self.settings.optimizer.gradient_clip
            )
        optimizer.step()

    def _set_rates(self) -> None:
        optimizer = self.settings.optimizer
        progress = min(1.0, self.step / optimizer.steps)
        share = optimizer.final_lr_share
        share += (1 - share) * 0.5 * (1 + math.cos(math.pi * progress))
        rates = {"generator": optimizer.lr_generator, "judges": optimizer.lr_discriminator}
        for name, owner in self.optimizers.items():
            for group in owner.param_groups:
                group["lr"] = rates[name] * share
        is_frozen = progress >= optimizer.freeze_statistics_from
        for module in self.networks.generator.modules():
            if isinstance(module, FrozenBatchNorm2d):
                module.is_frozen = is_frozen

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.settings.optimizer.ema_decay, (1 + self.step) / (10 + self.step))
        current = self.networks.generator.state_dict()
        for name, value in self.ema.state_dict().items():
            if value.is_floating_point() and not name.endswith(("running_mean", "running_var")):
                value.lerp_(current[name], 1 - decay)
            else:
                value.copy_(current[name])

    def _to_device(self, batch):
        if self.device.type == "cpu":
            return batch
        return type(batch)(
            batch.labels.to(self.device),
            batch.images.to(self.device),
            batch.positions_mm.to(self.device),
            batch.noise_seeds,
        )

    def save(self, path: Path) -> None:
        """Writes everything that a resumed run needs."""
        metadata = {
            "step": self.step,
            "seconds": self.seconds,
            "settings": settings_to_dict(self.settings),
            "generator": settings_to_dict(self.networks.generator.settings),
            "store": {
                "spacing_ijk_mm": self.store.spacing_ijk_mm,
                "window": self.store.window,
                "unit": self.store.unit,
                "label_table": self.store.label_table,
                "cases": {case.name: case.split for case in self.store.cases},
            },
        }
        write_run_state(path, self.modules, self.optimizers, metadata)

    def resume(self, path: Path) -> None:
        """Goes on from a state written by `save`."""
        metadata = read_run_state(path, self.modules, self.optimizers)
        self.step = int(metadata["step"])
        self.seconds = float(metadata["seconds"])


def train(
    settings: TrainingSettings,
    device: str = "cpu",
    on_step: Callable[[int, int, dict[str, float]], None] | None = None,
) -> Path:
    """Trains a run to its last step, from its latest checkpoint where there is one.

    Gives back the path of the last checkpoint. on_step(step, steps, losses) is called after every
    step.
    """
    folder = settings.folder
    folder.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(settings, open_store(Path(settings.data.store)), torch.device(device))
    latest = folder / LATEST
    if latest.exists():
        trainer.resume(latest)
        logger.info("going on from step %d of %s", trainer.step, latest)
    (folder / "settings.json").write_text(json.dumps(settings_to_dict(settings), indent=1))
    log = _Log(folder / "log.csv", settings.log_every, trainer.step)
    try:
        while trainer.step < settings.optimizer.steps:
            started = time.perf_counter()
            losses = trainer.train_step()
            trainer.seconds += time.perf_counter() - started
            log.add(trainer.step, trainer.seconds, losses)
            if on_step is not None:
                on_step(trainer.step, settings.optimizer.steps, losses)
            if trainer.step % settings.checkpoint_every == 0:
                trainer.save(latest)
            if trainer.step % settings.sheet_every == 0:
                write_sheet(trainer, folder / "sheets" / f"step-{trainer.step:07d}.png")
    except KeyboardInterrupt:
        trainer.save(latest)
        raise
    trainer.save(latest)
    return latest


class _Log:
    """Means of the losses since the last line, one CSV line every so many steps."""

    def __init__(self, path: Path, every: int, step: int) -> None:
        self.path = path
        self.every = every
        self.sums: dict[str, float] = {}
        self.counts: dict[str, int] = {}
        self._forget_after(step)

    def add(self, step: int, seconds: float, losses: dict[str, float]) -> None:
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0) + 1
        if step % self.every:
            return
        with open(self.path, "a", newline="") as file:
            writer = csv.writer(file)
            for name, total in self.sums.items():
                writer.writerow([step, f"{seconds:.1f}", name, f"{total / self.counts[name]:.6g}"])
        self.sums, self.counts = {}, {}

    def _forget_after(self, step: int) -> None:
        """Drops lines of steps that a crash has undone."""
        if not self.path.exists():
            self.path.write_text("step,seconds,name,value\n")
            return
        lines = self.path.read_text().splitlines()
        kept = [lines[0], *(line for line in lines[1:] if int(line.split(",")[0]) <= step)]
        self.path.write_text("\n".join(kept) + "\n")
