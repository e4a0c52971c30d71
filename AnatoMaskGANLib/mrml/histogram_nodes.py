"""The nodes that show how intensities are distributed by label: a table, two series and a chart."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import slicer
from vtk.util.numpy_support import numpy_to_vtk

from AnatoMaskGANLib.mrml.referred_nodes import own_node, referred_node

TABLE_ROLE = "AnatoMaskGAN.HistogramTable"
CHART_ROLE = "AnatoMaskGAN.HistogramChart"
SERIES_ROLES = {"real": "AnatoMaskGAN.RealHistogram", "synthetic": "AnatoMaskGAN.MadeHistogram"}
# Blue, and orange in dashes: they differ without color vision as well.
COLORS = {"real": (0.0, 0.45, 0.7), "synthetic": (0.9, 0.5, 0.0)}


def update_histograms(
    synthetic_node: slicer.vtkMRMLScalarVolumeNode,
    histograms: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]],
    unit: str,
) -> slicer.vtkMRMLPlotChartNode:
    """The chart of a comparison, of the first label; nodes of an earlier one are used again.

    histograms: name of the label to the intensities of its bins, and the percentage of the label's
    voxels in each, real and synthetic. unit: that of the intensities, "" for none.
    """
    table = referred_node(synthetic_node, TABLE_ROLE, "vtkMRMLTableNode", "histograms")
    table.RemoveAllColumns()
    num_rows = max(len(centers) for centers, _, _ in histograms.values())
    for label, (centers, real, synthetic) in histograms.items():
        for what, values in (("intensity", centers), ("real", real), ("synthetic", synthetic)):
            # The columns of a table are of one length; a last point drawn twice is not seen.
            filled = np.pad(np.asarray(values, np.float64), (0, num_rows - len(values)), "edge")
            array = numpy_to_vtk(filled, deep=True)
            array.SetName(_column(label, what))
            table.AddColumn(array)
    chart = referred_node(synthetic_node, CHART_ROLE, "vtkMRMLPlotChartNode", "histogram")
    chart.RemoveAllPlotSeriesNodeIDs()
    for which, role in SERIES_ROLES.items():
        series = referred_node(synthetic_node, role, "vtkMRMLPlotSeriesNode", f"histogram, {which}")
        series.SetAndObserveTableNodeID(table.GetID())
        series.SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter)
        series.SetMarkerStyle(slicer.vtkMRMLPlotSeriesNode.MarkerStyleNone)
        is_real = which == "real"
        line = slicer.vtkMRMLPlotSeriesNode
        series.SetLineStyle(line.LineStyleSolid if is_real else line.LineStyleDash)
        series.SetLineWidth(2)
        series.SetColor(COLORS[which])
        chart.AddAndObservePlotSeriesNodeID(series.GetID())
    chart.SetXAxisTitle(f"Intensity ({unit})" if unit else "Intensity")
    chart.SetYAxisTitle("Voxels of the label (%)")
    show_histogram(chart, next(iter(histograms)))
    return chart


def show_histogram(chart: slicer.vtkMRMLPlotChartNode, label: str) -> None:
    """Let the chart show another label; KeyError when its table has none of that name."""
    if label not in histogram_labels(chart):
        raise KeyError(f"There is no histogram of {label!r}: {histogram_labels(chart)}")
    for number, which in enumerate(SERIES_ROLES):
        series = chart.GetNthPlotSeriesNode(number)
        series.SetXColumnName(_column(label, "intensity"))
        series.SetYColumnName(_column(label, which))
        series.SetName(which)
    chart.SetTitle(label)


def histogram_labels(chart: slicer.vtkMRMLPlotChartNode) -> list[str]:
    """The names of the labels that the chart can show."""
    series = chart.GetNthPlotSeriesNode(0)
    table = series.GetTableNode() if series is not None else None
    if table is None:
        return []
    end = _column("", "intensity")
    names = [table.GetColumnName(number) for number in range(table.GetNumberOfColumns())]
    return [name.removesuffix(end) for name in names if name.endswith(end)]


def histogram_chart_of(
    synthetic_node: slicer.vtkMRMLScalarVolumeNode,
) -> slicer.vtkMRMLPlotChartNode | None:
    """The chart of an earlier comparison of the volume, also from a saved scene."""
    return own_node(synthetic_node, CHART_ROLE)


def shown_label(chart: slicer.vtkMRMLPlotChartNode) -> str:
    """The name of the label that the chart shows; "" for none."""
    return chart.GetTitle() or ""


def _column(label: str, what: str) -> str:
    return f"{label}: {what}"
