"""The section that compares the output volume with a real scan."""

import qt
import slicer
from slicer.i18n import tr as _

from .logic import AnatoMaskGANLogic
from .parameter_node import AnatoMaskGANParameterNode

# Which way a figure is better, as the table shows it.
BETTER = {"higher": "\u2191", "lower": "\u2193", "one": "\u2192 1"}


class ComparePanel:
    """Shows the figures of a comparison; the difference and the table are nodes of the scene."""

    COLUMN_FIGURE, COLUMN_VALUE = range(2)

    def __init__(self, ui, logic: AnatoMaskGANLogic) -> None:
        self._ui, self._logic = ui, logic
        header = ui.figuresTable.horizontalHeader()
        header.setSectionResizeMode(self.COLUMN_FIGURE, qt.QHeaderView.ResizeMode.Stretch)
        ui.figuresTable.setVisible(False)

    def problem(self, parameterNode: AnatoMaskGANParameterNode | None) -> str | None:
        """Why nothing can be compared yet, in words for the user."""
        if parameterNode is None or parameterNode.outputVolume is None:
            return _("Synthesize a volume first, or select one as output.")
        if not self._logic.isMadeHere(parameterNode.outputVolume):
            return _("The output volume is not a synthetic one.")
        if parameterNode.realVolume is None:
            return _("Select the real scan of the same anatomy.")
        if parameterNode.realVolume is parameterNode.outputVolume:
            return _("Select another volume than the output.")
        return None

    def compare(self, parameterNode: AnatoMaskGANParameterNode) -> None:
        """Count the figures and show them, and the difference over the scan in the views."""
        from AnatoMaskGANLib.evaluation.figures import figure_named

        self._ui.compareLabel.setText(_("Comparing..."))
        comparison = self._logic.compare(parameterNode.outputVolume, parameterNode.realVolume)
        table = self._ui.figuresTable
        known = {k: v for k, v in comparison.figures.items() if v == v}  # nan: not measurable
        table.setRowCount(len(known))
        for row, (key, value) in enumerate(known.items()):
            figure = figure_named(key)
            better = {"higher": "\u2191", "lower": "\u2193", "one": "\u2192 1"}.get(
                figure.better, ""
            )
            item = qt.QTableWidgetItem(f"{figure.title} {better}".strip())
            item.setToolTip(figure.meaning)
            table.setItem(row, self.COLUMN_FIGURE, item)
            text = f"{value:.{figure.decimals}f}"
            table.setItem(row, self.COLUMN_VALUE, qt.QTableWidgetItem(text))
        table.setVisible(True)
        difference, tableNode = comparison.differenceVolume, comparison.tableNode
        text = _("Made the volume '{volume}' and the table '{table}'.")
        text = text.format(volume=difference.GetName(), table=tableNode.GetName())
        if comparison.isResampled:
            text += " " + _("The real scan was interpolated to the synthetic volume's grid.")
        self._ui.compareLabel.setText(text)
        slicer.util.setSliceViewerLayers(background=difference)
