"""A plot view: the chart that its view node names, drawn by VTK's charts as in the application."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
import vtkmodules.vtkChartsCore as charts
import vtkmodules.vtkRenderingContextOpenGL2  # noqa: F401  registers the factories of the 2-D scene
import vtkmodules.vtkViewsContext2D as context
from vtk.util.numpy_support import vtk_to_numpy

from slicer_host.pythonqt import qt

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
        bar = qt.QLabel(f"  {label}")
        bar.setStyleSheet(f"background:{BAR_COLOR}; color:black;")
        bar.setFixedHeight(20)
        self.canvas = qt.QLabel()
        self.canvas.setMinimumSize(120, 120)
        ignored = qt.QSizePolicy.Policy.Ignored
        self.canvas.setSizePolicy(ignored, ignored)
        layout = qt.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(bar)
        layout.addWidget(self.canvas, 1)
        self.node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self.draw())

    def mrmlPlotViewNode(self):
        return self.node

    def resizeEvent(self, event):
        self.draw()

    def draw(self):
        if not self.isVisible():
            return
        pixels = self.picture(max(self.canvas.width, 64), max(self.canvas.height, 64))
        height, width, _ = pixels.shape
        kind = qt.QImage.Format.Format_RGB888
        image = qt.QImage(pixels.data, width, height, 3 * width, kind)
        self.canvas.setPixmap(qt.QPixmap.fromImage(image))

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
        grabber = vtk.vtkWindowToImageFilter()
        grabber.SetInput(window)
        grabber.ReadFrontBufferOff()
        grabber.Update()
        columns, rows, _ = grabber.GetOutput().GetDimensions()
        pixels = vtk_to_numpy(grabber.GetOutput().GetPointData().GetScalars())
        return np.ascontiguousarray(pixels.reshape(rows, columns, 3)[::-1])

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
