"""A slice view with its bar, drawn again shortly after anything in it changed."""

from __future__ import annotations

import vtk

from slicer_host.pythonqt import qt
from slicer_host.views import SliceView

# As Slicer colors the bars of its views.
BAR_COLORS = {"Axial": "#f34a33", "Coronal": "#6eb04b", "Sagittal": "#edd54c"}


class SliceWidget(qt.QWidget):
    def __init__(self, app, name, orientation, color=None, label=None):
        super().__init__()
        self.view = SliceView(app, name, orientation)
        self.bar = qt.QLabel("  " + (label or f"{name}: {orientation}"))
        self.bar.setStyleSheet(f"background:{color or BAR_COLORS[orientation]}; color:black;")
        self.bar.setFixedHeight(20)
        self.canvas = qt.QLabel()
        self.canvas.setMinimumSize(120, 120)
        ignored = qt.QSizePolicy.Policy.Ignored
        self.canvas.setSizePolicy(ignored, ignored)
        layout = qt.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.bar)
        layout.addWidget(self.canvas, 1)
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(60)
        self._timer.timeout.connect(self.draw)
        self.view.logic.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self._timer.start())

    def sliceLogic(self):
        return self.view.logic

    def mrmlSliceNode(self):
        return self.view.node

    def mrmlSliceCompositeNode(self):
        return self.view.logic.GetSliceCompositeNode()

    def draw(self):
        if not self.isVisible():
            return
        pixels = self.view.picture(max(self.canvas.width, 64), max(self.canvas.height, 64))
        height, width, _ = pixels.shape
        kind = qt.QImage.Format.Format_RGB888
        image = qt.QImage(pixels.data, width, height, 3 * width, kind)
        self.canvas.setPixmap(qt.QPixmap.fromImage(image))

    def resizeEvent(self, event):
        self.view.logic.ResizeSliceNode(max(self.canvas.width, 64), max(self.canvas.height, 64))
        self._timer.start()

    def showEvent(self, event):
        self._timer.start()
