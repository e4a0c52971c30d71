"""`anatomaskgan train`: one training run from a settings file, resumed where it stopped."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from AnatoMaskGANLib.commands.synthesize import Device


@dataclass(frozen=True)
class TrainOptions:
    """Train a model on a case store; the same command goes on with a run that was stopped."""

    config: Path
    """YAML file of the run's settings."""
    device: Device = "auto"
    """Where the networks run; auto takes a GPU when there is one."""


def train(options: TrainOptions) -> int:
    """0 when the run reached its last step; prints where its last checkpoint is."""
    from AnatoMaskGANLib.config import settings_from_dict
    from AnatoMaskGANLib.synthesis.devices import pick_device
    from AnatoMaskGANLib.training.loop import train as run_training
    from AnatoMaskGANLib.training.settings import TrainingSettings

    settings = settings_from_dict(TrainingSettings, read_settings_file(options.config))
    device = pick_device(options.device)
    core_log = logging.getLogger("AnatoMaskGANLib")
    with logging_redirect_tqdm([core_log]), tqdm(unit="step", disable=None) as bar:

        def on_step(step: int, num_steps: int, losses: dict[str, float]) -> None:
            bar.total, bar.n = num_steps, step
            bar.set_postfix({name: f"{value:.3g}" for name, value in losses.items()})

        checkpoint = run_training(settings, str(device), on_step)
    print(checkpoint)
    return 0


def read_settings_file(path: Path) -> Any:  # noqa: ANN401  a file may hold anything
    """What a YAML file holds. Raises ValueError for a file that is no YAML, OSError for none."""
    import yaml

    text = path.read_text(encoding="utf-8")
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not valid YAML: {error}") from error
