"""A slice view with its bar, drawn again shortly after anything in it changed."""

from __future__ import annotations

import vtk

from slicer_host.pythonqt import qt
from slicer_host.view_frame import add_bar_and_canvas, picture_size, show_picture
from slicer_host.views import SliceView

# As Slicer colors the bars of its views.
BAR_COLORS = {"Axial": "#f34a33", "Coronal": "#6eb04b", "Sagittal": "#edd54c"}


class SliceWidget(qt.QWidget):
    def __init__(self, app, name, orientation, color=None, label=None):
        super().__init__()
        self.view = SliceView(app, name, orientation)
        self.bar, self.canvas = add_bar_and_canvas(
            self, label or f"{name}: {orientation}", color or BAR_COLORS[orientation]
        )
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
        show_picture(self.canvas, self.view.picture(*picture_size(self.canvas)))

    def resizeEvent(self, event):
        self.view.logic.ResizeSliceNode(*picture_size(self.canvas))
        self._timer.start()

    def showEvent(self, event):
        self._timer.start()
