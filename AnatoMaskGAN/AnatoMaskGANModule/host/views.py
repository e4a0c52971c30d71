"""The application's views: slice views side by side, and a volume in 3-D."""

from __future__ import annotations

from collections.abc import Mapping

import slicer
from slicer.i18n import tr as _

# Ours; Slicer's own layouts have numbers below 500.
FIRST_LAYOUT = 7400
ORIENTATIONS = ("Axial", "Coronal")
VIEW_GROUP = 74
PLOT_VIEW = "AnatoMaskGANPlot"
REAL, SYNTHETIC, DIFFERENCE = "Real", "Synthetic", "Difference"
EDITED = "Edited"
COLORS = {REAL: "#6EB04B", SYNTHETIC: "#F34A33", EDITED: "#EDD54C", DIFFERENCE: "#B0A0D0"}


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

    def show(
        self,
        volumes: Mapping[str, slicer.vtkMRMLScalarVolumeNode],
        chart: slicer.vtkMRMLPlotChartNode | None = None,
    ) -> None:
        """volumes: REAL, SYNTHETIC, EDITED or DIFFERENCE to its node, in the order of the columns.

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

    def showVolume(
        self, volumeNode: slicer.vtkMRMLScalarVolumeNode, isFitted: bool = False
    ) -> None:
        """Show a volume that was made: in its column, or in all views when there are no columns."""
        if self.isShown:
            self._fill(EDITED if EDITED in self._columns else SYNTHETIC, volumeNode)
        else:
            slicer.util.setSliceViewerLayers(background=volumeNode, fit=isFitted)

    def _fill(self, column: str, volumeNode: slicer.vtkMRMLScalarVolumeNode) -> None:
        for orientation in ORIENTATIONS:
            logic = slicer.app.applicationLogic().GetSliceLogicByLayoutName(column + orientation)
            if logic is None:
                continue
            # Slicer's menus show this name; the view's tag must not hold a space.
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


# Gray values by the window of the slice views: right for any model, whatever its intensities.
AS_IN_SLICES = ""
# Presets of Slicer that suit the images of models; each is made for certain intensities.
PRESETS = ("MR-Default", "MR-T2-Brain", "CT-Bone", "CT-Soft-Tissue", "CT-Cardiac", "CT-Lung")


def showInThreeD(
    volumeNode: slicer.vtkMRMLScalarVolumeNode, preset: str = AS_IN_SLICES
) -> slicer.vtkMRMLVolumeRenderingDisplayNode:
    """The volume rendering display node, shown; a volume has one, also after several calls.

    preset: of Slicer's presets, or AS_IN_SLICES. Raises ValueError for one that is not there.
    """
    logic = slicer.modules.volumerendering.logic()
    found = None if preset == AS_IN_SLICES else logic.GetPresetByName(preset)
    if found is None and preset != AS_IN_SLICES:
        text = _("This Slicer has no volume rendering preset {name}. Choose another.")
        raise ValueError(text.format(name=preset))
    display = logic.GetFirstVolumeRenderingDisplayNode(volumeNode)
    if display is None:
        display = logic.CreateDefaultVolumeRenderingNodes(volumeNode)
    if found is None:
        logic.CopyDisplayToVolumeRenderingDisplayNode(display)
    else:
        display.GetVolumePropertyNode().Copy(found)
    display.SetVisibility(True)
    return display


def hideInThreeD(volumeNode: slicer.vtkMRMLScalarVolumeNode) -> None:
    display = slicer.modules.volumerendering.logic().GetFirstVolumeRenderingDisplayNode(volumeNode)
    if display is not None:
        display.SetVisibility(False)


def isInThreeD(volumeNode: slicer.vtkMRMLScalarVolumeNode) -> bool:
    display = slicer.modules.volumerendering.logic().GetFirstVolumeRenderingDisplayNode(volumeNode)
    return display is not None and bool(display.GetVisibility())
