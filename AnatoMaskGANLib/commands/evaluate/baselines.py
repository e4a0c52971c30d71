"""The baselines of a case, with which every model is compared, and the comparison itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from AnatoMaskGANLib.evaluation import EvaluationCase, Row
    from AnatoMaskGANLib.evaluation.suite import Method
    from AnatoMaskGANLib.synthesis import ModelCard
    from AnatoMaskGANLib.volumes import LabelMap, Volume

LABEL_MEAN = "label-mean image"
LABEL_GAUSSIAN = "per-label Gaussian"
NEAREST = "nearest training subject"


def as_methods(volumes: Mapping[str, Volume]) -> dict[str, Method]:
    """Methods that give these volumes, whatever the case."""
    return {name: _method_of(volume) for name, volume in volumes.items()}


def _method_of(volume: Volume) -> Method:
    return lambda case: volume


def labels_without_mean(label_map: LabelMap, card: ModelCard) -> tuple[str, ...]:
    """Value and name of the map's labels that no training subject of the model had."""
    from AnatoMaskGANLib.evaluation import LabelMeans

    missing = LabelMeans.from_json(card.label_statistics).missing_from(label_map)
    return tuple(f"{value} {label_map.names.get(value, '')}".strip() for value in missing)


def label_mean_volume(case: EvaluationCase, card: ModelCard) -> Volume:
    """The label-mean image of the case, from the training means in the model's card."""
    from AnatoMaskGANLib.evaluation import LabelMeans, label_mean_image

    means = LabelMeans.from_json(card.label_statistics).covering(case.label_map)
    return label_mean_image(case.label_map, means, card.window, card.unit)


def label_gaussian_volume(case: EvaluationCase, card: ModelCard, seed: int) -> Volume:
    """The per-label Gaussian image of the case, from the statistics in the model's card."""
    from AnatoMaskGANLib.evaluation import LabelMeans, label_gaussian_image

    means = LabelMeans.from_json(card.label_statistics).covering(case.label_map)
    return label_gaussian_image(case.label_map, means, card.window, seed, card.unit)


def compare(
    case: EvaluationCase, volumes: Mapping[str, Volume], card: ModelCard
) -> tuple[Row, ...]:
    """A row of metrics for every volume, by the paper's protocol."""
    from AnatoMaskGANLib.evaluation import evaluate_cases

    return evaluate_cases([case], as_methods(volumes), card.window, card.spacing_ijk_mm).rows
