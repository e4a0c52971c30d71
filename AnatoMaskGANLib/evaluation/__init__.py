"""Metrics, baselines, tables and pictures. Knows volumes and metrics, no networks."""

from typing import TYPE_CHECKING

from AnatoMaskGANLib.lazy_names import lazy_names

if TYPE_CHECKING:
    from AnatoMaskGANLib.evaluation.baselines import (
        LabelMeans,
        label_gaussian_image,
        label_mean_image,
        measure_label_means,
    )
    from AnatoMaskGANLib.evaluation.case_metrics import evaluate_case
    from AnatoMaskGANLib.evaluation.pictures import draw_three_planes
    from AnatoMaskGANLib.evaluation.report import write_report
    from AnatoMaskGANLib.evaluation.suite import EvaluationCase, Measurements, evaluate_cases
    from AnatoMaskGANLib.evaluation.table import Row, Table

# The files that import Matplotlib, scikit-image and SciPy.
__getattr__ = lazy_names(
    __name__,
    {
        "EvaluationCase": "suite",
        "LabelMeans": "baselines",
        "Measurements": "suite",
        "Row": "table",
        "Table": "table",
        "draw_three_planes": "pictures",
        "evaluate_case": "case_metrics",
        "evaluate_cases": "suite",
        "label_gaussian_image": "baselines",
        "label_mean_image": "baselines",
        "measure_label_means": "baselines",
        "write_report": "report",
    },
)

__all__ = [
    "EvaluationCase",
    "LabelMeans",
    "Measurements",
    "Row",
    "Table",
    "draw_three_planes",
    "evaluate_case",
    "evaluate_cases",
    "label_gaussian_image",
    "label_mean_image",
    "measure_label_means",
    "write_report",
]
