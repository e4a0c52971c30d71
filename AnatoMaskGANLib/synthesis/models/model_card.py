"""The card of a model, and the bounds of its numbers: no card can ask for the whole machine."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from AnatoMaskGANLib.config import GeneratorSettings
from AnatoMaskGANLib.synthesis.errors import CheckpointError
from AnatoMaskGANLib.volumes import LabelTable, VolumeError

SPACINGS_MM = (0.01, 100.0)
"""Voxel sizes that a model may have; ours: from micro-CT to far coarser than any scan."""
LARGEST_INTENSITY = 1e9
"""The largest intensity of a window; ours."""
LEAST_WINDOW = 1e-4
"""Width of a window over its larger end: 32 bits hold a thousand steps of it; ours."""
MOST_VOXELS_OF_NOISE = 1000
"""Longest correlation length of the noise, in voxels of the grid; ours."""
_LABEL_MEANS = (-0.5, 1.5)
_LABEL_DEVIATIONS = (0.0, 1.0)


@dataclass(frozen=True)
class ModelCard:
    """A description of a model: what it is, needs and may be used for."""

    name: str
    description: str
    generator: GeneratorSettings
    label_table: Mapping[str, Any]
    """name, labels, codes, aliases, swaps: as a label table file of Resources/LabelTables."""
    spacing_ijk_mm: tuple[float, float, float]
    """Voxel size of the model's grid: axial slices, I to the right, J to the front, K up."""
    window: tuple[float, float]
    """Intensities that the model's 0 and 1 stand for."""
    unit: str
    """Unit of these intensities; empty for MR."""
    training_data: str
    licence: str
    not_for: str
    """Uses that the model is not made for."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    label_statistics: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Label value -> (mean, standard deviation) of the training images in [0,1]: the label-mean
    baseline."""
    output_labels: Mapping[str, Any] = field(default_factory=dict)
    """Label table of the second head, of a model that makes image and labels; empty for others."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """Steps, seconds, settings of the run."""
    sha256: str = ""
    """SHA-256 of the weights file; filled in when the model is read."""
    path: str = ""
    """Path of the model folder; filled in when the model is read."""


def check_card(card: ModelCard, path: Path) -> None:
    """Raises CheckpointError for a card with a number out of bounds, or with two parts that do not
    fit each other. path: path of the model, for the message."""
    _check_window(card, path)
    _check_spacing(card, path)
    _check_labels("labels", card.label_table, card.generator.num_classes, path)
    if card.generator.label_outputs:
        _check_labels("output labels", card.output_labels, card.generator.label_outputs, path)
    for value, entry in card.label_statistics.items():
        is_pair = isinstance(entry, list | tuple) and len(entry) == 2
        ranges = (_LABEL_MEANS, _LABEL_DEVIATIONS)
        if not (
            str(value).isdecimal()
            and len(str(value)) <= 4
            and is_pair
            and all(_is_within(number, *ends) for number, ends in zip(entry, ranges, strict=True))
        ):
            raise CheckpointError(
                f"{path}: the label statistics {value!r:.20}: {entry!r:.60} are none; expected a "
                "label value with a mean and a standard deviation in [0,1]"
            )


def _check_window(card: ModelCard, path: Path) -> None:
    low, high = card.window
    largest = max(abs(low), abs(high))
    if not (low < high and largest <= LARGEST_INTENSITY and high - low >= LEAST_WINDOW * largest):
        raise CheckpointError(
            f"{path}: the window {card.window} is empty, not finite or out of bounds; expected two "
            f"ascending numbers up to {LARGEST_INTENSITY:g}, apart by {LEAST_WINDOW:g} of the "
            "larger one or more"
        )


def _check_spacing(card: ModelCard, path: Path) -> None:
    if not all(_is_within(spacing, *SPACINGS_MM) for spacing in card.spacing_ijk_mm):
        raise CheckpointError(
            f"{path}: the spacing {card.spacing_ijk_mm} is out of bounds; expected "
            f"{SPACINGS_MM[0]:g} to {SPACINGS_MM[1]:g} mm"
        )
    longest = max(card.generator.noise_sigmas_mm)
    if longest > MOST_VOXELS_OF_NOISE * min(card.spacing_ijk_mm):
        raise CheckpointError(
            f"{path}: noise of {longest:g} mm on a grid of {min(card.spacing_ijk_mm):g} mm is out "
            f"of bounds; expected at most {MOST_VOXELS_OF_NOISE} voxels"
        )


def _check_labels(what: str, content: Mapping[str, Any], num_classes: int, path: Path) -> None:
    try:
        values = list(LabelTable.from_dict(content).labels)
    except (VolumeError, TypeError) as error:
        raise CheckpointError(
            f"{path}: the label table of the card is damaged: {error!s:.300}"
        ) from error
    if max(values) >= num_classes or min(values) < 1:
        raise CheckpointError(
            f"{path}: the {what} of the card do not match its {num_classes} classes"
        )


def _is_within(number: Any, low: float, high: float) -> bool:
    is_number = isinstance(number, int | float) and not isinstance(number, bool)
    return is_number and math.isfinite(number) and low <= number <= high
