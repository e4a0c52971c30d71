"""Checks that a model makes intensities: finite, and inside the window of its card.

Weights can be finite and the images not: numbers grow until they overflow, or a normalization
divides by the root of a negative variance. Every image of a synthesis passes this check, before
anything is made of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from AnatoMaskGANLib.synthesis.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

    from AnatoMaskGANLib.synthesis.models.model_card import ModelCard

MOST_OUTSIDE = 1e-3
"""How far an intensity may lie outside the window, as a fraction of it. Ours: a sigmoid ends at the
window, so only rounding (of 16 bits at most) goes beyond."""


def check_image(card: ModelCard, image: np.ndarray) -> None:
    """Raises CheckpointError for an image [H,W] with values that are not numbers, or outside 0 to 1
    by more than `MOST_OUTSIDE`."""
    least, most = float(image.min(initial=0.5)), float(image.max(initial=0.5))
    # a value that is not a number fails both comparisons
    if least >= -MOST_OUTSIDE and most <= 1 + MOST_OUTSIDE:
        return
    if np.isfinite(image).all():
        found = f"values from {least:g} to {most:g}; expected 0 to 1"
    else:
        found = "values that are not numbers"
    raise CheckpointError(
        f"The model {card.name} makes {found}. Its weights are damaged or were not trained to the "
        "end; get it again, or use another model."
    )


def check_logits(card: ModelCard, logits: Tensor) -> None:
    """Raises CheckpointError for class scores with values that are not numbers."""
    if not logits.isfinite().all():
        raise CheckpointError(
            f"The model {card.name} makes class scores that are not numbers. Its weights are "
            "damaged or were not trained to the end; get it again, or use another model."
        )
