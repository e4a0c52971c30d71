"""All paired figures of one case: real volume, synthetic volume, label map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from AnatoMaskGANLib.evaluation.fidelity import absolute_error, slice_fidelity, volume_similarity
from AnatoMaskGANLib.evaluation.label_statistics import (
    LabelStatistics,
    label_statistics,
    summarize_labels,
)
from AnatoMaskGANLib.evaluation.protocol import to_unit_range
from AnatoMaskGANLib.evaluation.smoothness import adjacent_similarity_ratio, step_ratios
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
    synthetic_in_units_kji: np.ndarray
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

    `window` is the range of the scan's units that becomes [0,1].
    `spacing_ijk_mm` is the model's spacing along those axes; None keeps the label map's own, so
    that nothing is interpolated. Raises ValueError when the three do not lie on one grid.
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
    """Every paired figure of the case by its key in `figures.py`, and the statistics by label."""
    real_kji, synthetic_kji, labels_kji = case.real_kji, case.synthetic_kji, case.labels_kji
    statistics = label_statistics(real_kji, synthetic_kji, labels_kji)
    figures = {
        **slice_fidelity(real_kji, synthetic_kji, labels_kji),
        "ssim_3d": volume_similarity(real_kji, synthetic_kji),
        **absolute_error(case.real_in_units_kji, case.synthetic_in_units_kji, labels_kji),
        **step_ratios(real_kji, synthetic_kji, labels_kji),
        "adjacent_ssim_ratio": adjacent_similarity_ratio(real_kji, synthetic_kji, labels_kji),
        **summarize_labels(statistics),
    }
    return figures, statistics


def evaluate_case(
    real: Volume,
    synthetic: Volume,
    label_map: LabelMap,
    window: tuple[float, float],
    spacing_ijk_mm: tuple[float, float, float] | None = None,
) -> dict[str, float]:
    """Every paired figure of the case by its key in `figures.py`; arguments as `to_grid_case`."""
    return paired_metrics(to_grid_case(real, synthetic, label_map, window, spacing_ijk_mm))[0]


def own_spacing_ras_mm(label_map: LabelMap) -> tuple[float, float, float]:
    """The label map's spacing in the order of the axes nearest to right, anterior, superior."""
    axes, _ = axes_closest_to_ras(label_map.ijk_to_ras)
    right, anterior, superior = (label_map.spacing_ijk_mm[axis] for axis in axes)
    return (right, anterior, superior)
