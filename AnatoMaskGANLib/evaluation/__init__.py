"""Metrics, baselines, tables and pictures. Knows volumes and metrics, no networks."""

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
