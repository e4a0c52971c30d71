"""The slice views side by side: real scan, synthetic volume, and what differs."""

from collections.abc import Mapping
from typing import Any

import slicer

# Ours; Slicer's own layouts have numbers below 500.
FIRST_LAYOUT = 7400
ORIENTATIONS = ("Axial", "Coronal")
VIEW_GROUP = 74
PLOT_VIEW = "AnatoMaskGANPlot"
REAL, SYNTHETIC, DIFFERENCE = "Real", "Synthetic", "Difference"
COLORS = {REAL: "#6EB04B", SYNTHETIC: "#F34A33", DIFFERENCE: "#B0A0D0"}


class SideBySide:
    """Shows volumes in columns of linked views that are headed by what they hold.

    Without a window nothing happens. `hide` brings back the layout that was there before.
    """

    def __init__(self) -> None:
        self._layoutBefore: int | None = None
        self._columns: tuple[str, ...] = ()

    @property
    def isShown(self) -> bool:
        manager = slicer.app.layoutManager()
        return manager is not None and self._layoutBefore is not None and _isOurs(manager.layout)

    def show(self, volumes: Mapping[str, Any], chart: Any = None) -> None:
        """volumes: REAL, SYNTHETIC or DIFFERENCE to its node, in the order of the columns.

        chart: the chart node that is shown below, None for no plot.
        """
        manager = slicer.app.layoutManager()
        if manager is None:
            return
        if not self.isShown:
            self._layoutBefore = manager.layout
        self._columns = tuple(volumes)
        number = FIRST_LAYOUT + 2 * len(volumes) + (chart is not None)
        layoutNode = manager.layoutLogic().GetLayoutNode()
        description = layoutDescription(self._columns, chart is not None)
        if layoutNode.IsLayoutDescription(number):
            layoutNode.SetLayoutDescription(number, description)
        else:
            layoutNode.AddLayoutDescription(number, description)
        manager.setLayout(number)
        slicer.app.processEvents()  # new views have no size before, and could not be fitted
        for column, node in volumes.items():
            self._fill(column, node)
        if chart is not None:
            plotView = slicer.mrmlScene.GetSingletonNode(PLOT_VIEW, "vtkMRMLPlotViewNode")
            if plotView is not None:
                plotView.SetPlotChartNodeID(chart.GetID())

    def hide(self) -> None:
        """The views as they were before `show`."""
        if self.isShown:
            slicer.app.layoutManager().setLayout(self._layoutBefore)
        self._layoutBefore = None

    def showVolume(self, volumeNode, isFitted: bool = False) -> None:
        """Show a volume that was made: in its column, or in all views when there are no columns."""
        if self.isShown:
            self._fill(SYNTHETIC, volumeNode)
        else:
            slicer.util.setSliceViewerLayers(background=volumeNode, fit=isFitted)

    def _fill(self, column: str, volumeNode) -> None:
        for orientation in ORIENTATIONS:
            logic = slicer.app.applicationLogic().GetSliceLogicByLayoutName(column + orientation)
            if logic is None:
                continue
            # as Slicer's menus name the view; its tag must not hold a space
            logic.GetSliceNode().SetName(f"{column} {orientation}")
            composite = logic.GetSliceCompositeNode()
            isFirst = composite.GetBackgroundVolumeID() is None
            composite.SetBackgroundVolumeID(volumeNode.GetID())
            composite.SetLinkedControl(True)
            composite.SetHotLinkedControl(True)
            if isFirst:
                logic.FitSliceToBackground()
                logic.SnapSliceOffsetToIJK()


def layoutDescription(columns: tuple[str, ...], hasPlot: bool) -> str:
    """Slicer's XML of a row of views for each orientation, and a plot below if there is one."""
    orientations = ORIENTATIONS[:1] if hasPlot else ORIENTATIONS
    rows = [
        "<item><layout type='horizontal'>"
        + "".join(_sliceView(column, orientation) for column in columns)
        + "</layout></item>"
        for orientation in orientations
    ]
    if hasPlot:
        rows.append(
            f"<item><view class='vtkMRMLPlotViewNode' singletontag='{PLOT_VIEW}'>"
            "<property name='viewlabel' action='default'>Histogram</property></view></item>"
        )
    return f"<layout type='vertical' split='true'>{''.join(rows)}</layout>"


def _sliceView(column: str, orientation: str) -> str:
    return (
        f"<item><view class='vtkMRMLSliceNode' singletontag='{column}{orientation}'>"
        f"<property name='orientation' action='default'>{orientation}</property>"
        f"<property name='viewlabel' action='default'>{column}</property>"
        f"<property name='viewcolor' action='default'>{COLORS[column]}</property>"
        f"<property name='viewgroup' action='default'>{VIEW_GROUP}</property>"
        "</view></item>"
    )


def _isOurs(layout: int) -> bool:
    return FIRST_LAYOUT <= layout < FIRST_LAYOUT + 10
