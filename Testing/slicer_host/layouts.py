"""`slicer.app.layoutManager()`: the views that the scene's layout node describes, drawn with Qt."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator

import slicer
import vtk

from slicer_host.plot_view import PlotWidget
from slicer_host.pythonqt import qt
from slicer_host.slice_widget import SliceWidget

NOT_DRAWN = "{kind} {tag}: not drawn by this stand-in"


class LayoutManager:
    """The part of the application's layout manager that modules call.

    A layout that the layout node describes in XML is built from that; the one at the start is the
    window's own.
    """

    def __init__(self, app, views):
        self._app = app
        self.widget = qt.QWidget()
        layout = qt.QVBoxLayout(self.widget)
        layout.setContentsMargins(0, 0, 0, 0)
        self._sliceWidgets, self._plotWidgets, self._content = {}, {}, None
        self._shownNames: list[str] = []
        self._shownPlots: list[str] = []
        logic = slicer.vtkMRMLLayoutLogic()
        logic.SetMRMLScene(app.scene)
        self._logic = logic
        self.layoutNode = logic.GetLayoutNode()
        self._firstViews = views
        self._shown = None
        self.layoutNode.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self._follow())
        self._first = self.layout
        self._follow()

    @property
    def layout(self) -> int:
        return self.layoutNode.GetViewArrangement()

    def setLayout(self, number: int) -> None:
        self.layoutNode.SetViewArrangement(number)

    def layoutLogic(self):
        return self._logic

    def sliceViewNames(self) -> list[str]:
        return list(self._shownNames)

    def sliceWidget(self, name: str):
        return self._sliceWidgets.get(name)

    def sliceWidgets(self) -> dict:
        """The views that are shown, by their names."""
        return {name: self._sliceWidgets[name] for name in self._shownNames}

    def plotWidgets(self) -> dict:
        """The same for plots."""
        return {name: self._plotWidgets[name] for name in self._shownPlots}

    def mrmlSliceLogics(self):
        return self._app.applicationLogic().GetSliceLogics()

    def resetSliceViews(self) -> None:
        for widget in self.sliceWidgets().values():
            widget.view.fit()

    def _follow(self) -> None:
        if self._shown == self.layout:
            return
        self._shown = self.layout
        views = [*self._sliceWidgets.values(), *self._plotWidgets.values()]
        for widget in views:  # they live on, in no layout
            widget.setParent(None)
        if self._content is not None:
            self._content.setParent(None)
        self._shownNames, self._shownPlots = [], []
        self._content = qt.QWidget()
        description = self.layoutNode.GetLayoutDescription(self.layout)
        if self.layout == self._first or not description:  # none: the scene is being closed
            self._buildFirst()
        else:
            root = ElementTree.fromstring(description)
            box = qt.QVBoxLayout(self._content)
            box.setContentsMargins(0, 0, 0, 0)
            box.addWidget(self._built(root))
        self.widget.layout().addWidget(self._content)
        for name in self._shownNames:
            self._sliceWidgets[name].show()

    def _buildFirst(self) -> None:
        grid = qt.QGridLayout(self._content)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(2)
        for name, orientation, row, column in self._firstViews:
            label = name if orientation in name else None
            grid.addWidget(self._slice(name, orientation, None, label), row, column)

    def _built(self, element: ElementTree.Element) -> qt.QWidget:
        if element.tag == "view":
            return self._view(element)
        box = qt.QWidget()
        isHorizontal = element.get("type") == "horizontal"
        layout = qt.QHBoxLayout(box) if isHorizontal else qt.QVBoxLayout(box)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        for child in _inner(element):
            layout.addWidget(self._built(child), 1)
        return box

    def _view(self, element: ElementTree.Element) -> qt.QWidget:
        kind, tag = element.get("class"), element.get("singletontag")
        values = {found.get("name"): found.text for found in element.iter("property")}
        if kind == "vtkMRMLSliceNode":
            orientation, label = values.get("orientation", "Axial"), values.get("viewlabel", tag)
            return self._slice(tag, orientation, values.get("viewcolor"), f"{label}: {orientation}")
        if kind == "vtkMRMLPlotViewNode":
            if tag not in self._plotWidgets:
                self._plotWidgets[tag] = PlotWidget(self._app, tag, values.get("viewlabel", tag))
            self._shownPlots.append(tag)
            return self._plotWidgets[tag]
        label = qt.QLabel(NOT_DRAWN.format(kind=kind, tag=tag))
        label.setAlignment(qt.Qt.AlignmentFlag.AlignCenter)
        return label

    def _slice(
        self, name: str, orientation: str, color: str | None = None, label: str | None = None
    ) -> SliceWidget:
        if name not in self._sliceWidgets:
            self._sliceWidgets[name] = SliceWidget(self._app, name, orientation, color, label)
        self._shownNames.append(name)
        return self._sliceWidgets[name]


def _inner(element: ElementTree.Element) -> Iterator[ElementTree.Element]:
    """The layouts and views of an element's items."""
    for item in element:
        yield from (child for child in item if child.tag in ("layout", "view"))
