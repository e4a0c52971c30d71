"""The table of questions that segments leave open: looks of new structures, fills of removed
ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import qt
from slicer.i18n import tr as _

from AnatoMaskGANModule.parameters import AnatoMaskGANParameterNode

DEFAULT_LOOK, DEFAULT_FILL = "soft-tissue", "around"
# Sizes of the table, which is scrolled if there are more questions than rows.
HEADER_PIXELS, ROW_PIXELS, MOST_ROWS = 30, 26, 5


class QuestionsWidgets(Protocol):
    """The widgets of the panel that `QuestionsPanel` owns."""

    scanEditQuestionsTable: qt.QTableWidget


class QuestionsPanel:
    """Shows a row for each question, with the answer that is used. It is hidden without a question.

    onAnswered is called without an argument when the user gave another answer.
    """

    def __init__(self, ui: QuestionsWidgets, onAnswered: Callable[[], None]) -> None:
        self._ui, self._onAnswered = ui, onAnswered
        self._parameterNode: AnatoMaskGANParameterNode | None = None
        self._content: tuple[object, ...] = ()
        ui.scanEditQuestionsTable.setVisible(False)
        ui.scanEditQuestionsTable.horizontalHeader().setStretchLastSection(True)

    def update(
        self,
        parameterNode: AnatoMaskGANParameterNode | None,
        questions: Sequence[tuple[str, str]],
        names: Sequence[str],
    ) -> None:
        """Show the questions. questions are names of segments, each with "look" or "fill". names
        are those of the scan's segments, which other segments can look like."""
        self._parameterNode = parameterNode
        content = (parameterNode, tuple(questions), tuple(names))
        if content == self._content:
            return
        self._content = content
        table = self._ui.scanEditQuestionsTable
        table.setVisible(bool(questions) and parameterNode is not None)
        table.clearContents()
        table.setRowCount(len(questions))
        for row, (name, kind) in enumerate(questions):
            isNew = kind == "look"
            text = _("{name}, new") if isNew else _("{name}, removed")
            table.setItem(row, 0, qt.QTableWidgetItem(text.format(name=name)))
            table.setCellWidget(row, 1, self._chooser(name, isNew, names))
        table.resizeColumnToContents(0)
        table.setFixedHeight(HEADER_PIXELS + ROW_PIXELS * min(len(questions), MOST_ROWS))

    def _chooser(self, name: str, isNew: bool, names: Sequence[str]) -> qt.QComboBox:
        """Offers the answers to one question. Others can be typed."""
        from AnatoMaskGANLib.editing import TISSUES

        chooser = qt.QComboBox()
        chooser.setEditable(True)
        others = ["keep"] if isNew else []
        first = [] if isNew else [DEFAULT_FILL]
        chooser.addItems([*first, *TISSUES, *(f"like:{other}" for other in names), *others])
        chooser.setCurrentText(self._answers(isNew).get(name) or self._default(isNew))

        def onChosen(*_arguments: object) -> None:
            self.answer(name, isNew, chooser.currentText)

        chooser.activated.connect(onChosen)
        chooser.lineEdit().editingFinished.connect(onChosen)
        return chooser

    def answer(self, name: str, isNew: bool, words: str) -> None:
        """Take the user's answer for the segment of that name."""
        if self._parameterNode is None:
            return
        answers = self._answers(isNew)
        if answers.get(name, self._default(isNew)) == words.strip():
            return
        answers[name] = words.strip()
        if isNew:
            self._parameterNode.editLooks = answers
        else:
            self._parameterNode.editFills = answers
        self._onAnswered()

    def _answers(self, isNew: bool) -> dict[str, str]:
        parameters = self._parameterNode
        if parameters is None:
            return {}
        return dict((parameters.editLooks if isNew else parameters.editFills).items())

    @staticmethod
    def _default(isNew: bool) -> str:
        return DEFAULT_LOOK if isNew else DEFAULT_FILL
