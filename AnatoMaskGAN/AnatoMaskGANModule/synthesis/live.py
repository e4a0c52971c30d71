"""Live resynthesis: the volume follows its segmentation while it is edited."""

import enum
import logging
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import qt
import slicer
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin
from vtk import vtkCommand

from AnatoMaskGANModule.host.status import showText
from AnatoMaskGANModule.logic import AnatoMaskGANLogic
from AnatoMaskGANModule.parameters import AnatoMaskGANParameterNode
from AnatoMaskGANModule.synthesis.backends import Asked
from AnatoMaskGANModule.synthesis.live_output import LiveOutput
from AnatoMaskGANModule.synthesis.request import VolumeSource, requestOf, settingsOfPanel
from AnatoMaskGANModule.synthesis.result import OutputStyle


class LiveState(enum.Enum):
    """Where the volume stands."""

    OFF = "off"
    PENDING = "pending"
    RUNNING = "running"
    UP_TO_DATE = "up to date"
    FAILED = "failed"


class LiveResynthesis(VTKObservationMixin):
    """Watches the segments and keeps the output volume up to date; nothing here waits.

    An edit marks the volume as outdated and starts a timer, so that a stroke becomes one update.
    While an update runs, another edit only notes that there has to be one more. Where the process
    has lost what it knew of the volume, as by a run in between, the next update is a whole
    synthesis. The observers live until `stop`, whatever module the user works in.

    onChanged: called with no argument when the state or what it tells changed. onFirstVolume: with
    the node of a volume that was not selected before. onLog: with what the process logs.
    """

    DELAY_MS = 250
    POLL_MS = 30

    def __init__(
        self,
        logic: AnatoMaskGANLogic,
        onChanged: Callable[[], None],
        onFirstVolume: Callable[[Any], None],
        onLog: Callable[[str], None],
    ) -> None:
        VTKObservationMixin.__init__(self)
        self._logic, self._onChanged = logic, onChanged
        self._onFirstVolume, self._onLog = onFirstVolume, onLog
        self.state, self.text = LiveState.OFF, ""
        self._parameterNode: AnatoMaskGANParameterNode | None = None
        self._observed = None
        self._request: Asked | None = None
        self._source: VolumeSource | None = None  # of the running or the last request
        self._export = None
        self._settings: tuple[Any, ...] | None = None
        self._style = OutputStyle()
        self._output = LiveOutput(logic)
        self._target = None  # the volume that the request fills; None: a new one
        self._selected = None  # the panel's output volume when the request was sent
        self._isAgainNeeded = False
        self._begin = 0.0
        self._delayTimer = qt.QTimer()
        self._delayTimer.setSingleShot(True)
        self._delayTimer.setInterval(self.DELAY_MS)
        self._delayTimer.timeout.connect(self._submit)
        self._pollTimer = qt.QTimer()
        self._pollTimer.setInterval(self.POLL_MS)
        self._pollTimer.timeout.connect(self._poll)

    @property
    def isOn(self) -> bool:
        return self.state is not LiveState.OFF

    def start(self, parameterNode: AnatoMaskGANParameterNode) -> None:
        """Make the volume of the parameter node's settings, and follow every edit from now on."""
        self.stop()
        self._parameterNode = parameterNode
        self._tell(LiveState.PENDING)
        self._delayTimer.start(0)

    def stop(self) -> None:
        """Follow no longer; what was made stays."""
        if not self.isOn:
            return
        self._delayTimer.stop()
        self._pollTimer.stop()
        self.removeObservers()
        if self._request is not None:
            self._logic.backend.cancel(self._request)
        self._parameterNode = self._observed = self._request = self._settings = None
        self._source = self._export = self._target = self._selected = None
        self._output.forget()
        self._isAgainNeeded = False
        self._tell(LiveState.OFF)

    def onEdited(self, caller=None, event=None) -> None:
        """Something changed that the volume depends on, or may."""
        if not self.isOn:
            return
        if self._request is not None:
            self._isAgainNeeded = True
        else:
            self._tell(LiveState.PENDING)
            self._delayTimer.start(self.DELAY_MS)

    def _tell(self, state: LiveState, text: str = "") -> None:
        self.state, self.text = state, text
        self._onChanged()

    def onOutputModified(self, caller=None, event=None) -> None:
        """Others may have moved the volume, or given it another shape."""
        if self.state is LiveState.UP_TO_DATE and not self._output.isInPlace:
            self.onEdited()

    def _observe(self) -> None:
        """Watch what the volume depends on, and the volume itself."""
        segmentationNode = self._parameterNode.inputSegmentation
        segmentation = segmentationNode.GetSegmentation() if segmentationNode else None
        reference, output = self._parameterNode.referenceVolume, self._output.node
        if (segmentation, reference, output) == self._observed:
            return
        self.removeObservers()
        self._observed = (segmentation, reference, output)
        transformed = slicer.vtkMRMLTransformableNode.TransformModifiedEvent
        if segmentation is not None:
            events = slicer.vtkSegmentation
            for event in (
                events.SourceRepresentationModified,
                events.RepresentationModified,
                events.SegmentAdded,
                events.SegmentRemoved,
                events.SegmentModified,
                events.SegmentsOrderModified,
            ):
                self.addObserver(segmentation, event, self.onEdited)
            self.addObserver(segmentationNode, transformed, self.onEdited)
            replaced = slicer.vtkMRMLSegmentationNode.SegmentationChangedEvent
            self.addObserver(segmentationNode, replaced, self.onEdited)
        if reference is not None and reference is not output:
            self.addObserver(reference, vtkCommand.ModifiedEvent, self.onEdited)
            self.addObserver(reference, transformed, self.onEdited)
        if output is not None:
            self.addObserver(output, vtkCommand.ModifiedEvent, self.onOutputModified)
            self.addObserver(output, transformed, self.onOutputModified)

    def _submit(self) -> None:
        """Ask for what the edits so far need; nothing when they left every label as it was."""
        parameters = self._parameterNode
        segmentationNode = parameters.inputSegmentation if parameters is not None else None
        if segmentationNode is None:
            self.stop()
            return
        self._observe()
        try:
            self._submitEdits(parameters)
        except (ValueError, RuntimeError, OSError) as error:  # such as the last segment removed
            self._settings = None
            self._tell(LiveState.FAILED, str(error))

    def _submitEdits(self, parameters: AnatoMaskGANParameterNode) -> None:
        from AnatoMaskGANLib.volumes import same_grid

        source = self._logic.sourceOf(parameters)
        export = source.labelMapExport()
        request = requestOf(source, export, settingsOfPanel(parameters))
        style = OutputStyle(parameters.intensities, parameters.displayPreset)
        labelMap, previous = export.label_map, self._export
        settings = (
            *(request.settings, request.unmatched, request.userTable),
            *(labelMap.names, labelMap.codes, style.intensities),
            *(source.segmentationNode, source.referenceVolume),
            tuple((entry.segment_id, entry.label_value) for entry in export.entries),
        )
        isSame = (
            settings == self._settings
            and self._output.node is not None
            and self._output.node is parameters.outputVolume
            and self._output.isInPlace
            and self._output.isOn(export.grid)
            and same_grid(labelMap, previous.label_map)
        )
        if isSame and np.array_equal(labelMap.labels_kji, previous.label_map.labels_kji):
            self._tell(LiveState.UP_TO_DATE, _("nothing to do"))
            return
        backend = self._logic.backend
        if isSame and backend.isLive:
            self._target = self._output.node
            asked = backend.update(labelMap)
        else:
            self._target = self._output.volumeToFill(parameters)
            self._logic.checkOutput(self._target)
            asked = backend.ask(request, isLive=True)
        self._source, self._export, self._settings = source, export, settings
        self._selected = parameters.outputVolume
        self._style = style
        self._request = asked
        self._isAgainNeeded = False
        self._begin = time.monotonic()
        self._tell(LiveState.RUNNING)
        self._pollTimer.start()

    def _poll(self) -> None:
        """Take what the process answered, whatever becomes of it."""
        request = self._request
        if request is None:
            return
        try:
            for message in self._logic.backend.answers(request):
                self._take(message)
                if self._request is not request:
                    return
        except Exception as error:
            logging.debug("where the live volume could not be filled", exc_info=True)
            if self._request is request:
                self._fail(str(error) or type(error).__name__)

    def _take(self, message) -> None:
        from AnatoMaskGANLib.synthesis.worker import client as messages

        if isinstance(message, messages.Progress):
            self._tell(LiveState.RUNNING, message.text)
        elif isinstance(message, messages.VolumeMade):
            self._takeVolume(message.volume, message.seed)
        elif isinstance(message, messages.VolumeChanged):
            self._takeChange(message)
        elif isinstance(message, messages.Failed):
            self._onLog(f"{message.error}: {message.text}")
            self._fail(message.text)
        elif isinstance(message, messages.Finished):
            seconds = time.monotonic() - self._begin
            self._finish(LiveState.UP_TO_DATE, _("{seconds:.1f} s").format(seconds=seconds))
        else:  # the process was ended, by whoever cancelled another run on it
            self._beginAnew()
            self._finish(LiveState.PENDING, "")

    def _beginAnew(self) -> None:
        """Make the whole volume again when the running request has ended."""
        self._settings, self._isAgainNeeded = None, True

    def _fail(self, text: str) -> None:
        """Tell the reason; the next edit begins anew."""
        self._settings = None
        self._finish(LiveState.FAILED, text)

    def _finish(self, state: LiveState, text: str) -> None:
        self._logic.backend.forget(self._request)
        self._request = None
        self._pollTimer.stop()
        self._tell(state, text)
        if self._isAgainNeeded:
            self._isAgainNeeded = False
            self._tell(LiveState.PENDING)
            self._delayTimer.start(0)

    def _takeVolume(self, volume, seed: int) -> None:
        """Fill the target, a new volume when there is none, which is then selected."""
        if self._source.segmentationNode.GetScene() is None or self._isTargetGone():
            self.stop()
            return
        reference = self._source.referenceVolume
        isReferenceGone = reference is not None and reference.GetScene() is None
        if isReferenceGone or self._parameterNode.outputVolume is not self._selected:
            self._beginAnew()  # on another grid, or in the volume that was selected meanwhile
            return
        self._output.put(self._source, self._target, volume, seed, self._export, self._style)
        self._target = self._output.node
        if self._parameterNode.outputVolume is not self._target:
            self._parameterNode.outputVolume = self._target
            self._onFirstVolume(self._target)
        self._observe()

    def _takeChange(self, message) -> None:
        """Write the changed box, unless the volume became another one meanwhile."""
        if self._isTargetGone():
            self.stop()
        elif self._output.isInPlace:
            self._output.change(message.changed, message.voxels_kji, message.provenance)
        else:
            self._beginAnew()

    def _isTargetGone(self) -> bool:
        return self._target is not None and self._target.GetScene() is None


def showLiveState(ui, live: LiveResynthesis) -> None:
    """Tick the box while the volume follows, and tell whether it is up to date."""
    texts = {
        LiveState.OFF: "",
        LiveState.PENDING: _("Edited; the update starts shortly..."),
        LiveState.RUNNING: _("Running: {text}"),
        LiveState.UP_TO_DATE: _("Up to date ({text})"),
        LiveState.FAILED: _("Not up to date: {text}"),
    }
    text = texts[live.state].format(text=live.text)
    showText(ui.liveStateLabel, text, live.state is LiveState.FAILED)
    wasBlocked = ui.liveCheckBox.blockSignals(True)
    ui.liveCheckBox.setChecked(live.isOn)
    ui.liveCheckBox.blockSignals(wasBlocked)
