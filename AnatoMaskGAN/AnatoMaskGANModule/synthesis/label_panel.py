"""The label table: which segments are taken, and which label of the model each becomes and why."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import qt
from slicer.i18n import tr as _

from AnatoMaskGANModule.host.status import WARNING_COLOR
from AnatoMaskGANModule.parameters import (
    AnatoMaskGANParameterNode,
    SegmentChoice,
    UnmatchedSegments,
)
from AnatoMaskGANModule.synthesis.segment_match import SegmentMatch, takenSegmentIDs

if TYPE_CHECKING:
    from AnatoMaskGANModule.logic import AnatoMaskGANLogic

COLUMN_SEGMENT, COLUMN_LABEL, COLUMN_RULE = range(3)


class LabelWidgets(Protocol):
    """The widgets of the panel that `LabelPanel` owns."""

    labelSummaryLabel: qt.QLabel
    labelTable: qt.QTableWidget
    unmatchedWidget: qt.QWidget


class LabelPanel:
    """Shows the matches of the parameter node's segmentation and writes the user's choices to it.

    `matches` are those of the segments that are taken.
    """

    def __init__(self, ui: LabelWidgets, logic: AnatoMaskGANLogic) -> None:
        self._ui, self._logic = ui, logic
        self._parameterNode: AnatoMaskGANParameterNode | None = None
        self._rows: list[SegmentMatch] = []
        self._content: object = None
        header = ui.labelTable.horizontalHeader()
        header.setSectionResizeMode(COLUMN_SEGMENT, qt.QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(COLUMN_LABEL, qt.QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(COLUMN_RULE, qt.QHeaderView.ResizeMode.ResizeToContents)
        ui.labelTable.cellDoubleClicked.connect(self.onCellDoubleClicked)
        ui.labelTable.itemChanged.connect(self.onItemChanged)

    @property
    def matches(self) -> list[SegmentMatch]:
        return [match for match in self._rows if match.isTaken]

    @property
    def unmatchedNames(self) -> list[str]:
        return [match.segmentName for match in self.matches if match.isUnmatched]

    def update(self, parameterNode: AnatoMaskGANParameterNode | None, model: str | None) -> None:
        """Bring the table up to date; model None: there is none that could be matched with."""
        self._parameterNode = parameterNode
        self._rows = []
        choice = None
        hasSegments = parameterNode is not None and parameterNode.inputSegmentation is not None
        if parameterNode is not None and hasSegments and model is not None:
            choice = parameterNode.segmentChoice
            userLabels = dict(parameterNode.userLabels.items())
            self._rows = self._logic.matchSegments(
                parameterNode.inputSegmentation,
                model,
                userLabels,
                takenIDs=takenSegmentIDs(parameterNode),
            )
        content = (model, choice, self._rows)
        if content != self._content:
            self._content = content
            self._fillTable(canTick=choice is SegmentChoice.CHOSEN)
        self._ui.labelTable.setVisible(bool(self._rows))
        self._showSummary()

    def problem(self) -> str | None:
        """Why these segments cannot be synthesized, in words for the user."""
        parameterNode = self._parameterNode
        if parameterNode is None or parameterNode.inputSegmentation is None:
            return _("Select a segmentation.")
        matches, unmatched = self.matches, self.unmatchedNames
        if not matches:
            segmentation = parameterNode.inputSegmentation.GetSegmentation()
            if segmentation.GetNumberOfSegments() == 0:
                return _("The segmentation has no segments yet.")
            return _("No segment is chosen: show or tick at least one.")
        if len(unmatched) == len(matches):
            return _("No segment is known to this model: choose labels in the table.")
        if unmatched and parameterNode.unmatched is UnmatchedSegments.STOP:
            return _(
                "Decide on the unmatched segments: choose labels, or treat them as background."
            )
        return None

    def _fillTable(self, canTick: bool) -> None:
        table = self._ui.labelTable
        wasBlocked = table.blockSignals(True)
        table.clearContents()
        table.setRowCount(len(self._rows))
        for row, match in enumerate(self._rows):
            self._fillRow(row, match, canTick)
        table.blockSignals(wasBlocked)

    def _fillRow(self, row: int, match: SegmentMatch, canTick: bool) -> None:
        table = self._ui.labelTable
        swatch = qt.QPixmap(12, 12)
        swatch.fill(qt.QColor.fromRgbF(*match.color))
        segmentItem = qt.QTableWidgetItem(match.segmentName)
        segmentItem.setIcon(qt.QIcon(swatch))
        segmentItem.setToolTip(match.segmentName)
        if canTick:
            states = qt.Qt.CheckState
            segmentItem.setCheckState(states.Checked if match.isTaken else states.Unchecked)
        labelItem = qt.QTableWidgetItem(match.modelLabel if match.isTaken else "")
        labelItem.setToolTip(_("Double-click to choose another label of the model"))
        ruleItem = qt.QTableWidgetItem(match.ruleText if match.isTaken else _("left out"))
        color = WARNING_COLOR if match.isUnmatched else "gray"
        if match.isUnmatched or not match.isTaken:
            for item in (segmentItem, ruleItem):
                item.setForeground(qt.QBrush(qt.QColor(color)))
        table.setItem(row, COLUMN_SEGMENT, segmentItem)
        table.setItem(row, COLUMN_LABEL, labelItem)
        table.setItem(row, COLUMN_RULE, ruleItem)
        if match.isTaken and (match.isUnmatched or match.rule == "user"):
            self._addLabelChooser(row)

    def onCellDoubleClicked(self, row: int, column: int) -> None:
        if self._rows[row].isTaken:
            self._addLabelChooser(row)

    def onItemChanged(self, item: qt.QTableWidgetItem) -> None:
        """A segment was ticked or unticked."""
        if self._parameterNode is None or item.column() != COLUMN_SEGMENT:
            return
        left = set(self._parameterNode.leftOutSegments)
        segmentID = self._rows[item.row()].segmentID
        if item.checkState() == qt.Qt.CheckState.Checked:
            left.discard(segmentID)
        else:
            left.add(segmentID)
        self._parameterNode.leftOutSegments = sorted(left)

    def _addLabelChooser(self, row: int) -> None:
        """Let the user choose the model's label of the segment in this row."""
        if self._parameterNode is None:
            return
        match = self._rows[row]
        modelLabels = self._logic.modelLabels(self._parameterNode.model)
        chooser = qt.QComboBox()
        chooser.addItem(_("Choose a label...") if match.isUnmatched else _("By the rules"))
        chooser.addItem(_("Background"))
        chooser.addItems(modelLabels)
        if match.modelLabel in modelLabels:
            chooser.setCurrentIndex(modelLabels.index(match.modelLabel) + 2)
        elif match.rule == "user":
            chooser.setCurrentIndex(1)
        chooser.activated.connect(self._whenChosen(chooser, match.segmentID, modelLabels))
        self._ui.labelTable.setCellWidget(row, COLUMN_LABEL, chooser)

    def _whenChosen(
        self, chooser: qt.QComboBox, segmentID: str, modelLabels: list[str]
    ) -> Callable[[], None]:
        def onChosen() -> None:
            index = chooser.currentIndex
            label = None if index == 0 else "" if index == 1 else modelLabels[index - 2]
            self.onLabelChosen(segmentID, label)

        return onChosen

    def onLabelChosen(self, segmentID: str, modelLabel: str | None) -> None:
        """modelLabel: "" is background, None leaves the segment to the rules."""
        if self._parameterNode is None:
            return
        labels = dict(self._parameterNode.userLabels.items())
        names = [row.segmentName for row in self._rows if row.segmentID == segmentID]
        for key in (segmentID, *names):  # scenes of earlier versions have it by name
            labels.pop(key, None)
        if modelLabel is not None:
            labels[segmentID] = modelLabel
        self._parameterNode.userLabels = labels

    def _showSummary(self) -> None:
        unmatched, count = self.unmatchedNames, len(self.matches)
        if not self._rows:
            text = _("Each segment with the model label that it is matched to.")
        elif not unmatched:
            text = _("All {count} segments are matched.").format(count=count)
        else:
            text = _("<b>{missing} of {count} segments are unknown to this model:</b> {names}")
            text = text.format(missing=len(unmatched), count=count, names=", ".join(unmatched))
            text = f'<span style="color:{WARNING_COLOR}">{text}</span>'
        leftOut = len(self._rows) - count
        if leftOut:
            text += " " + _("Left out: {count}.").format(count=leftOut)
        self._ui.labelSummaryLabel.setText(text)
        self._ui.unmatchedWidget.setVisible(bool(unmatched))
