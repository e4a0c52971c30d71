"""Learning rates and the freezing of statistics as functions of the step."""

from __future__ import annotations

import math

from AnatoMaskGANLib.training.settings import OptimizerSettings


def rate_share(settings: OptimizerSettings, step: int) -> float:
    """Factor on the learning rates at a step, 1 at the start of a run without warm-up."""
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
