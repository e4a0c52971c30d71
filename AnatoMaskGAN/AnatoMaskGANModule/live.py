"""Live resynthesis: the volume follows its segmentation while it is edited."""

import enum
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import qt
import slicer
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from .logic import AnatoMaskGANLogic
from .output_style import OutputStyle
from .parameter_node import AnatoMaskGANParameterNode
from .runners import Asked
from .synthesis_request import requestOf, settingsOfPanel
from .volume_source import VolumeSource


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
    the node of a volume that was not there before. onLog: with what the process logs.
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
        self._output = None
        self._window: tuple[float, float] | None = None  # of the model
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
            self._logic.runner.cancel(self._request)
        self._parameterNode = self._observed = self._request = self._settings = None
        self._source = self._export = self._output = None
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

    def _observe(self, segmentationNode) -> None:
        segmentation = segmentationNode.GetSegmentation()
        if segmentation is self._observed:
            return
        self.removeObservers()
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
        transformed = slicer.vtkMRMLTransformableNode.TransformModifiedEvent
        self.addObserver(segmentationNode, transformed, self.onEdited)
        self._observed = segmentation

    def _submit(self) -> None:
        """Ask for what the edits so far need; nothing when they left every label as it was."""
        parameters = self._parameterNode
        segmentationNode = parameters.inputSegmentation if parameters is not None else None
        if segmentationNode is None:
            self.stop()
            return
        self._observe(segmentationNode)
        try:
            self._submitEdits(parameters)
        except (ValueError, RuntimeError) as error:  # such as the last segment removed
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
        )
        isSame = (
            settings == self._settings
            and self._output is not None
            and self._output is parameters.outputVolume
            and same_grid(labelMap, previous.label_map)
        )
        if isSame and np.array_equal(labelMap.labels_kji, previous.label_map.labels_kji):
            self._tell(LiveState.UP_TO_DATE, _("nothing to do"))
            return
        runner = self._logic.runner
        if isSame and runner.isLive:
            asked = runner.update(labelMap)
        else:
            self._output = self._logic.volumeToFill(parameters)
            self._logic.checkOutput(self._output)
            asked = runner.ask(request, isLive=True)
        self._source, self._export, self._settings = source, export, settings
        self._style = style
        self._request = asked
        self._isAgainNeeded = False
        self._begin = time.monotonic()
        self._tell(LiveState.RUNNING)
        self._pollTimer.start()

    def _poll(self) -> None:
        from AnatoMaskGANLib.synthesis import worker_client as messages

        request = self._request
        if request is None:
            return
        for message in self._logic.runner.answers(request):
            if isinstance(message, messages.Progress):
                self._tell(LiveState.RUNNING, message.text)
            elif isinstance(message, messages.VolumeMade):
                self._takeVolume(message.volume, message.seed)
            elif isinstance(message, messages.VolumeChanged):
                self._takeChange(message)
            elif isinstance(message, messages.Failed):
                self._onLog(f"{message.error}: {message.text}")
                self._settings = None  # the next edit starts a new live synthesis
                self._finish(LiveState.FAILED, message.text)
            elif isinstance(message, messages.Finished):
                seconds = time.monotonic() - self._begin
                self._finish(LiveState.UP_TO_DATE, _("{seconds:.1f} s").format(seconds=seconds))
            else:  # the process was ended, by whoever cancelled another run on it
                self._settings, self._isAgainNeeded = None, True
                self._finish(LiveState.PENDING, "")
            if self._request is not request:
                return

    def _finish(self, state: LiveState, text: str) -> None:
        self._logic.runner.forget(self._request)
        self._request = None
        self._pollTimer.stop()
        self._tell(state, text)
        if self._isAgainNeeded:
            self._isAgainNeeded = False
            self._tell(LiveState.PENDING)
            self._delayTimer.start(0)

    def _takeVolume(self, volume, seed: int) -> None:
        """Fill the output volume; a new one when none was selected."""
        if self._source.segmentationNode.GetScene() is None or self._isOutputGone():
            self.stop()
            return
        isNew = self._output is None
        self._output = self._logic.putVolumes(
            self._source, self._output, [volume], [seed], self._export, self._style
        )
        self._window = volume.window
        if isNew:
            self._parameterNode.outputVolume = self._output
            self._onFirstVolume(self._output)

    def _takeChange(self, message) -> None:
        """Write the changed box into the volume, which keeps its window and its place."""
        if self._isOutputGone():
            self.stop()
            return
        with slicer.util.NodeModify(self._output):
            if message.changed is not None:
                slicer.util.arrayFromVolume(self._output)[message.changed.slices] = (
                    self._style.voxels(message.voxels_kji, self._window)
                )
                slicer.util.arrayFromVolumeModified(self._output)
            record = self._style.record(message.provenance)
            self._logic.updateRecord(self._output, record)

    def _isOutputGone(self) -> bool:
        return self._output is not None and self._output.GetScene() is None
