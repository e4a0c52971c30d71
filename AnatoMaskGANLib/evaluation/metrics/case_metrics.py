"""All metrics of one case: of its synthetic volume, or of another person's scan in its place.

People differ: the standard deviation inside a label, the steps between slices and the intensities
of a tissue are not the same in two real scans. How far apart two real ones lie is what an image
made from labels alone can at best be held to.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from AnatoMaskGANLib.evaluation.metrics.fidelity import (
    absolute_error,
    adjacent_similarity_ratio,
    mean_step,
    slice_fidelity,
    step_ratios,
    volume_similarity,
)
from AnatoMaskGANLib.evaluation.metrics.label_intensities import (
    LabelStatistics,
    label_statistics,
    summarize_labels,
)
from AnatoMaskGANLib.evaluation.metrics.protocol import to_unit_range
from AnatoMaskGANLib.volumes import (
    LabelMap,
    Volume,
    same_grid,
    to_model_grid,
    volume_to_model_grid,
)
from AnatoMaskGANLib.volumes.geometry import axes_closest_to_ras


@dataclass(frozen=True, eq=False)
class GridCase:
    """Real image, synthetic image and labels of one case on the axial model grid."""

    real_in_units_kji: np.ndarray
    """The real image in the unit of the scan."""
    synthetic_in_units_kji: np.ndarray
    """The synthetic image in the unit of the scan."""
    real_kji: np.ndarray
    """float32 in [0,1] after the window, clipped."""
    synthetic_kji: np.ndarray
    """float32 in [0,1] after the window, clipped."""
    labels_kji: np.ndarray
    """The model's classes, 0 is background."""


def to_grid_case(
    real: Volume,
    synthetic: Volume,
    label_map: LabelMap,
    window: tuple[float, float],
    spacing_ijk_mm: tuple[float, float, float] | None = None,
) -> GridCase:
    """The case on the model grid: axes turned to right, anterior, superior; K counts axial slices.

    window: range of the scan's units that becomes [0,1]. spacing_ijk_mm: the model's spacing along
    those axes; None keeps the label map's own, so that nothing is interpolated. Raises ValueError
    if the three do not lie on one grid.
    """
    for name, volume in (("real", real), ("synthetic", synthetic)):
        if not same_grid(volume, label_map):
            raise ValueError(
                f"The {name} volume has {volume.voxels_kji.shape[::-1]} voxels and its own "
                f"geometry; expected the grid of the label map, {label_map.labels_kji.shape[::-1]} "
                "voxels. Resample the volume to the label map before comparing."
            )
    on_grid = to_model_grid(label_map, spacing_ijk_mm or own_spacing_ras_mm(label_map))
    real_kji = volume_to_model_grid(real, on_grid).voxels_kji
    synthetic_kji = volume_to_model_grid(synthetic, on_grid).voxels_kji
    return GridCase(
        real_in_units_kji=real_kji,
        synthetic_in_units_kji=synthetic_kji,
        real_kji=to_unit_range(real_kji, window),
        synthetic_kji=to_unit_range(synthetic_kji, window),
        labels_kji=on_grid.labels_kji,
    )


def paired_metrics(case: GridCase) -> tuple[dict[str, float], dict[int, LabelStatistics]]:
    """Every paired metric of the case by its key in `definitions`, and the statistics by label."""
    real_kji, synthetic_kji, labels_kji = case.real_kji, case.synthetic_kji, case.labels_kji
    statistics = label_statistics(real_kji, synthetic_kji, labels_kji)
    metrics = {
        **slice_fidelity(real_kji, synthetic_kji, labels_kji),
        "ssim_3d": volume_similarity(real_kji, synthetic_kji),
        **absolute_error(case.real_in_units_kji, case.synthetic_in_units_kji, labels_kji),
        **step_ratios(real_kji, synthetic_kji, labels_kji),
        "adjacent_ssim_ratio": adjacent_similarity_ratio(real_kji, synthetic_kji, labels_kji),
        **summarize_labels(statistics),
    }
    return metrics, statistics


def own_spacing_ras_mm(label_map: LabelMap) -> tuple[float, float, float]:
    """The label map's spacing in the order of the axes nearest to right, anterior, superior."""
    axes, _ = axes_closest_to_ras(label_map.ijk_to_ras)
    right, anterior, superior = (label_map.spacing_ijk_mm[axis] for axis in axes)
    return (right, anterior, superior)


@dataclass(frozen=True, eq=False)
class Subject:
    """A real scan of a person with its labels, on the axial model grid."""

    image_kji: np.ndarray
    """float32 in [0,1] after the window."""
    labels_kji: np.ndarray

    @cached_property
    def intensities(self) -> dict[int, np.ndarray]:
        """Label -> the intensities [N] of its voxels; the background is left out."""
        order = np.argsort(self.labels_kji, axis=None, kind="stable")
        values, starts = np.unique(self.labels_kji.ravel()[order], return_index=True)
        parts = np.split(self.image_kji.ravel()[order], starts[1:])
        return {int(value): part for value, part in zip(values, parts, strict=True) if value != 0}

    @cached_property
    def steps(self) -> tuple[float, float]:
        """Mean absolute step between slices, and between pixels, inside the labels."""
        k, j, i = (mean_step(self.image_kji, self.labels_kji, axis) for axis in range(3))
        return k, (j + i) / 2


def unpaired_metrics(
    own: Subject, other: Subject
) -> tuple[dict[str, float], dict[int, LabelStatistics]]:
    """Metrics of another person's scan in the place of the synthetic one, and those by label.

    They are those that compare no pairs of voxels. The fewer voxels of the two scans count for a
    label, so that labels which are small in either scan stay out of the means.
    """
    labels = {
        value: LabelStatistics.of(own.intensities[value], other.intensities[value])
        for value in own.intensities.keys() & other.intensities.keys()
    }
    labels = dict(sorted(labels.items()))
    ratios = [
        theirs / ours if ours > 0 else math.nan
        for ours, theirs in zip(own.steps, other.steps, strict=True)
    ]
    metrics = {"dz_ratio": ratios[0], "dxy_ratio": ratios[1], **summarize_labels(labels)}
    return metrics, labels
