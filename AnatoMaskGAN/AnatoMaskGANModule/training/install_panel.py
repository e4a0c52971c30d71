"""The part of the training section that makes a model of a run and installs it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import qt
import slicer
from slicer.i18n import tr as _

from AnatoMaskGANModule.host.process import CommandProcess
from AnatoMaskGANModule.host.status import LogPane, showText
from AnatoMaskGANModule.parameters import AnatoMaskGANParameterNode
from AnatoMaskGANModule.training.pictures import RunPictures

if TYPE_CHECKING:
    from AnatoMaskGANModule.logic import AnatoMaskGANLogic


class InstallRunWidgets(Protocol):
    """The widgets of the panel that `InstallRunPanel` owns."""

    trainCheckpointComboBox: qt.QComboBox
    trainInstallButton: qt.QPushButton
    trainStateLabel: qt.QLabel


class InstallRunPanel:
    """Exports the run that the pictures show under a name; onInstalled gets the name."""

    POLL_MS = 200

    def __init__(
        self,
        ui: InstallRunWidgets,
        logic: AnatoMaskGANLogic,
        log: LogPane,
        pictures: RunPictures,
        onInstalled: Callable[[str], None],
    ) -> None:
        self._ui, self._logic, self._log, self._onInstalled = ui, logic, log, onInstalled
        self._pictures = pictures
        self._parameterNode: AnatoMaskGANParameterNode | None = None
        self._process: CommandProcess | None = None
        self._name = ""
        ui.trainInstallButton.clicked.connect(self.install)
        self._timer = qt.QTimer()
        self._timer.setInterval(self.POLL_MS)
        self._timer.timeout.connect(self.poll)

    def update(self, parameterNode: AnatoMaskGANParameterNode | None) -> None:
        self._parameterNode = parameterNode

    def install(self) -> None:
        """Begin, or say why it cannot be."""
        parameters = self._parameterNode
        folder = self._pictures.folder
        isBusy = self._process is not None and self._process.isRunning
        if parameters is None or folder is None or isBusy:
            return
        try:
            self._name = self._checkedName(parameters.trainModelName.strip())
            for text, what in (
                (parameters.trainTrainingData, _("on which data the model was trained")),
                (parameters.trainLicence, _("which license the weights have")),
            ):
                if not text.strip():
                    raise ValueError(
                        _("Say {what}: the card of the model must contain it.").format(what=what)
                    )
            if not self._mayReplace(self._name):
                return
            run = folder.resolve()
            store = run.parent / "store"
            description = parameters.trainDescription.strip()  # the run's where it is empty
            arguments = [
                *("models", "export", str(run), self._name, "--store", str(store)),
                *("--checkpoint", self._ui.trainCheckpointComboBox.currentText),
                *(("--description", description) if description else ()),
                *("--training-data", parameters.trainTrainingData.strip()),
                *("--license", parameters.trainLicence.strip()),
                *(("--replace",) if self._logic.isInstalled(self._name) else ()),
            ]
            self._process = CommandProcess(arguments, lambda line: self._log.add("models", line))
        except (ValueError, RuntimeError, OSError) as error:
            self._showState(str(error), isWarning=True)
            return
        self._ui.trainInstallButton.setEnabled(False)
        self._showState(_("Making the model {name}...").format(name=self._name))
        self._timer.start()

    def _checkedName(self, name: str) -> str:
        from AnatoMaskGANLib.synthesis.models.archive import check_model_name

        if not name:
            raise ValueError(_("Give the model a name."))
        if name in self._logic.models() and not self._logic.isInstalled(name):
            text = _("{name} is the name of a bundled model; choose another.")
            raise ValueError(text.format(name=name))
        return check_model_name(name)

    def _mayReplace(self, name: str) -> bool:
        """Whether the name is free or the user gives it away; the old model is forgotten then."""
        if not self._logic.isInstalled(name):
            return True
        question = _("Replace the installed model {name}?").format(name=name)
        if not slicer.util.confirmOkCancelDisplay(question, _("Install as model")):
            return False
        self._logic.forgetModels()
        return True

    def poll(self) -> None:
        """Follow the process; called by a timer."""
        process = self._process
        if process is None:
            return
        isOver = not process.isRunning
        process.poll()
        if not isOver:
            return
        self._timer.stop()
        self._ui.trainInstallButton.setEnabled(True)
        if process.exitCode == 0:
            self._showState(_("Installed the model {name}.").format(name=self._name))
            self._onInstalled(self._name)
        else:
            self._showState(process.lastWords, isWarning=True)

    def close(self) -> None:
        """End the process; the module is being closed."""
        self._timer.stop()
        if self._process is not None:
            self._process.close()

    def _showState(self, text: str, isWarning: bool = False) -> None:
        showText(self._ui.trainStateLabel, text, isWarning)
