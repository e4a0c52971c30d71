"""Evaluation: metrics, baselines, tables and pictures. It knows volumes and metrics, no networks.

`metrics` measures a case or a set of images, `suite` applies the metrics to methods and cases, and
`report` shows the results.
"""

from AnatoMaskGANLib.evaluation.baselines import (
    LabelMeans,
    label_gaussian_image,
    label_mean_image,
)
from AnatoMaskGANLib.evaluation.report.page import ReportContents, write_report
from AnatoMaskGANLib.evaluation.report.pictures import ThreePlanes, draw_three_planes
from AnatoMaskGANLib.evaluation.report.table import Row, Table
from AnatoMaskGANLib.evaluation.suite import EvaluationCase, Measurements, evaluate_cases

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
