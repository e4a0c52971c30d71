"""Evaluation: metrics, baselines, tables and pictures. It knows volumes and metrics, no networks.

`metrics` measures a case or a set of images, `suite` applies the metrics to methods and cases, and
`report` shows the results.
"""

from typing import TYPE_CHECKING

from AnatoMaskGANLib.lazy_names import lazy_names

if TYPE_CHECKING:
    from AnatoMaskGANLib.evaluation.baselines import (
        LabelMeans,
        label_gaussian_image,
        label_mean_image,
    )
    from AnatoMaskGANLib.evaluation.report.page import ReportContents, write_report
    from AnatoMaskGANLib.evaluation.report.pictures import ThreePlanes, draw_three_planes
    from AnatoMaskGANLib.evaluation.report.table import Row, Table
    from AnatoMaskGANLib.evaluation.suite import EvaluationCase, Measurements, evaluate_cases

# The files that import Matplotlib, scikit-image and SciPy.
__getattr__ = lazy_names(
    __name__,
    {
        "EvaluationCase": "suite",
        "LabelMeans": "baselines",
        "Measurements": "suite",
        "ReportContents": "report.page",
        "Row": "report.table",
        "Table": "report.table",
        "ThreePlanes": "report.pictures",
        "draw_three_planes": "report.pictures",
        "evaluate_cases": "suite",
        "label_gaussian_image": "baselines",
        "label_mean_image": "baselines",
        "write_report": "report.page",
    },
)

__all__ = [
    "EvaluationCase",
    "LabelMeans",
    "Measurements",
    "ReportContents",
    "Row",
    "Table",
    "ThreePlanes",
    "draw_three_planes",
    "evaluate_cases",
    "label_gaussian_image",
    "label_mean_image",
    "write_report",
]
