"""The part of the panel that changes a segment at a click, without painting."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Protocol

import qt
import slicer
from slicer.i18n import tr as _

from AnatoMaskGANModule.host.work import offer
from AnatoMaskGANModule.parameters import AnatoMaskGANParameterNode

LESION = "lesion"
LOOK_OF_LESION = "fluid"
"""The look of a new lesion at first. It is that of a cyst, which is visible in most tissues."""


class Change(enum.Enum):
    """A change of a segment. The value is the edit in words."""

    GROW = "grow {name} by {amount} mm"
    SHRINK = "shrink {name} by {amount} mm"
    RESIZE = "resize {name} to {amount} %"
    MOVE = "move {name} by {amount} mm"
    REMOVE = "remove {name}"
    ADD_INSIDE = "add {new} in {name} with {amount} mm"
    ADD_HERE = "add {new} at {place} with {amount} mm"

    def label(self) -> str:
        return {
            Change.GROW: _("Grow"),
            Change.SHRINK: _("Shrink"),
            Change.RESIZE: _("Change its size"),
            Change.MOVE: _("Move"),
            Change.REMOVE: _("Remove"),
            Change.ADD_INSIDE: _("Add a lesion in it"),
            Change.ADD_HERE: _("Add a lesion at the crosshair"),
        }[self]

    @property
    def amount(self) -> str:
        """The amount that the panel shows first."""
        return {
            Change.GROW: "5",
            Change.SHRINK: "5",
            Change.RESIZE: "150",
            Change.MOVE: "0, 0, 10",
            Change.REMOVE: "",
            Change.ADD_INSIDE: "15",
            Change.ADD_HERE: "15",
        }[self]

    def unit(self) -> str:
        """The unit of the amount."""
        return {
            Change.GROW: _("mm"),
            Change.SHRINK: _("mm"),
            Change.RESIZE: _("% of its volume"),
            Change.MOVE: _("mm to the patient's right, front, top"),
            Change.REMOVE: "",
            Change.ADD_INSIDE: _("mm across"),
            Change.ADD_HERE: _("mm across"),
        }[self]


class ChangeWidgets(Protocol):
    """The widgets of the panel that `ChangePanel` owns."""

    scanEditAmountEdit: qt.QLineEdit
    scanEditChangeButton: qt.QPushButton
    scanEditChangeComboBox: qt.QComboBox
    scanEditFixedEdit: qt.QLineEdit
    scanEditSegmentComboBox: qt.QComboBox
    scanEditUnitLabel: qt.QLabel


class ChangePanel:
    """Says which change the user chose, in the words that the core and the command line know.

    onChange is called with the change in words when the user presses the button.
    """

    def __init__(self, ui: ChangeWidgets, onChange: Callable[[str], None]) -> None:
        self._ui, self._onChange = ui, onChange
        self._names: list[str] = []
        ui.scanEditChangeComboBox.addItems([change.label() for change in Change])
        ui.scanEditChangeComboBox.currentIndexChanged.connect(self._onKindChosen)
        ui.scanEditChangeButton.clicked.connect(lambda *_: self._onChange(self.words()))
        self._onKindChosen(0)

    @property
    def change(self) -> Change:
        return list(Change)[max(self._ui.scanEditChangeComboBox.currentIndex, 0)]

    @property
    def fixed(self) -> tuple[str, ...]:
        """Gives the names of the segments that do not give way."""
        names = self._ui.scanEditFixedEdit.text.split(",")
        return tuple(name.strip() for name in names if name.strip())

    def update(self, parameterNode: AnatoMaskGANParameterNode | None) -> None:
        """List the segments. The chosen one stays chosen if it still exists."""
        node = parameterNode.inputSegmentation if parameterNode is not None else None
        names = []
        if node is not None:
            segmentation = node.GetSegmentation()
            ids = segmentation.GetSegmentIDs()
            names = [segmentation.GetSegment(segmentID).GetName() for segmentID in ids]
        if names == self._names:
            return
        self._names = names
        comboBox = self._ui.scanEditSegmentComboBox
        chosen = comboBox.currentText
        comboBox.clear()
        comboBox.addItems(names)
        comboBox.setCurrentIndex(max(comboBox.findText(chosen), 0) if names else -1)

    def showReadiness(self, problem: str | None, isFree: bool) -> None:
        """Show whether a change can be made. problem says why no scan can be edited, in words for
        the user; it is None if one can."""
        tip = _("Change the segment, and edit the scan accordingly")
        offer(self._ui.scanEditChangeButton, problem or self._problem(), isFree, tip)

    def _problem(self) -> str | None:
        """Says why there is nothing to change yet, in words for the user."""
        if self.change is not Change.ADD_HERE and not self._names:
            return _("The segmentation has no segments yet.")
        if self.change.amount and not self._ui.scanEditAmountEdit.text.strip():
            return _("Say how much.")
        return None

    def isLesion(self) -> bool:
        """Whether the change adds a structure that the scan does not have."""
        return self.change in (Change.ADD_INSIDE, Change.ADD_HERE)

    def isSeries(self) -> bool:
        """Whether the amount has several steps."""
        amount = self._ui.scanEditAmountEdit.text
        return "/" in amount or "steps" in amount

    def words(self) -> str:
        """Gives the chosen change in words, such as "grow liver by 5 mm"."""
        change, amount = self.change, self._ui.scanEditAmountEdit.text.strip()
        if change is Change.MOVE and "in" in amount:  # "0, 0, 10 in 5 steps"
            place, _word, steps = amount.partition("in")
            return f"{self._worded(change, place.strip())} in{steps}"
        return self._worded(change, amount)

    def _worded(self, change: Change, amount: str) -> str:
        place = ",".join(f"{mm:.2f}" for mm in crosshair())
        name = self._ui.scanEditSegmentComboBox.currentText
        return change.value.format(name=name, amount=amount, new=LESION, place=place)

    def _onKindChosen(self, *_arguments: object) -> None:
        change, ui = self.change, self._ui
        ui.scanEditAmountEdit.setText(change.amount)
        ui.scanEditAmountEdit.setEnabled(bool(change.amount))
        ui.scanEditUnitLabel.setText(change.unit())
        ui.scanEditSegmentComboBox.setEnabled(change is not Change.ADD_HERE)


def crosshair() -> tuple[float, float, float]:
    """Gives the place of the crosshair in the world's RAS in mm."""
    node = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    return tuple(node.GetCrosshairRAS()) if node is not None else (0.0, 0.0, 0.0)
