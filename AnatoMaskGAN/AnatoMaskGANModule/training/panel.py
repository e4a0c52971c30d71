"""The section that trains a model: its cases, its course, and what it became."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING, Protocol

import qt
import slicer
from slicer.i18n import tr as _

from AnatoMaskGANModule.host.status import LogPane, showText
from AnatoMaskGANModule.packages.panel import PackagesPanel, Purpose, chooseFolder
from AnatoMaskGANModule.parameters import (
    AnatoMaskGANParameterNode,
    LengthUnit,
    TrainingPreset,
    TrainingSource,
)
from AnatoMaskGANModule.training.cases import ScenePairsTable, ScenePairsWidgets, exportCases
from AnatoMaskGANModule.training.job import TrainingJob, TrainingState
from AnatoMaskGANModule.training.pictures import RunPictures, RunWidgets
from AnatoMaskGANModule.training.request import TrainingRequest

if TYPE_CHECKING:
    from AnatoMaskGANModule.logic import AnatoMaskGANLogic


class TrainWidgets(ScenePairsWidgets, RunWidgets, Protocol):
    """The widgets of the panel that `TrainPanel` owns."""

    trainCasesButton: qt.QToolButton
    trainCasesEdit: qt.QLineEdit
    trainCasesLabel: qt.QLabel
    trainCasesWidget: qt.QWidget
    trainCheckButton: qt.QPushButton
    trainFolderButton: qt.QToolButton
    trainFolderEdit: qt.QLineEdit
    trainFurtherEdit: qt.QLineEdit
    trainGoesOnCheckBox: qt.QCheckBox
    trainLengthSpinBox: qt.QSpinBox
    trainPairsWidget: qt.QWidget
    trainProgressBar: qt.QProgressBar
    trainSettingsButton: qt.QToolButton
    trainSettingsEdit: qt.QLineEdit
    trainSettingsLabel: qt.QLabel
    trainSettingsWidget: qt.QWidget
    trainStartButton: qt.QPushButton
    trainStateLabel: qt.QLabel
    trainStopButton: qt.QPushButton


class TrainPanel:
    """Starts, follows and stops a training; the window stays free meanwhile.

    The training belongs to its folder, not to the scene: closing the scene leaves it as it is.
    """

    POLL_MS = 300

    def __init__(
        self,
        ui: TrainWidgets,
        logic: AnatoMaskGANLogic,
        log: LogPane,
        packagesPanel: PackagesPanel,
    ) -> None:
        self._ui, self._logic, self._log, self._packagesPanel = ui, logic, log, packagesPanel
        self._parameterNode: AnatoMaskGANParameterNode | None = None
        self.job: TrainingJob | None = None
        self._lookedFor = ""
        self.pairs = ScenePairsTable(ui)
        self.pictures = RunPictures(ui)
        ui.trainProgressBar.setVisible(False)
        ui.trainCasesButton.clicked.connect(self._chooseCases)
        ui.trainFolderButton.clicked.connect(self._chooseFolder)
        ui.trainSettingsButton.clicked.connect(self._chooseSettings)
        ui.trainCheckButton.clicked.connect(self.check)
        ui.trainStartButton.clicked.connect(self.start)
        ui.trainStopButton.clicked.connect(self.stop)
        ui.trainGoesOnCheckBox.toggled.connect(self._onGoesOnToggled)
        self._timer = qt.QTimer()
        self._timer.setInterval(self.POLL_MS)
        self._timer.timeout.connect(self.poll)

    @property
    def isRunning(self) -> bool:
        return self.job is not None and self.job.isRunning

    def update(self, parameterNode: AnatoMaskGANParameterNode | None) -> None:
        """Show what the parameter node says, and what lies in the training folder."""
        self._parameterNode = parameterNode
        ui = self._ui
        if parameterNode is not None:
            isScene = parameterNode.trainSource is TrainingSource.SCENE
            ui.trainPairsWidget.setVisible(isScene)
            for widget in (ui.trainCasesLabel, ui.trainCasesWidget):
                widget.setVisible(not isScene)
            isOwnFile = parameterNode.trainPreset is TrainingPreset.FILE
            for widget in (ui.trainSettingsLabel, ui.trainSettingsWidget):
                widget.setVisible(isOwnFile)
            hasLength = parameterNode.trainLengthUnit is not LengthUnit.PRESET
            ui.trainLengthSpinBox.setEnabled(hasLength)
            if isScene:
                self.pairs.update()
            self._lookIntoFolder(parameterNode.trainFolder.strip())
        canStart = parameterNode is not None and not self.isRunning
        ui.trainCheckButton.setEnabled(canStart)
        ui.trainStartButton.setEnabled(canStart)
        job = self.job
        ui.trainStopButton.setEnabled(job is not None and job.isRunning and not job.isStopping)

    def check(self) -> None:
        self._begin(isCheck=True)

    def start(self) -> None:
        self._begin(isCheck=False)

    def stop(self) -> None:
        if self.job is not None:
            self.job.stop()
            self._show(self.job)

    def poll(self) -> None:
        """Follow the processes; called by a timer."""
        if self.job is None:
            return
        self.job.poll()
        if not self.isRunning:
            self._timer.stop()
        self._show(self.job)

    def close(self) -> None:
        """The module is being closed: the training ends too, unless the user said otherwise."""
        self._timer.stop()
        if self.job is not None:
            self.job.close()

    def _begin(self, isCheck: bool) -> None:
        """Start, or say why it cannot be."""
        parameters = self._parameterNode
        if parameters is None:
            return
        if self.isRunning:
            self._showState(_("A training is running. Stop it first."), isWarning=True)
            return
        try:
            for purpose in (Purpose.SYNTHESIS, Purpose.TRAINING):
                if not self._packagesPanel.ensure(purpose):
                    raise ValueError(_("Install the packages for training first."))
            request = self._request(parameters)
            request.check()
            if TrainingJob.found(request) is not None:
                self._lookedFor = ""
                raise ValueError(
                    _("Another training is running in this folder. Choose another folder.")
                )
            if parameters.trainSource is TrainingSource.SCENE:
                exportCases(self.pairs.pairs(), request.folder, self._onExported)
            self.job = self._logic.startTraining(
                request, isCheck, self._ui.trainGoesOnCheckBox.checked, self._onLog
            )
        except (ValueError, OSError) as error:
            self._showState(str(error), isWarning=True)
            return
        self._lookedFor = parameters.trainFolder.strip()
        self._timer.start()
        self._show(self.job)

    def _request(self, parameters: AnatoMaskGANParameterNode) -> TrainingRequest:
        if not parameters.trainFolder.strip():
            raise ValueError(_("Choose the training folder."))
        folder = pathlib.Path(parameters.trainFolder.strip())
        cases = pathlib.Path(parameters.trainCases.strip())
        if parameters.trainSource is TrainingSource.SCENE:
            cases = folder / "cases"
            cases.mkdir(parents=True, exist_ok=True)
        elif not parameters.trainCases.strip():
            raise ValueError(_("Choose the folder of cases."))
        settings = self._ui.trainSettingsEdit.text.strip()
        return TrainingRequest(
            cases,
            folder,
            parameters.trainPreset,
            pathlib.Path(settings) if settings else None,
            parameters.trainLength,
            parameters.trainLengthUnit,
            parameters.trainHeldOut,
            parameters.trainWindow,
            self._ui.trainFurtherEdit.text,
            parameters.device.value,
        )

    def _lookIntoFolder(self, text: str) -> None:
        """Show what an earlier training left in the folder, and follow one that goes on there."""
        isOfClosedScene = not text and self.job is not None
        if self.isRunning or text == self._lookedFor or isOfClosedScene:
            return
        self._lookedFor = text
        folder = pathlib.Path(text) if text else None
        self.pictures.follow(folder / "run" if folder is not None else None)
        self.pictures.update()
        self._showState("")
        if folder is None or self._packagesPanel.isMissing(Purpose.SYNTHESIS):
            return
        job = TrainingJob.found(TrainingRequest(folder, folder), self._onLog)
        if job is not None:
            self.job = job
            self._timer.start()
            self._show(job)
        elif self.pictures.hasCheckpoint:
            self._showState(_("This folder contains a training. Start training continues it."))

    def _show(self, job: TrainingJob) -> None:
        bar = self._ui.trainProgressBar
        bar.setVisible(job.isRunning)
        bar.setMaximum(max(0, job.steps))  # 0: it moves without telling how far
        bar.setValue(job.step)
        self._showState(job.text, job.state is TrainingState.FAILED)
        self.pictures.follow(job.request.run)
        self.pictures.update()
        self.update(self._parameterNode)

    def _showState(self, text: str, isWarning: bool = False) -> None:
        showText(self._ui.trainStateLabel, text, isWarning)

    def _onLog(self, line: str) -> None:
        self._log.add(_("training"), line)

    def _onExported(self, number: int, name: str) -> None:
        self._showState(_("Writing {name}...").format(name=name))
        slicer.app.processEvents()

    def _onGoesOnToggled(self, goesOn: bool) -> None:
        if self.job is not None:
            self.job.setGoesOn(goesOn)

    def _chooseCases(self) -> None:
        chooseFolder(self._ui.trainCasesEdit, _("Folder of cases"))

    def _chooseFolder(self) -> None:
        chooseFolder(self._ui.trainFolderEdit, _("Training folder"))

    def _chooseSettings(self) -> None:
        path = qt.QFileDialog.getOpenFileName(
            slicer.util.mainWindow(), _("Settings file"), "", _("Settings (*.yaml *.yml)")
        )
        if path:
            self._ui.trainSettingsEdit.setText(path)
