"""A plot view: the chart that its view node names, drawn by VTK's charts as in the application."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
import vtkmodules.vtkChartsCore as charts
import vtkmodules.vtkRenderingContextOpenGL2  # noqa: F401  registers the factories of the 2-D scene
import vtkmodules.vtkViewsContext2D as context

from slicer_host.pythonqt import qt
from slicer_host.view_frame import add_bar_and_canvas, picture_size, show_picture
from slicer_host.views import pixels_of

BAR_COLOR = "#c9c9c9"


class PlotWidget(qt.QWidget):
    """Drawn anew when `draw` is called or the widget is shown; lines only, no bars or points."""

    def __init__(self, app, tag, label):
        super().__init__()
        self._scene = app.scene
        self.node = app.scene.GetSingletonNode(tag, "vtkMRMLPlotViewNode")
        if self.node is None:
            self.node = slicer.vtkMRMLPlotViewNode()
            self.node.SetSingletonTag(tag)
            self.node.SetLayoutName(tag)
            self.node.SetName(tag)
            app.scene.AddNode(self.node)
        _, self.canvas = add_bar_and_canvas(self, label, BAR_COLOR)
        self.node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self.draw())

    def mrmlPlotViewNode(self):
        return self.node

    def resizeEvent(self, event):
        self.draw()

    def draw(self):
        if not self.isVisible():
            return
        show_picture(self.canvas, self.picture(*picture_size(self.canvas)))

    def picture(self, width: int, height: int) -> np.ndarray:
        """[height, width, 3] bytes, first row on top."""
        view = context.vtkContextView()
        window = view.GetRenderWindow()
        window.SetOffScreenRendering(True)
        window.SetMultiSamples(0)
        window.SetSize(width, height)
        view.GetRenderer().SetBackground(1, 1, 1)
        node = self.node.GetPlotChartNode()
        if node is not None:
            view.GetScene().AddItem(self._chart(node))
        window.Render()
        return pixels_of(window)

    def _chart(self, node) -> charts.vtkChartXY:
        chart = charts.vtkChartXY()
        chart.SetTitle(node.GetTitle() or "")
        chart.SetShowLegend(True)
        titles = (node.GetYAxisTitle(), node.GetXAxisTitle())  # axis 0 is the left one
        for number, title in enumerate(titles):
            chart.GetAxis(number).SetTitle(title or "")
        for number in range(node.GetNumberOfPlotSeriesNodes()):
            series = node.GetNthPlotSeriesNode(number)
            table = series.GetTableNode().GetTable()
            plot = chart.AddPlot(charts.vtkChart.LINE)
            plot.SetInputData(table, series.GetXColumnName(), series.GetYColumnName())
            plot.SetColorF(*series.GetColor())
            plot.SetWidth(series.GetLineWidth())
            isDashed = series.GetLineStyle() == slicer.vtkMRMLPlotSeriesNode.LineStyleDash
            plot.GetPen().SetLineType(vtk.vtkPen.DASH_LINE if isDashed else vtk.vtkPen.SOLID_LINE)
            plot.SetLabel(series.GetName())
        return chart
