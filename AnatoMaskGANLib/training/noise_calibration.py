"""Calibration: every label gets the noise that gives it the standard deviation of training scans.

# Differs from the paper, which only trains the gates of the noise (Eq. 2): a label of few voxels
# has so small a part in the losses that its own gate, w_c, hardly moves.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from AnatoMaskGANLib.evaluation.metrics.label_intensities import MINIMUM_VOXELS
from AnatoMaskGANLib.networks.generator import Generator
from AnatoMaskGANLib.networks.noise import NoiseInjection
from AnatoMaskGANLib.synthesis import ModelCard, Synthesizer
from AnatoMaskGANLib.volumes import LabelMap, Volume

Case = Callable[[], tuple[LabelMap, Volume]]
"""Reads a label map of the model's labels and its scan on the same grid, in the model's window."""

_LARGEST_STEP = 2.0  # factor by which the noise of a label may change in a round
_GATE_RANGE = (0.02, 0.98)  # a gate is 0 when closed and 1 when open


class CalibrationError(ValueError):
    """A model whose noise cannot be calibrated, or too few cases for it."""


@dataclass(frozen=True)
class LabelTexture:
    """Ratio of the standard deviations inside a label, synthetic over real, at noise strength 1.

    The ratios are means over the cases.
    """

    num_cases: int
    """Cases in which the label has at least 500 voxels."""
    before: float
    after: float
    shift: float
    """The number that was added to the label's gates, before the sigmoid."""


@dataclass(frozen=True)
class Calibrated:
    """A generator with other gates, and what they changed."""

    generator: Generator
    textures: Mapping[int, LabelTexture]
    """Label -> its texture, for every label that has 500 voxels in at least two cases."""


def calibrate_noise(
    card: ModelCard,
    generator: nn.Module,
    cases: Sequence[Case],
    tolerance: float = 0.05,
    rounds: int = 3,
    device: str = "cpu",
    on_progress: Callable[[float], None] | None = None,
) -> Calibrated:
    """Shifts the gates of labels whose mean ratio of standard deviations is not 1.

    A ratio may be off 1 by the tolerance. The noise of a label adds variance to what the label has
    at strength 0: with the ratio r at strength 1 and the ratio q at strength 0, the amplitude of
    the noise must change by the factor sqrt((1 - q^2) / (r^2 - q^2)). Later layers are not linear,
    so the step is repeated. A label that is too rough without any noise gets the least noise. The
    cases have to be training cases, because held-out ones must stay unseen.
    Raises CalibrationError for fewer than two cases or a generator without noise.
    """
    if not isinstance(generator, Generator) or not card.generator.use_noise3d:
        raise CalibrationError(
            f"{card.name} has no 3-D noise (use_noise3d), so there is nothing to calibrate."
        )
    if len(cases) < 2:
        raise CalibrationError(
            f"{len(cases)} case{'s' if len(cases) != 1 else ''} with labels and image; "
            "expected two or more, because the texture of one person does not stand for "
            "others."
        )
    changed = copy.deepcopy(generator)
    synthesizer = Synthesizer(card, changed, torch.device(device))
    done = _Progress(on_progress, len(cases) * (rounds + 2))
    still = _mean_ratios(_ratios(synthesizer, cases, 0.0, done))
    first = _mean_ratios(_ratios(synthesizer, cases, 1.0, done))
    ratios, shifts = dict(first), dict.fromkeys(first, 0.0)
    for _ in range(rounds):
        steps = {
            label: _step(changed, label, still[label].mean, found.mean)
            for label, found in ratios.items()
            if abs(found.mean - 1) > tolerance
        }
        if not steps:
            break
        for label, step in steps.items():
            shifts[label] += step
            for noise in _injections(changed):
                noise.class_gate.weight[label] += step
        synthesizer = Synthesizer(card, changed, torch.device(device))
        ratios = _mean_ratios(_ratios(synthesizer, cases, 1.0, done))
    textures = {
        label: LabelTexture(found.num_cases, found.mean, ratios[label].mean, shifts[label])
        for label, found in first.items()
    }
    return Calibrated(changed.cpu(), textures)


@dataclass(frozen=True)
class _Ratio:
    num_cases: int
    mean: float


class _Progress:
    """Counts the volumes that are done, and reports the fraction of all."""

    def __init__(self, report: Callable[[float], None] | None, total: int) -> None:
        self._report, self._total, self._count = report, total, 0

    def one_more(self) -> None:
        self._count += 1
        if self._report is not None:
            self._report(self._count / self._total)


def _ratios(
    synthesizer: Synthesizer, cases: Sequence[Case], strength: float, done: _Progress
) -> Iterator[dict[int, float]]:
    """The ratio of each large label, for every case; case i has the noise of seed i."""
    for seed, read in enumerate(cases):
        label_map, scan = read()
        volume = synthesizer.synthesize(label_map, seed=seed, noise_strength=strength)
        synthetic, real = volume.voxels_kji.ravel(), scan.voxels_kji.ravel()
        labels = label_map.labels_kji.ravel()
        counts = np.bincount(labels)
        found = {}
        for label in np.flatnonzero(counts >= MINIMUM_VOXELS):
            chosen = labels == label
            real_deviation = float(real[chosen].std(dtype=np.float64))
            if label and real_deviation > 0:
                deviation = float(synthetic[chosen].std(dtype=np.float64))
                found[int(label)] = deviation / real_deviation
        done.one_more()
        yield found


def _mean_ratios(by_case: Iterator[dict[int, float]]) -> dict[int, _Ratio]:
    """Label -> mean ratio over cases, for labels that two cases or more have."""
    found: dict[int, list[float]] = {}
    for ratios in by_case:
        for label, ratio in ratios.items():
            found.setdefault(label, []).append(ratio)
    return {
        label: _Ratio(len(ratios), float(np.mean(ratios)))
        for label, ratios in sorted(found.items())
        if len(ratios) > 1
    }


def _injections(generator: Generator) -> list[NoiseInjection]:
    return [module for module in generator.modules() if isinstance(module, NoiseInjection)]


def _step(generator: Generator, label: int, still: float, ratio: float) -> float:
    """The number to add to the gates of a label, in the logarithm of their odds."""
    wanted, has = max(0.0, 1 - still**2), ratio**2 - still**2
    factor = math.sqrt(wanted / has) if has > 0 else _LARGEST_STEP
    factor = min(max(factor, 1 / _LARGEST_STEP), _LARGEST_STEP)
    gates = [
        noise.class_gate.weight[label] + noise.gate.bias
        for noise in _injections(generator)
        if noise.gate.bias is not None
    ]
    now = float(torch.cat(gates).mean())
    gate = 1 / (1 + math.exp(-now))
    low, high = _GATE_RANGE
    wanted_gate = min(max(factor * gate, low), high)
    return math.log(wanted_gate / (1 - wanted_gate)) - now
