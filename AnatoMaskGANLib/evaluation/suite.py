"""The evaluation of methods on cases: every metric that is asked for, case by case."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from AnatoMaskGANLib.evaluation.metrics.case_metrics import GridCase, paired_metrics, to_grid_case
from AnatoMaskGANLib.evaluation.metrics.diversity import diversity
from AnatoMaskGANLib.evaluation.metrics.faithfulness import (
    Segmenter,
    faithfulness,
    samples_agreement,
)
from AnatoMaskGANLib.evaluation.metrics.perceptual import (
    FeatureMaps,
    PerceptualDistance,
    mean_feature_distance,
    mean_perceptual_distance,
)
from AnatoMaskGANLib.evaluation.metrics.slice_sets import SliceSets
from AnatoMaskGANLib.evaluation.report.table import Row, Table
from AnatoMaskGANLib.volumes import LabelMap, Volume


@dataclass(frozen=True, eq=False)
class EvaluationCase:
    """One case with its real image."""

    name: str
    real: Volume
    label_map: LabelMap
    """Labels in the model's classes, on the grid of `real`."""
    subject: str = ""
    """Person that the case belongs to; if empty, the case's own name."""


Method = Callable[[EvaluationCase], Volume]
"""Makes or reads the volume that is compared with the case's real one, on the same grid."""

Sampler = Callable[[EvaluationCase, int], Volume]
"""Makes the method's volume for a seed, to measure the diversity between seeds."""


@dataclass(frozen=True)
class Measurements:
    """Measurements in addition to the paired metrics, which are always computed."""

    perceptual: PerceptualDistance | None = None
    """LPIPS, from `metrics.perceptual.load_lpips`."""
    segmenter: Segmenter | None = None
    """Frozen network for Dice faithfulness, and for the effect of the seed on the anatomy."""
    feature_maps: FeatureMaps | None = None
    """Levels of a frozen network for a perceptual distance that needs no downloaded weights."""
    samplers: Mapping[str, Sampler] = field(default_factory=dict)
    """Method -> its sampler; no diversity is measured for methods that are not named."""
    num_samples: int = 3
    """Seeds 0, 1, ... that diversity compares."""


def evaluate_cases(
    cases: Iterable[EvaluationCase],
    methods: Mapping[str, Method],
    window: tuple[float, float],
    spacing_ijk_mm: tuple[float, float, float] | None = None,
    measurements: Measurements | None = None,
    slice_sets: SliceSets | None = None,
    on_progress: Callable[[str, str], None] | None = None,
) -> Table:
    """The table of every method on every case; window and spacing as in `to_grid_case`.

    cases: may be a generator. slice_sets: gathers the compared slices for the metrics of sets.
    on_progress: is called with the names of case and method before each comparison.
    """
    measurements = measurements or Measurements()
    rows = []
    for case in cases:
        subject = case.subject or case.name
        segmenter = measurements.segmenter
        segmented = _SegmentedOnce(segmenter) if segmenter is not None else None
        for name, method in methods.items():
            if on_progress is not None:
                on_progress(case.name, name)
            synthetic = method(case)
            on_grid = to_grid_case(case.real, synthetic, case.label_map, window, spacing_ijk_mm)
            metrics, labels = paired_metrics(on_grid)
            metrics.update(_perceptual_metrics(on_grid, measurements))
            if segmented is not None:
                found = segmented(case.real), segmented(synthetic)
                metrics.update(faithfulness(case.label_map, *found))
            if name in measurements.samplers:
                sampler = measurements.samplers[name]
                samples = [sampler(case, seed) for seed in range(measurements.num_samples)]
                grids = (
                    to_grid_case(case.real, sample, case.label_map, window, spacing_ijk_mm)
                    for sample in samples
                )
                unit_samples = [grid.synthetic_kji for grid in grids]
                metrics.update(diversity(unit_samples, on_grid.labels_kji))
                if segmented is not None:
                    metrics.update(samples_agreement([segmented(sample) for sample in samples]))
            if slice_sets is not None:
                slice_sets.add(name, subject, on_grid)
            rows.append(Row(name, case.name, subject, metrics, labels))
    return Table(tuple(rows))


class _SegmentedOnce:
    """Segments each volume of a case once: the real one is compared with every method."""

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter
        self._found: list[tuple[Volume, LabelMap]] = []

    def __call__(self, volume: Volume) -> LabelMap:
        for known, label_map in self._found:
            if known is volume:
                return label_map
        self._found.append((volume, self._segmenter(volume)))
        return self._found[-1][1]


def _perceptual_metrics(on_grid: GridCase, measurements: Measurements) -> dict[str, float]:
    images = (on_grid.real_kji, on_grid.synthetic_kji, on_grid.labels_kji)
    metrics = {}
    if measurements.perceptual is not None:
        metrics["lpips"] = mean_perceptual_distance(measurements.perceptual, *images)
    if measurements.feature_maps is not None:
        metrics["feature_distance"] = mean_feature_distance(measurements.feature_maps, *images)
    return metrics
