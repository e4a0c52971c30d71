"""The section that edits a real scan in place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import qt
import slicer
from slicer.i18n import tr as _

from AnatoMaskGANModule.host.segments import showSegments
from AnatoMaskGANModule.host.views import DIFFERENCE, REAL, SYNTHETIC, SideBySide
from AnatoMaskGANModule.host.work import PanelWork, Readiness, offer
from AnatoMaskGANModule.parameters import AnatoMaskGANParameterNode
from AnatoMaskGANModule.synthesis.request import samplingOfPanel
from AnatoMaskGANModule.synthesis.result import isEditedScan

if TYPE_CHECKING:
    from AnatoMaskGANModule.logic import AnatoMaskGANLogic


class EditWidgets(Protocol):
    """The widgets of the panel that `EditPanel` owns."""

    editScanButton: qt.QPushButton
    editSideBySideButton: qt.QPushButton
    rememberButton: qt.QPushButton
    showBeforeButton: qt.QPushButton


class EditPanel:
    """Edits the scan at a click, and shows it before and after."""

    def __init__(
        self, ui: EditWidgets, logic: AnatoMaskGANLogic, work: PanelWork, views: SideBySide
    ) -> None:
        self._ui, self._logic, self._work, self._views = ui, logic, work, views
        self._parameterNode: AnatoMaskGANParameterNode | None = None
        ui.rememberButton.clicked.connect(self.rememberSegments)
        ui.editScanButton.clicked.connect(self.edit)
        ui.showBeforeButton.toggled.connect(self.showBefore)
        ui.editSideBySideButton.clicked.connect(self.onSideBySide)

    def update(self, parameterNode: AnatoMaskGANParameterNode | None) -> None:
        self._parameterNode = parameterNode
        isEdited = self._editedVolume() is not None
        for button in (self._ui.showBeforeButton, self._ui.editSideBySideButton):
            button.setEnabled(isEdited)
        if not isEdited and self._ui.showBeforeButton.checked:
            wasBlocked = self._ui.showBeforeButton.blockSignals(True)
            self._ui.showBeforeButton.setChecked(False)
            self._ui.showBeforeButton.blockSignals(wasBlocked)

    def showReadiness(self, readiness: Readiness) -> None:
        problem = readiness.problem or self._problem()
        tip = _("Make an edited copy of the scan")
        offer(self._ui.editScanButton, problem, readiness.isFree, tip)
        self._ui.rememberButton.setEnabled(readiness.problem is None)

    def _problem(self) -> str | None:
        """Why no scan can be edited yet, in words for the user."""
        if self._parameterNode is None or self._parameterNode.editedScan is None:
            return _("Select the real scan.")
        if self._parameterNode.segmentationBefore is None:
            return _("Press Remember segments before you edit them.")
        return None

    def rememberSegments(self) -> None:
        """Keep the segments as they are now, before the user edits them."""
        parameters = self._parameterNode
        if parameters is not None:
            before = self._logic.rememberSegments(parameters.inputSegmentation)
            parameters.segmentationBefore = before

    def edit(self) -> None:
        """Make the edited copy of the scan and show it."""
        if self._parameterNode is not None:
            parameters = self._parameterNode
            self._work.make(lambda note: self._edited(parameters))

    def _edited(self, parameters: AnatoMaskGANParameterNode) -> slicer.vtkMRMLScalarVolumeNode:
        edited = self._logic.editInPlace(
            parameters.editedScan,
            parameters.segmentationBefore,
            parameters.inputSegmentation,
            marginMm=parameters.marginMm,
            model=parameters.model,
            seed=parameters.seed,
            device=parameters.device.value,
            labels=dict(parameters.userLabels.items()),
            progressCallback=self._work.display.report,
            seam=parameters.seam.value,
            **samplingOfPanel(parameters),
        )
        parameters.outputVolume = edited
        self._ui.showBeforeButton.setChecked(False)
        if self._views.isShown:
            self.showSideBySide()
        else:
            self._views.showVolume(edited)
        showSegments(parameters.inputSegmentation, False)
        return edited

    def showBefore(self, isBefore: bool) -> None:
        """Show the scan as it was, or as it is edited, in the same views."""
        if self._parameterNode is None:
            return
        shown = self._parameterNode.editedScan if isBefore else self._editedVolume()
        if shown is not None:
            self._views.showVolume(shown)

    def onSideBySide(self) -> None:
        with self._work.display.errorsShown(_("The difference could not be shown.")):
            self.showSideBySide()

    def showSideBySide(self) -> None:
        """The scan, its edited copy, and the difference of the two."""
        if self._parameterNode is None:
            return
        scan, edited = self._parameterNode.editedScan, self._editedVolume()
        difference = self._logic.differenceOfEdit(edited, scan)
        self._views.show({REAL: scan, SYNTHETIC: edited, DIFFERENCE: difference})

    def _editedVolume(self) -> slicer.vtkMRMLScalarVolumeNode | None:
        parameters = self._parameterNode
        if parameters is None or self._logic.missingPackages():
            return None
        output, scan = parameters.outputVolume, parameters.editedScan
        if output is None or scan is None or output is scan:
            return None
        return output if isEditedScan(self._logic.provenance(output)) else None
