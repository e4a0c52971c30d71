"""The section that compares the output volume with a real scan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import qt
import slicer
from slicer.i18n import tr as _

from AnatoMaskGANModule.host.views import (
    AS_IN_SLICES,
    DIFFERENCE,
    PRESETS,
    REAL,
    SYNTHETIC,
    SideBySide,
    hideInThreeD,
    isInThreeD,
    showInThreeD,
)
from AnatoMaskGANModule.host.work import PanelWork, Readiness, offer
from AnatoMaskGANModule.packages.panel import PackagesPanel, Purpose
from AnatoMaskGANModule.parameters import AnatoMaskGANParameterNode

if TYPE_CHECKING:
    from AnatoMaskGANModule.logic import AnatoMaskGANLogic

# Signs in the table for the direction in which a metric is better.
BETTER = {"higher": "\u2191", "lower": "\u2193", "one": "\u2192 1"}


class CompareWidgets(Protocol):
    """The widgets of the panel that `ComparePanel` owns."""

    compareButton: qt.QPushButton
    compareLabel: qt.QLabel
    metricsTable: qt.QTableWidget
    histogramComboBox: qt.QComboBox
    plotButton: qt.QPushButton
    renderingButton: qt.QPushButton
    renderingComboBox: qt.QComboBox
    sideBySideButton: qt.QPushButton


class ComparePanel:
    """Shows what a comparison made: metrics, columns of views, histograms, a volume in 3-D.

    All of it is nodes of the scene, so the panel also shows what a saved scene brings.
    """

    COLUMN_METRIC, COLUMN_VALUE = range(2)

    def __init__(
        self,
        ui: CompareWidgets,
        logic: AnatoMaskGANLogic,
        work: PanelWork,
        views: SideBySide,
        packagesPanel: PackagesPanel,
    ) -> None:
        self._ui, self._logic, self._work, self._views = ui, logic, work, views
        self._packagesPanel = packagesPanel
        self._parameterNode: AnatoMaskGANParameterNode | None = None
        self._metrics: dict[str, float] = {}
        self._labels: list[str] = []
        header = ui.metricsTable.horizontalHeader()
        header.setSectionResizeMode(self.COLUMN_METRIC, qt.QHeaderView.ResizeMode.Stretch)
        ui.metricsTable.setVisible(False)
        ui.renderingComboBox.addItem(_("Gray values as in the slice views"))
        ui.renderingComboBox.addItems(list(PRESETS))
        ui.compareButton.clicked.connect(self.compare)
        ui.renderingButton.toggled.connect(self.onRendering)
        ui.histogramComboBox.activated.connect(self.onHistogramChosen)
        ui.sideBySideButton.toggled.connect(self.showSideBySide)
        ui.plotButton.clicked.connect(self.showPlot)

    def showReadiness(self, readiness: Readiness) -> None:
        offer(
            self._ui.compareButton,
            self._problem(),
            readiness.isFree,
            _("Compute the metrics and the difference"),
        )

    def _problem(self) -> str | None:
        """Why nothing can be compared yet, in words for the user."""
        parameterNode = self._parameterNode
        if parameterNode is None or parameterNode.outputVolume is None:
            return _("Synthesize a volume first, or select one as output.")
        if not self._logic.isMadeHere(parameterNode.outputVolume):
            return _("The output volume is not a synthetic volume.")
        if parameterNode.realVolume is None:
            return _("Select the real scan of the same anatomy.")
        if parameterNode.realVolume is parameterNode.outputVolume:
            return _("Select a volume other than the output volume.")
        return None

    def update(self, parameterNode: AnatoMaskGANParameterNode | None) -> None:
        """Show what the last comparison of the output volume made, if there was one."""
        self._parameterNode = parameterNode
        volume = self._output()
        metrics: dict[str, float] = {}
        labels: list[str] = []
        shown = ""
        if volume is not None:
            from AnatoMaskGANLib import mrml

            metrics = mrml.metrics_of(volume)
            chart = mrml.histogram_chart_of(volume)
            labels = mrml.histogram_labels(chart) if chart is not None else []
            shown = mrml.shown_label(chart) if chart is not None else ""
        if metrics != self._metrics:
            self._metrics = metrics
            self._fillMetrics()
        if labels != self._labels:
            self._labels = labels
            self._ui.histogramComboBox.clear()
            self._ui.histogramComboBox.addItems(labels)
        if shown in labels:
            self._ui.histogramComboBox.setCurrentIndex(labels.index(shown))
        isCompared = bool(labels)
        for widget in (
            self._ui.histogramComboBox,
            self._ui.plotButton,
            self._ui.sideBySideButton,
        ):
            widget.setEnabled(isCompared)
        for widget in (self._ui.renderingComboBox, self._ui.renderingButton):
            widget.setEnabled(volume is not None and volume.GetImageData() is not None)
        self._check(self._ui.sideBySideButton, self._views.isShown)
        isRendered = volume is not None and isInThreeD(volume)
        self._check(self._ui.renderingButton, isRendered)
        if not isCompared:
            self._ui.compareLabel.setText("")

    def compare(self) -> None:
        """Compute the metrics and the difference, and show all volumes side by side."""
        parameters = self._parameterNode
        if parameters is None or not self._packagesPanel.ensure(Purpose.COMPARISON):
            return
        display = self._work.display
        with self._work.running(_("The comparison failed."), isMeasured=False):
            display.show(_("Comparing..."))
            self._compare(parameters)
            text = _("Compared in {seconds:.1f} s.")
            display.show(text.format(seconds=display.seconds))

    def _compare(self, parameterNode: AnatoMaskGANParameterNode) -> None:
        self._ui.compareLabel.setText("")  # it shows the last comparison
        comparison = self._logic.compare(parameterNode.outputVolume, parameterNode.realVolume)
        self.update(parameterNode)
        difference, tableNode = comparison.differenceVolume, comparison.tableNode
        text = _("Made the volume '{volume}' and the table '{table}'.")
        text = text.format(volume=difference.GetName(), table=tableNode.GetName())
        if comparison.isResampled:
            text += " " + _("The real scan was interpolated to the synthetic volume's grid.")
        self._ui.compareLabel.setText(text)
        self.showSideBySide()

    def showSideBySide(self, isShown: bool = True, hasPlot: bool = False) -> None:
        """Each volume in its own column, or the views as they were before."""
        from AnatoMaskGANLib import mrml

        if not isShown:
            self._views.hide()
            return
        volume = self._output()
        if volume is None:
            return
        columns = {
            REAL: mrml.compared_with(volume),
            SYNTHETIC: volume,
            DIFFERENCE: mrml.difference_of(volume),
        }
        chart = mrml.histogram_chart_of(volume) if hasPlot else None
        self._views.show({k: node for k, node in columns.items() if node is not None}, chart)
        self._check(self._ui.sideBySideButton, True)

    def showPlot(self) -> None:
        """The histogram of the chosen label, below the volumes."""
        self.onHistogramChosen()
        self.showSideBySide(hasPlot=True)

    def onHistogramChosen(self) -> None:
        from AnatoMaskGANLib import mrml

        volume = self._output()
        chart = mrml.histogram_chart_of(volume) if volume is not None else None
        label = self._ui.histogramComboBox.currentText
        if chart is not None and label:
            mrml.show_histogram(chart, label)

    def onRendering(self, isShown: bool) -> None:
        with self._work.display.errorsShown(_("The volume could not be shown in 3-D.")):
            self.showRendering(isShown)
        self.update(self._parameterNode)

    def showRendering(self, isShown: bool) -> None:
        """Show the output volume in the 3-D view by the chosen preset, or take it away."""
        volume = self._output()
        if volume is None:
            return
        if not isShown:
            hideInThreeD(volume)
            return
        number = self._ui.renderingComboBox.currentIndex
        preset = PRESETS[number - 1] if number else AS_IN_SLICES
        showInThreeD(volume, preset)

    def _output(self) -> slicer.vtkMRMLScalarVolumeNode | None:
        if self._parameterNode is None or self._logic.missingPackages():
            return None
        return self._parameterNode.outputVolume

    def _fillMetrics(self) -> None:
        from AnatoMaskGANLib.evaluation.metrics.definitions import metric_named

        table = self._ui.metricsTable
        known = {k: v for k, v in self._metrics.items() if v == v}  # nan: not measurable
        table.setRowCount(len(known))
        for row, (key, value) in enumerate(known.items()):
            metric = metric_named(key)
            title = f"{metric.title} {BETTER.get(metric.better, '')}".strip()
            item = qt.QTableWidgetItem(title)
            item.setToolTip(metric.meaning)
            table.setItem(row, self.COLUMN_METRIC, item)
            text = f"{value:.{metric.decimals}f}"
            table.setItem(row, self.COLUMN_VALUE, qt.QTableWidgetItem(text))
        if known:  # make all metrics visible
            rows = table.rowHeight(0) * table.rowCount
            table.setFixedHeight(table.horizontalHeader().height + rows + 2 * table.frameWidth)
        table.setVisible(bool(known))

    def _check(self, button: qt.QPushButton, isChecked: bool) -> None:
        wasBlocked = button.blockSignals(True)
        button.setChecked(isChecked)
        button.blockSignals(wasBlocked)
