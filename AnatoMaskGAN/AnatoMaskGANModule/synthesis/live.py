"""Live resynthesis: the volume follows its segmentation while it is edited."""

from __future__ import annotations

import enum
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import qt
import slicer
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin
from vtk import vtkCommand

from AnatoMaskGANModule.parameters import AnatoMaskGANParameterNode
from AnatoMaskGANModule.synthesis.backends import Asked, ProcessBackend
from AnatoMaskGANModule.synthesis.live_output import LiveOutput
from AnatoMaskGANModule.synthesis.request import (
    VolumeSource,
    requestOf,
    settingsOfPanel,
    sourceOfPanel,
)
from AnatoMaskGANModule.synthesis.result import MadeVolumes, OutputStyle, checkOutput

if TYPE_CHECKING:
    from AnatoMaskGANLib.mrml import SegmentationExport
    from AnatoMaskGANLib.synthesis.worker.messages import VolumeChanged
    from AnatoMaskGANLib.volumes import Volume


class LiveState(enum.Enum):
    """The state of the volume."""

    OFF = "off"
    PENDING = "pending"
    RUNNING = "running"
    UP_TO_DATE = "up to date"
    FAILED = "failed"


@dataclass(frozen=True)
class _Sent:
    """The source and the settings of a request."""

    source: VolumeSource
    export: SegmentationExport
    style: OutputStyle


class LiveResynthesis(VTKObservationMixin):
    """Watches the segments and keeps the output volume up to date; nothing here waits.

    An edit marks the volume as outdated and starts a timer, so that a stroke becomes one update.
    While an update runs, another edit only notes that there has to be one more. Where the process
    has lost what it knew of the volume, as by a synthesis in between, the next update is a whole
    synthesis. The observers live until `stop`, whatever module the user works in.

    onChanged: called without argument when the state or its text changed. onFirstVolume: called
    with the node of a volume that was not selected before. onLog: called with each line that the
    process logs.
    """

    DELAY_MS = 250
    POLL_MS = 30

    def __init__(
        self,
        backend: ProcessBackend,
        onChanged: Callable[[], None],
        onFirstVolume: Callable[[Any], None],
        onLog: Callable[[str], None],
    ) -> None:
        VTKObservationMixin.__init__(self)
        self._backend, self._onChanged = backend, onChanged
        self._onFirstVolume, self._onLog = onFirstVolume, onLog
        self.state, self.text = LiveState.OFF, ""
        self._parameterNode: AnatoMaskGANParameterNode | None = None
        self._observed: tuple[Any, ...] | None = None
        self._request: Asked | None = None
        self._sent: _Sent | None = None  # belongs to the running or last request
        self._settings: tuple[Any, ...] | None = None  # settings of that request; None: begin anew
        self._output = LiveOutput()
        # the volume that the request fills; None: a new one
        self._target: slicer.vtkMRMLScalarVolumeNode | None = None
        # the panel's output volume when the request was sent
        self._selected: slicer.vtkMRMLScalarVolumeNode | None = None
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
        self._setState(LiveState.PENDING)
        self._delayTimer.start(0)

    def stop(self) -> None:
        """Follow no longer; what was made stays."""
        if not self.isOn:
            return
        self._delayTimer.stop()
        self._pollTimer.stop()
        self.removeObservers()
        if self._request is not None:
            self._backend.cancel(self._request)
        self._parameterNode = self._observed = self._request = None
        self._sent = self._settings = self._target = self._selected = None
        self._output.forget()
        self._isAgainNeeded = False
        self._setState(LiveState.OFF)

    def onEdited(self, caller: Any = None, event: Any = None) -> None:
        """Something changed that the volume depends on, or may."""
        if not self.isOn:
            return
        if self._request is not None:
            self._isAgainNeeded = True
        else:
            self._setState(LiveState.PENDING)
            self._delayTimer.start(self.DELAY_MS)

    def _setState(self, state: LiveState, text: str = "") -> None:
        self.state, self.text = state, text
        self._onChanged()

    def onOutputModified(self, caller: Any = None, event: Any = None) -> None:
        """Others may have moved the volume, or given it another shape."""
        if self.state is LiveState.UP_TO_DATE and not self._output.isInPlace:
            self.onEdited()

    def _observe(self, parameters: AnatoMaskGANParameterNode) -> None:
        """Watch what the volume depends on, and the volume itself."""
        segmentationNode = parameters.inputSegmentation
        segmentation = segmentationNode.GetSegmentation() if segmentationNode else None
        reference, output = parameters.referenceVolume, self._output.node
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
        if parameters is None or parameters.inputSegmentation is None:
            self.stop()
            return
        self._observe(parameters)
        try:
            self._submitEdits(parameters)
        except (ValueError, RuntimeError, OSError) as error:  # such as the last segment removed
            self._settings = None
            self._setState(LiveState.FAILED, str(error))

    def _submitEdits(self, parameters: AnatoMaskGANParameterNode) -> None:
        from AnatoMaskGANLib.volumes import same_grid

        source = sourceOfPanel(parameters)
        export = source.labelMapExport()
        request = requestOf(source, export, settingsOfPanel(parameters))
        style = OutputStyle(parameters.intensities, parameters.displayPreset)
        labelMap, previous = export.label_map, self._sent.export if self._sent else None
        settings = (
            *(request.model, request.device, request.options),
            *(labelMap.names, labelMap.codes, style.intensities),
            *(source.segmentationNode, source.referenceVolume),
            tuple((entry.segment_id, entry.label_value) for entry in export.entries),
        )
        isSame = (
            settings == self._settings
            and previous is not None
            and self._output.node is not None
            and self._output.node is parameters.outputVolume
            and self._output.isInPlace
            and self._output.isOn(export.grid)
            and same_grid(labelMap, previous.label_map)
        )
        if (
            isSame
            and previous is not None
            and np.array_equal(labelMap.labels_kji, previous.label_map.labels_kji)
        ):
            self._setState(LiveState.UP_TO_DATE, _("nothing to do"))
            return
        if isSame and self._backend.isLive:
            self._target = self._output.node
            asked = self._backend.update(labelMap)
        else:
            self._target = self._output.volumeToFill(parameters)
            checkOutput(self._target)
            asked = self._backend.ask(request, isLive=True)
        self._sent, self._settings = _Sent(source, export, style), settings
        self._selected = parameters.outputVolume
        self._request = asked
        self._isAgainNeeded = False
        self._begin = time.monotonic()
        self._setState(LiveState.RUNNING)
        self._pollTimer.start()

    def _poll(self) -> None:
        """Take the answers of the process, whether they are used or not."""
        request = self._request
        if request is None:
            return
        try:
            for message in self._backend.answers(request):
                self._take(message)
                if self._request is not request:
                    return
        except Exception as error:
            logging.debug("where the live volume could not be filled", exc_info=True)
            if self._request is request:
                self._fail(str(error) or type(error).__name__)

    def _take(self, message: Any) -> None:
        from AnatoMaskGANLib.synthesis.worker import messages

        if isinstance(message, messages.ProgressMade):
            self._setState(LiveState.RUNNING, message.text)
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
        else:  # the process was ended, by whoever cancelled another synthesis on it
            self._beginAnew()
            self._finish(LiveState.PENDING, "")

    def _beginAnew(self) -> None:
        """Make the whole volume again when the running request has ended."""
        self._settings, self._isAgainNeeded = None, True

    def _fail(self, text: str) -> None:
        """Show the reason of a failure; the next edit begins with a whole synthesis."""
        self._settings = None
        self._finish(LiveState.FAILED, text)

    def _finish(self, state: LiveState, text: str) -> None:
        if self._request is not None:
            self._backend.forget(self._request)
        self._request = None
        self._pollTimer.stop()
        self._setState(state, text)
        if self._isAgainNeeded:
            self._isAgainNeeded = False
            self._setState(LiveState.PENDING)
            self._delayTimer.start(0)

    def _takeVolume(self, volume: Volume, seed: int) -> None:
        """Fill the target, a new volume when there is none, which is then selected."""
        parameters, sent = self._parameterNode, self._sent
        if parameters is None or sent is None:
            return
        if sent.source.segmentationNode.GetScene() is None or self._isTargetGone():
            self.stop()
            return
        reference = sent.source.referenceVolume
        isReferenceGone = reference is not None and reference.GetScene() is None
        if isReferenceGone or parameters.outputVolume is not self._selected:
            self._beginAnew()  # the grid or the selected volume is another one now
            return
        made = MadeVolumes(sent.source, sent.export, [seed], [volume])
        self._target = self._output.put(made, self._target, sent.style)
        if parameters.outputVolume is not self._target:
            parameters.outputVolume = self._target
            self._onFirstVolume(self._target)
        self._observe(parameters)

    def _takeChange(self, message: VolumeChanged) -> None:
        """Write the changed box, unless the volume became another one meanwhile."""
        if self._isTargetGone():
            self.stop()
        elif self._output.isInPlace:
            self._output.change(message.changed, message.voxels_kji, message.provenance)
        else:
            self._beginAnew()

    def _isTargetGone(self) -> bool:
        return self._target is not None and self._target.GetScene() is None
