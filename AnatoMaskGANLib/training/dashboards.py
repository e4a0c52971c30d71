"""Dashboards: TensorBoard where it is installed, Weights & Biases where the settings ask for it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from AnatoMaskGANLib.config import settings_to_dict
from AnatoMaskGANLib.training.settings import TrainingSettings

logger = logging.getLogger(__name__)


class Dashboards:
    """Tells every dashboard of a run its numbers."""

    def __init__(self, settings: TrainingSettings, step: int) -> None:
        self._writer = _tensorboard_writer(settings, step) if settings.tensorboard else None
        self._run = _wandb_run(settings) if settings.wandb_project else None

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Adds numbers of a step."""
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


def _tensorboard_writer(settings: TrainingSettings, step: int) -> Any:  # noqa: ANN401
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        logger.info("TensorBoard is not installed; log.csv and curves.png are still written")
        return None
    return SummaryWriter(str(settings.folder / "tensorboard"), purge_step=step + 1)


def _wandb_run(settings: TrainingSettings) -> Any:  # noqa: ANN401
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
