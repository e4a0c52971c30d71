"""The section of the panel in which a scan follows its segmentation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

import qt
import slicer
from slicer.i18n import tr as _

from AnatoMaskGANModule.host.segments import showSegments
from AnatoMaskGANModule.host.status import showText
from AnatoMaskGANModule.host.views import DIFFERENCE, EDITED, REAL, SideBySide
from AnatoMaskGANModule.host.work import PanelWork, Readiness, offer
from AnatoMaskGANModule.parameters import AnatoMaskGANParameterNode
from AnatoMaskGANModule.scan_edit import snapshot
from AnatoMaskGANModule.scan_edit.change_panel import (
    LESION,
    LOOK_OF_LESION,
    ChangePanel,
    ChangeWidgets,
)
from AnatoMaskGANModule.scan_edit.choices import ScanEditChoices
from AnatoMaskGANModule.scan_edit.job import outputToFill
from AnatoMaskGANModule.scan_edit.live import ScanFollower
from AnatoMaskGANModule.scan_edit.nodes_found import findScan
from AnatoMaskGANModule.scan_edit.questions_panel import QuestionsPanel, QuestionsWidgets
from AnatoMaskGANModule.synthesis.backends import ProcessBackend
from AnatoMaskGANModule.synthesis.live import LiveState

if TYPE_CHECKING:
    from AnatoMaskGANModule.logic import AnatoMaskGANLogic


class ScanEditWidgets(ChangeWidgets, QuestionsWidgets, Protocol):
    """The widgets of the panel that `ScanEditPanel` owns."""

    scanEditAgainButton: qt.QPushButton
    scanEditBeforeButton: qt.QPushButton
    scanEditButton: qt.QPushButton
    scanEditFollowCheckBox: qt.QCheckBox
    scanEditPictureButton: qt.QPushButton
    scanEditScanSelector: slicer.qMRMLNodeComboBox
    scanEditSegmentationSelector: slicer.qMRMLNodeComboBox
    scanEditOutputSelector: slicer.qMRMLNodeComboBox
    scanEditSideBySideButton: qt.QPushButton
    scanEditStartButton: qt.QPushButton
    scanEditStartStateLabel: qt.QLabel
    scanEditStateLabel: qt.QLabel
    scanEditUndoButton: qt.QPushButton
    scanEditWarningsLabel: qt.QLabel


class ScanEditPanel:
    """Edits the scan at a click, shows what was done, and shows the scan before and after."""

    def __init__(
        self,
        ui: ScanEditWidgets,
        logic: AnatoMaskGANLogic,
        work: PanelWork,
        views: SideBySide,
        onFollowing: Callable[[], None],
    ) -> None:
        self._ui, self._logic, self._work, self._views = ui, logic, work, views
        self._onFollowing = onFollowing
        self.follower = ScanFollower(
            cast(ProcessBackend, logic.backend),  # a live scan needs a process of its own
            lambda parameters: ScanEditChoices(**choicesOfPanel(parameters, (), ())),
            self.showFollowing,
            lambda node: self._views.showVolume(node, isFitted=True),
        )
        self._parameterNode: AnatoMaskGANParameterNode | None = None
        self.changePanel = ChangePanel(ui, self.changeSegment)
        self.questionsPanel = QuestionsPanel(ui, self.onAnswered)
        self._observeScene(slicer.mrmlScene)
        ui.scanEditSegmentationSelector.currentNodeChanged.connect(self.onSegmentationSelected)
        ui.scanEditButton.clicked.connect(self.edit)
        ui.scanEditStartButton.clicked.connect(self.startFromHere)
        ui.scanEditUndoButton.clicked.connect(self.undo)
        ui.scanEditBeforeButton.toggled.connect(self.showBefore)
        ui.scanEditSideBySideButton.clicked.connect(self.onSideBySide)
        ui.scanEditPictureButton.clicked.connect(self.savePicture)
        ui.scanEditAgainButton.clicked.connect(self.makeAgain)
        ui.scanEditFollowCheckBox.toggled.connect(self.setFollowing)

    def close(self) -> None:
        """Stop following the scan and watching the scene when the panel closes."""
        self.follower.stop()
        self._observeScene(None)

    def _observeScene(self, scene: slicer.vtkMRMLScene | None) -> None:
        ui = self._ui
        for selector in (
            ui.scanEditScanSelector,
            ui.scanEditSegmentationSelector,
            ui.scanEditOutputSelector,
        ):
            selector.setMRMLScene(scene)

    def update(self, parameterNode: AnatoMaskGANParameterNode | None) -> None:
        """Find the scan, remember the segments when they are first used, and show both."""
        self._parameterNode = parameterNode
        ui, segmentation = self._ui, None
        if parameterNode is not None:
            segmentation = parameterNode.inputSegmentation
            findScan(parameterNode)
        if segmentation is not ui.scanEditSegmentationSelector.currentNode():
            wasBlocked = ui.scanEditSegmentationSelector.blockSignals(True)
            ui.scanEditSegmentationSelector.setCurrentNode(segmentation)
            ui.scanEditSegmentationSelector.blockSignals(wasBlocked)
        isUsed = parameterNode is not None and parameterNode.followedScan is not None
        if segmentation is not None and isUsed:
            snapshot.remembered(segmentation)
        self._showStart(segmentation)
        self.changePanel.update(parameterNode)
        edited = self._editedVolume()
        for button in (
            ui.scanEditBeforeButton,
            ui.scanEditSideBySideButton,
            ui.scanEditPictureButton,
            ui.scanEditAgainButton,
        ):
            button.setEnabled(edited is not None)
        if edited is None and ui.scanEditBeforeButton.checked:
            wasBlocked = ui.scanEditBeforeButton.blockSignals(True)
            ui.scanEditBeforeButton.setChecked(False)
            ui.scanEditBeforeButton.blockSignals(wasBlocked)

    def showReadiness(self, readiness: Readiness) -> None:
        """Show whether an edit can start. It needs no model, so only another run keeps it from
        starting."""
        problem, isFollowing = self._problem(), self.follower.isOn
        tip = _("Make the scan as it would be with the segments as they are now")
        isFree = not readiness.isRunning
        offer(self._ui.scanEditButton, problem, isFree and not isFollowing, tip)
        self.changePanel.showReadiness(problem, isFree)
        self._ui.scanEditFollowCheckBox.setEnabled(isFollowing or (problem is None and isFree))

    def _problem(self) -> str | None:
        """Says why no scan can be edited yet, in words for the user."""
        parameters = self._parameterNode
        if parameters is None:
            return _("The scene is closing.")
        if parameters.followedScan is None:
            return _("Select the scan.")
        if parameters.inputSegmentation is None:
            return _("Select the segmentation of the scan.")
        return None

    def _showStart(self, segmentation: slicer.vtkMRMLSegmentationNode | None) -> None:
        start = snapshot.snapshotOf(segmentation) if segmentation is not None else None
        text = _("segments not remembered yet")
        if start is not None:
            text = _("segments of {time}").format(time=snapshot.timeOf(start))
        self._ui.scanEditStartStateLabel.setText(text)
        self._ui.scanEditStartButton.setEnabled(segmentation is not None)
        self._ui.scanEditUndoButton.setEnabled(start is not None)

    def onSegmentationSelected(self, node: slicer.vtkMRMLSegmentationNode | None) -> None:
        if self._parameterNode is not None and node is not None:
            self._parameterNode.inputSegmentation = node

    def startFromHere(self) -> None:
        """Take the segments as they are now for those that fit the scan."""
        if self._parameterNode is not None:
            self._logic.startEditFromHere(self._parameterNode.inputSegmentation)
            self._parameterNode.followedOutput = None  # the edited scan made so far is kept
            self.update(self._parameterNode)
            self.follower.onScanModified()
            self._tell(_("Later edits are compared with the segments as they are now."))

    def undo(self) -> None:
        """Bring the segments back as they were at the start."""
        if self._parameterNode is not None:
            self._logic.undoSegmentEdits(self._parameterNode.inputSegmentation)
            self._tell(_("The segments are as they were at the start."))

    def edit(self) -> None:
        """Make the edited scan and show it."""
        if self._parameterNode is not None:
            parameters = self._parameterNode
            with self._work.running(_("The scan could not be edited.")):
                self._edit(parameters, ())

    def changeSegment(self, words: str) -> None:
        """Change a segment and edit the scan. A series leaves the segments as they are."""
        if self._parameterNode is None:
            return
        parameters = self._parameterNode
        if self.changePanel.isLesion():
            looks = dict(parameters.editLooks.items())
            parameters.editLooks = {LESION: LOOK_OF_LESION} | looks
        with self._work.running(_("The scan could not be edited.")):
            if self.changePanel.isSeries():
                self.follower.stop()
                self._edit(parameters, (words,))
                return
            self._logic.changeSegments(
                parameters.followedScan,
                parameters.inputSegmentation,
                (words,),
                self.changePanel.fixed,
            )
            if not self.follower.isOn:  # otherwise the follower has seen the change
                self._edit(parameters, ())

    def onAnswered(self) -> None:
        """Make the scan anew after the user said what a structure looks like."""
        if self.follower.isOn:
            self.follower.onEdited()
        else:
            self.edit()

    def setFollowing(self, isOn: bool) -> None:
        """Let the scan follow every stroke, or stop it from following."""
        if isOn and self._parameterNode is not None:
            self.follower.start(self._parameterNode)
        else:
            self.follower.stop()
        self._onFollowing()

    def showFollowing(self) -> None:
        """Tick the box while the scan follows, and show whether it is up to date."""
        follower, ui = self.follower, self._ui
        wasBlocked = ui.scanEditFollowCheckBox.blockSignals(True)
        ui.scanEditFollowCheckBox.setChecked(follower.isOn)
        ui.scanEditFollowCheckBox.blockSignals(wasBlocked)
        texts = {
            LiveState.OFF: "",
            LiveState.PENDING: _("Edited; the scan follows shortly..."),
            LiveState.RUNNING: _("Making the {text}..."),
            LiveState.UP_TO_DATE: _("Up to date ({text})."),
            LiveState.FAILED: _("Not up to date: {text}"),
        }
        text = texts[follower.state].format(text=follower.text)
        answer, parameters = follower.answer, self._parameterNode
        warnings: Sequence[str] = ()
        if answer is not None and parameters is not None and follower.state is LiveState.UP_TO_DATE:
            if parameters.followedOutput is not None:
                text += " " + countsText(parameters.followedOutput, answer.counts)
            warnings = answer.warnings
            self._showQuestions(parameters, answer.questions)
        showText(ui.scanEditStateLabel, text, follower.state is LiveState.FAILED)
        self._showWarnings(warnings)
        if follower.state in (LiveState.OFF, LiveState.UP_TO_DATE, LiveState.FAILED):
            self._onFollowing()

    def _edit(self, parameters: AnatoMaskGANParameterNode, changes: Sequence[str]) -> None:
        warnings: list[str] = []
        isNew = parameters.followedOutput is None
        edited = self._logic.editScan(
            parameters.followedScan,
            parameters.inputSegmentation,
            outputToFill(parameters),
            progressCallback=self._work.display.report,
            logCallback=warnings.append,
            **choicesOfPanel(parameters, changes, self.changePanel.fixed),
        )
        parameters.followedOutput = edited
        self._ui.scanEditBeforeButton.setChecked(False)
        if self._views.isShown:
            self.showSideBySide()
        else:
            self._views.showVolume(edited, isFitted=isNew)
        self._showQuestions(parameters, self._logic.editQuestions)
        self._tell(countsText(edited, countsOf(edited)), warnings)
        text = _("Made '{name}' in {seconds:.1f} s.")
        self._work.display.show(
            text.format(name=edited.GetName(), seconds=self._work.display.seconds)
        )

    def _showQuestions(
        self, parameters: AnatoMaskGANParameterNode, asked: Sequence[tuple[str, str]]
    ) -> None:
        segmentation = snapshot.remembered(parameters.inputSegmentation).GetSegmentation()
        names = [segmentation.GetSegment(one).GetName() for one in segmentation.GetSegmentIDs()]
        self.questionsPanel.update(parameters, asked, names)

    def _tell(self, text: str, warnings: Sequence[str] = ()) -> None:
        showText(self._ui.scanEditStateLabel, text)
        self._showWarnings(warnings)

    def _showWarnings(self, warnings: Sequence[str]) -> None:
        showText(self._ui.scanEditWarningsLabel, "\n".join(warnings), isWarning=True)
        self._ui.scanEditWarningsLabel.setVisible(bool(warnings))

    # Display

    def showBefore(self, isBefore: bool) -> None:
        """Show the scan before or after the edit, in the same views."""
        if self._parameterNode is None:
            return
        shown = self._parameterNode.followedScan if isBefore else self._editedVolume()
        if shown is not None:
            self._views.showVolume(shown)

    def onSideBySide(self) -> None:
        with self._work.display.errorsShown(_("The difference could not be shown.")):
            self.showSideBySide()

    def showSideBySide(self) -> None:
        """Show the scan, its edited copy, and the difference of the two next to one another."""
        edited = self._editedVolume()
        if self._parameterNode is None or edited is None:
            return
        scan = self._parameterNode.followedScan
        difference = self._logic.differenceOfEdit(edited, scan)
        self._views.show({REAL: scan, EDITED: edited, DIFFERENCE: difference})
        showSegments(self._parameterNode.inputSegmentation, False)

    def savePicture(self) -> None:
        """Let the user choose a file for a picture of the scan before and after."""
        edited = self._editedVolume()
        if self._parameterNode is None or edited is None:
            return
        path = self.askForFile(f"{edited.GetName()}.png")
        if not path:
            return
        with self._work.display.errorsShown(_("The picture could not be saved.")):
            self._logic.saveEditPicture(edited, path)
            self._tell(_("Saved the picture {path}.").format(path=path))

    def askForFile(self, name: str) -> str:
        """Gives the path that the user chooses; empty if there is none."""
        window = slicer.util.mainWindow()
        title = _("Save a picture of the scan before and after")
        return str(qt.QFileDialog.getSaveFileName(window, title, name, _("Pictures (*.png)")))

    def makeAgain(self) -> None:
        """Make the voxels again from the provenance, and say whether they are the same."""
        edited = self._editedVolume()
        if edited is None:
            return
        with self._work.running(_("The edited scan could not be made again.")):
            again = self._logic.makeEditAgain(edited, progressCallback=self._work.display.report)
            first, second = (slicer.util.arrayFromVolume(node) for node in (edited, again))
            isSame = bool((first == second).all())
            text = (
                _("Made '{name}': the same voxels.") if isSame else _("Made '{name}'; it differs.")
            )
            self._tell(text.format(name=again.GetName()))

    def _editedVolume(self) -> slicer.vtkMRMLScalarVolumeNode | None:
        parameters = self._parameterNode
        if parameters is None or parameters.followedOutput is None:
            return None
        from AnatoMaskGANLib.mrml import is_edited_scan

        output, scan = parameters.followedOutput, parameters.followedScan
        isThere = scan is not None and output is not scan and is_edited_scan(output)
        return output if isThere else None


def choicesOfPanel(
    parameters: AnatoMaskGANParameterNode, changes: Sequence[str], fixed: Sequence[str]
) -> dict[str, Any]:
    """Gives the panel's choices for an edit, by the names that scripts use."""
    return {
        "changes": tuple(changes),
        "looks": dict(parameters.editLooks.items()),
        "fills": dict(parameters.editFills.items()),
        "fixed": tuple(fixed) if changes else (),
        "modality": parameters.editModality.value or None,
        "areDefaultsTaken": True,
    }


def countsOf(edited: slicer.vtkMRMLScalarVolumeNode) -> dict[str, int]:
    """Gives the numbers of voxels that an edit Moved, Filled and Painted, from its provenance."""
    from AnatoMaskGANLib.mrml import provenance_of

    provenance = provenance_of(edited)
    return {name: int(provenance[f"Voxels{name}"]) for name in ("Moved", "Filled", "Painted")}


def countsText(edited: slicer.vtkMRMLScalarVolumeNode, counts: Mapping[str, int]) -> str:
    """Says how many voxels an edit moved, filled and painted, in a sentence."""
    spacing = edited.GetSpacing()
    milliliters = sum(counts.values()) * spacing[0] * spacing[1] * spacing[2] / 1000
    total = slicer.util.arrayFromVolume(edited).size
    text = _(
        "{moved:,} voxels moved, {filled:,} filled, {painted:,} painted: {volume:.1f} mL, "
        "{share:.2f} % of the scan. The other voxels are those of the scan."
    )
    return text.format(
        moved=counts["Moved"],
        filled=counts["Filled"],
        painted=counts["Painted"],
        volume=milliliters,
        share=100 * sum(counts.values()) / total,
    )
