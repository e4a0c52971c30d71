"""What can be pressed now, and in words for the user what is missing for the rest."""

from slicer.i18n import tr as _

from AnatoMaskGANModule.compare.panel import ComparePanel
from AnatoMaskGANModule.edit.panel import EditPanel
from AnatoMaskGANModule.host.status import RunDisplay
from AnatoMaskGANModule.logic import AnatoMaskGANLogic
from AnatoMaskGANModule.models.chooser import ModelChooser
from AnatoMaskGANModule.parameters import AnatoMaskGANParameterNode, UnmatchedSegments
from AnatoMaskGANModule.synthesis.label_panel import LabelPanel


class Readiness:
    """Enables buttons and sections; tells in the panel when something else is missing than before.

    The panels that it asks must be up to date.
    """

    def __init__(
        self,
        ui,
        logic: AnatoMaskGANLogic,
        display: RunDisplay,
        models: ModelChooser,
        labels: LabelPanel,
        edit: EditPanel,
        compare: ComparePanel,
    ) -> None:
        self._ui, self._logic, self._display = ui, logic, display
        self._models, self._labels, self._edit, self._compare = models, labels, edit, compare
        self._told: str | None = None

    def update(
        self,
        parameterNode: AnatoMaskGANParameterNode | None,
        isRunning: bool,
        isLive: bool,
    ) -> None:
        """isLive: the volume follows its segments by itself."""
        ui, problem = self._ui, self.problem(parameterNode)
        isFree = not isRunning and not isLive
        tip = _("The volume is updated automatically while you edit") if isLive else None
        tip = tip or _("Make a synthetic volume (Ctrl+Return)")
        enable(ui.synthesizeButton, problem, isFree, tip)
        edit = problem or self._edit.problem()
        enable(ui.editScanButton, edit, isFree, _("Make an edited copy of the scan"))
        compare = self._compare.problem(parameterNode)
        enable(ui.compareButton, compare, isFree, _("Compute the metrics and the difference"))
        ui.liveCheckBox.setEnabled(isLive or (problem is None and isFree))
        ui.makeAgainButton.setEnabled(isFree)
        ui.rememberButton.setEnabled(problem is None)
        ui.cancelButton.setEnabled(isRunning)
        for section in (
            ui.inputsCollapsibleButton,
            ui.labelsCollapsibleButton,
            ui.samplingCollapsibleButton,
            ui.outputCollapsibleButton,
            ui.advancedCollapsibleButton,
            ui.editCollapsibleButton,
            ui.compareCollapsibleButton,
            ui.modelsCollapsibleButton,
            ui.provenanceWidget,
        ):
            section.setEnabled(not isRunning)
        if problem != self._told and not isRunning:
            self._display.tell(problem or "")
            self._told = problem

    def problem(self, parameterNode: AnatoMaskGANParameterNode | None) -> str | None:
        """Why the synthesis cannot start; None when it can."""
        if parameterNode is None:
            return _("The scene is closing.")
        if self._logic.missingPackages():
            return _("Install the missing packages first.")
        if not self._logic.models():
            return _("There is no model: install or download one in the section Models.")
        if self._models.card is None:
            return _("Select a model.")
        if parameterNode.inputSegmentation is None:
            return _("Select a segmentation.")
        matches, unmatched = self._labels.matches, self._labels.unmatchedNames
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


def enable(button, problem: str | None, isFree: bool, toolTip: str) -> None:
    """Let a button be pressed when there is no problem, which its tool tip tells else."""
    button.setEnabled(problem is None and isFree)
    button.setToolTip(problem or toolTip)
