"""The part of the panel that makes a volume: the button, the live volume, the random seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import qt
import slicer
from slicer.i18n import tr as _

from AnatoMaskGANModule.host.segments import showSegments
from AnatoMaskGANModule.host.status import showText
from AnatoMaskGANModule.host.views import SideBySide
from AnatoMaskGANModule.host.work import PanelWork, Readiness, offer
from AnatoMaskGANModule.parameters import LARGEST_SEED, AnatoMaskGANParameterNode, OutputMode
from AnatoMaskGANModule.synthesis.live import LiveResynthesis, LiveState
from AnatoMaskGANModule.synthesis.request import samplingOfPanel, sourceOfPanel
from AnatoMaskGANModule.synthesis.result import OutputStyle, volumeToFill

if TYPE_CHECKING:
    from AnatoMaskGANModule.logic import AnatoMaskGANLogic


class SynthesisWidgets(Protocol):
    """The widgets of the panel that `SynthesisPanel` owns."""

    cancelButton: qt.QPushButton
    liveCheckBox: qt.QCheckBox
    liveStateLabel: qt.QLabel
    randomSeedButton: qt.QPushButton
    synthesizeButton: qt.QPushButton


class SynthesisPanel:
    """Synthesizes at a click, or lets the volume follow its segments."""

    def __init__(
        self,
        ui: SynthesisWidgets,
        logic: AnatoMaskGANLogic,
        work: PanelWork,
        views: SideBySide,
        live: LiveResynthesis,
    ) -> None:
        self._ui, self._logic, self._work, self._views = ui, logic, work, views
        self._live = live
        self._parameterNode: AnatoMaskGANParameterNode | None = None
        self._shownProblem: str | None = None
        ui.synthesizeButton.clicked.connect(self.synthesize)
        ui.cancelButton.clicked.connect(self.cancel)
        ui.liveCheckBox.toggled.connect(self.setLive)
        ui.randomSeedButton.clicked.connect(self.chooseRandomSeed)

    def update(self, parameterNode: AnatoMaskGANParameterNode | None) -> None:
        """The next synthesis takes its settings from this parameter node."""
        self._parameterNode = parameterNode

    def showReadiness(self, readiness: Readiness) -> None:
        """Offer the buttons, and show a message when something else is missing than before."""
        ui, problem = self._ui, readiness.problem
        tip = _("Make a synthetic volume (Ctrl+Return)")
        if readiness.isLive:
            tip = _("The volume is updated automatically while you edit")
        offer(ui.synthesizeButton, problem, readiness.isFree, tip)
        ui.liveCheckBox.setEnabled(readiness.isLive or (problem is None and readiness.isFree))
        ui.cancelButton.setEnabled(readiness.isRunning)
        if problem != self._shownProblem and not readiness.isRunning:
            self._work.display.show(problem or "")
            self._shownProblem = problem

    def synthesize(self) -> None:
        if self._parameterNode is not None:
            parameters = self._parameterNode
            self._work.make(lambda note: self._synthesized(parameters, note))

    def cancel(self) -> None:
        """End the running work; a synthesis leaves nothing behind."""
        self._work.display.show(_("Cancelling..."))
        self._logic.cancel()

    def setLive(self, isOn: bool) -> None:
        if isOn and self._parameterNode is not None:
            self._live.start(self._parameterNode)
        else:
            self._live.stop()

    def showLive(self) -> None:
        """Tick the box while the volume follows, and show whether it is up to date."""
        live = self._live
        texts = {
            LiveState.OFF: "",
            LiveState.PENDING: _("Edited; the update starts shortly..."),
            LiveState.RUNNING: _("Running: {text}"),
            LiveState.UP_TO_DATE: _("Up to date ({text})"),
            LiveState.FAILED: _("Not up to date: {text}"),
        }
        text = texts[live.state].format(text=live.text)
        showText(self._ui.liveStateLabel, text, live.state is LiveState.FAILED)
        wasBlocked = self._ui.liveCheckBox.blockSignals(True)
        self._ui.liveCheckBox.setChecked(live.isOn)
        self._ui.liveCheckBox.blockSignals(wasBlocked)

    def chooseRandomSeed(self) -> None:
        if self._parameterNode is not None:
            self._parameterNode.seed = random.randrange(LARGEST_SEED)

    def _synthesized(
        self, parameters: AnatoMaskGANParameterNode, note: Callable[[str], None]
    ) -> slicer.vtkMRMLScalarVolumeNode:
        toFill = volumeToFill(parameters)
        isNew = parameters.outputMode is OutputMode.NEW or toFill is None
        source = sourceOfPanel(parameters)
        output = self._logic.synthesize(
            source.segmentationNode,
            outputVolume=None if isNew else toFill,
            referenceVolume=source.referenceVolume,
            model=parameters.model,
            seed=parameters.seed,
            samples=parameters.samples,
            device=parameters.device.value,
            labels=source.labels,
            segmentIDs=source.segmentIDs,
            progressCallback=self._work.display.report,
            logCallback=note,
            manySamples=parameters.manySamples,
            style=OutputStyle(parameters.intensities, parameters.displayPreset),
            **samplingOfPanel(parameters),
        )
        parameters.outputVolume = output
        self._views.showVolume(output, isFitted=isNew)
        if isNew:  # else the segments would hide the new volume
            showSegments(source.segmentationNode, False)
        return output
