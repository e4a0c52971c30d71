"""The evaluation of methods on cases: one case in memory at a time, every figure that is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from AnatoMaskGANLib.evaluation.case_metrics import GridCase, paired_metrics, to_grid_case
from AnatoMaskGANLib.evaluation.diversity import diversity
from AnatoMaskGANLib.evaluation.faithfulness import Segmenter, faithfulness, samples_agreement
from AnatoMaskGANLib.evaluation.feature_distance import FeatureMaps, mean_feature_distance
from AnatoMaskGANLib.evaluation.perceptual import PerceptualDistance, mean_perceptual_distance
from AnatoMaskGANLib.evaluation.slice_sets import SliceSets
from AnatoMaskGANLib.evaluation.table import Row, Table
from AnatoMaskGANLib.volumes import LabelMap, Volume


@dataclass(frozen=True, eq=False)
class EvaluationCase:
    """One case with its real image; `subject` groups the cases of one person."""

    name: str
    real: Volume
    label_map: LabelMap
    """Labels in the model's classes, on the grid of `real`."""
    subject: str = ""
    """Person the case belongs to; empty: the case's own name."""


Method = Callable[[EvaluationCase], Volume]
"""Makes, or reads, the volume that is compared with the case's real one, on the same grid."""

Sampler = Callable[[EvaluationCase, int], Volume]
"""The method's volume for a seed: for the diversity between seeds."""


@dataclass(frozen=True)
class Measurements:
    """What is measured beside the paired figures, which always are."""

    perceptual: PerceptualDistance | None = None
    """LPIPS, from `perceptual.load_lpips`."""
    segmenter: Segmenter | None = None
    """Frozen network for Dice faithfulness, and for what the seed does to the anatomy."""
    feature_maps: FeatureMaps | None = None
    """Levels of a frozen network for a perceptual distance that needs no downloaded weights."""
    samplers: Mapping[str, Sampler] = field(default_factory=dict)
    """Method -> its sampler; methods that are not named have no diversity."""
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
    """The table of every method on every case; `window` and spacing as in `to_grid_case`.

    `cases` may be a generator. `slice_sets` gathers the compared slices for the figures of sets.
    `on_progress(case, method)` is called before each comparison.
    """
    measurements = measurements or Measurements()
    rows = []
    for case in cases:
        subject = case.subject or case.name
        segmented = _SegmentedOnce(measurements.segmenter)
        for name, method in methods.items():
            if on_progress is not None:
                on_progress(case.name, name)
            synthetic = method(case)
            on_grid = to_grid_case(case.real, synthetic, case.label_map, window, spacing_ijk_mm)
            figures, labels = paired_metrics(on_grid)
            figures.update(_learned_figures(on_grid, measurements))
            if measurements.segmenter is not None:
                found = segmented(case.real), segmented(synthetic)
                figures.update(faithfulness(case.label_map, *found))
            if name in measurements.samplers:
                sampler = measurements.samplers[name]
                samples = [sampler(case, seed) for seed in range(measurements.num_samples)]
                grids = (
                    to_grid_case(case.real, sample, case.label_map, window, spacing_ijk_mm)
                    for sample in samples
                )
                unit_samples = [grid.synthetic_kji for grid in grids]
                figures.update(diversity(unit_samples, on_grid.labels_kji))
                if measurements.segmenter is not None:
                    figures.update(samples_agreement([segmented(sample) for sample in samples]))
            if slice_sets is not None:
                slice_sets.add(name, subject, on_grid)
            rows.append(Row(name, case.name, subject, figures, labels))
    return Table(tuple(rows))


class _SegmentedOnce:
    """A case's segmentations: the real volume stands beside every method, a sample may be one."""

    def __init__(self, segmenter: Segmenter | None) -> None:
        self._segmenter = segmenter
        self._found: list[tuple[Volume, LabelMap]] = []

    def __call__(self, volume: Volume) -> LabelMap:
        for known, label_map in self._found:
            if known is volume:
                return label_map
        self._found.append((volume, self._segmenter(volume)))
        return self._found[-1][1]


def _learned_figures(on_grid: GridCase, measurements: Measurements) -> dict[str, float]:
    images = (on_grid.real_kji, on_grid.synthetic_kji, on_grid.labels_kji)
    figures = {}
    if measurements.perceptual is not None:
        figures["lpips"] = mean_perceptual_distance(measurements.perceptual, *images)
    if measurements.feature_maps is not None:
        figures["feature_distance"] = mean_feature_distance(measurements.feature_maps, *images)
    return figures
