"""The section that edits a real scan in place."""

from collections.abc import Callable

from slicer.i18n import tr as _

from AnatoMaskGANModule.host.views import DIFFERENCE, REAL, SYNTHETIC, SideBySide
from AnatoMaskGANModule.logic import AnatoMaskGANLogic
from AnatoMaskGANModule.parameters import AnatoMaskGANParameterNode
from AnatoMaskGANModule.synthesis.result import isEditedScan


class EditPanel:
    """Runs the edit, and shows the scan before and after it."""

    def __init__(self, ui, logic: AnatoMaskGANLogic, views: SideBySide) -> None:
        self._ui, self._logic, self._views = ui, logic, views
        self._parameterNode: AnatoMaskGANParameterNode | None = None
        ui.rememberButton.clicked.connect(self.rememberSegments)
        ui.showBeforeButton.toggled.connect(self.showBefore)

    def update(self, parameterNode: AnatoMaskGANParameterNode | None) -> None:
        self._parameterNode = parameterNode
        isEdited = self._editedVolume() is not None
        for button in (self._ui.showBeforeButton, self._ui.editSideBySideButton):
            button.setEnabled(isEdited)
        if not isEdited and self._ui.showBeforeButton.checked:
            wasBlocked = self._ui.showBeforeButton.blockSignals(True)
            self._ui.showBeforeButton.setChecked(False)
            self._ui.showBeforeButton.blockSignals(wasBlocked)

    def problem(self) -> str | None:
        """Why no scan can be edited yet, in words for the user."""
        if self._parameterNode is None or self._parameterNode.editedScan is None:
            return _("Select the real scan.")
        if self._parameterNode.segmentationBefore is None:
            return _("Press Remember segments before you edit them.")
        return None

    def rememberSegments(self) -> None:
        """Keep the segments as they are now, before the user edits them."""
        parameters = self._parameterNode
        parameters.segmentationBefore = self._logic.rememberSegments(parameters.inputSegmentation)

    def edit(self, report: Callable[[float, str], None]):
        """The edited copy of the scan, which is then shown."""
        parameters = self._parameterNode
        edited = self._logic.editInPlace(
            parameters.editedScan,
            parameters.segmentationBefore,
            parameters.inputSegmentation,
            marginMm=parameters.marginMm,
            model=parameters.model,
            seed=parameters.seed,
            noiseStrength=parameters.noiseStrength,
            device=parameters.device.value,
            unmatched=parameters.unmatched.value,
            labels=dict(parameters.userLabels.items()),
            progressCallback=report,
            noiseLengthScale=parameters.noiseLengthScale,
            seam=parameters.seam.value,
        )
        parameters.outputVolume = edited
        self._ui.showBeforeButton.setChecked(False)
        if self._views.isShown:
            self.showSideBySide()
        else:
            self._views.showVolume(edited)
        self._ui.showSegmentsCheckBox.setChecked(False)
        return edited

    def showBefore(self, isBefore: bool) -> None:
        """Show the scan as it was, or as it is edited, in the same views."""
        shown = self._parameterNode.editedScan if isBefore else self._editedVolume()
        if shown is not None:
            self._views.showVolume(shown)

    def showSideBySide(self) -> None:
        """The scan, its edited copy, and the difference of the two."""
        scan, edited = self._parameterNode.editedScan, self._editedVolume()
        difference = self._logic.differenceOfEdit(edited, scan)
        self._views.show({REAL: scan, SYNTHETIC: edited, DIFFERENCE: difference})

    def _editedVolume(self):
        parameters = self._parameterNode
        output = parameters.outputVolume if parameters is not None else None
        if output is None or parameters.editedScan is None or self._logic.missingPackages():
            return None
        isEdited = isEditedScan(self._logic.provenance(output))
        return output if isEdited and output is not parameters.editedScan else None
