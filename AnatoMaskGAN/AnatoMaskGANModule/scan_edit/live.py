"""Lets the scan follow the brush: every stroke in the Segment Editor shows in the edited scan."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import qt
import slicer
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

from AnatoMaskGANModule.parameters import AnatoMaskGANParameterNode
from AnatoMaskGANModule.scan_edit import snapshot
from AnatoMaskGANModule.scan_edit.choices import ScanEditChoices
from AnatoMaskGANModule.scan_edit.job import (
    EditSource,
    checkOutput,
    checkScan,
    linkToSource,
    newEditedScan,
)
from AnatoMaskGANModule.scan_edit.maps import EditMaps, afterMap, editMaps
from AnatoMaskGANModule.synthesis.backends import Asked, ProcessBackend
from AnatoMaskGANModule.synthesis.live import LiveState

if TYPE_CHECKING:
    from AnatoMaskGANLib.synthesis.worker.edit_messages import ScanEdited
    from AnatoMaskGANLib.volumes import LabelMap, Volume


@dataclass(frozen=True, eq=False)
class _Followed:
    """The scan and its maps as the process knows them."""

    source: EditSource
    scan: Volume
    maps: EditMaps
    """The segments as they were when the scan was sent."""
    target: slicer.vtkMRMLScalarVolumeNode


class ScanFollower(VTKObservationMixin):
    """Watches the segments and keeps the edited scan up to date. Nothing here waits.

    A stroke starts a timer, so that several strokes become one request. The synthesis process gets
    the box of labels that changed and gives back the box of voxels that changed: first a quick
    picture, then the final one. Another stroke ends the making of a final picture early.

    onChanged is called without an argument when the state or its text changed. onFirst is called
    with the node that is filled, as soon as it is known. choicesOf gives the panel's looks and
    fills.
    """

    DELAY_MS = 120
    POLL_MS = 20

    def __init__(
        self,
        backend: ProcessBackend,
        choicesOf: Callable[[AnatoMaskGANParameterNode], ScanEditChoices],
        onChanged: Callable[[], None],
        onFirst: Callable[[Any], None],
    ) -> None:
        VTKObservationMixin.__init__(self)
        self._backend, self._choicesOf = backend, choicesOf
        self._onChanged, self._onFirst = onChanged, onFirst
        self.state, self.text = LiveState.OFF, ""
        self.answer: ScanEdited | None = None
        """The newest answer, with counts, questions and warnings."""
        self._parameterNode: AnatoMaskGANParameterNode | None = None
        self._followed: _Followed | None = None
        self._request: Asked | None = None
        self._isQuick = False  # whether the request asks for a first picture
        # the map and choices of the newest request
        self._sent: tuple[LabelMap, ScanEditChoices] | None = None
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
        """Follow every edit of the parameter node's segmentation from now on."""
        self.stop()
        self._parameterNode = parameterNode
        self._setState(LiveState.PENDING)
        self._delayTimer.start(0)

    def stop(self) -> None:
        """Stop following. What was made stays."""
        if not self.isOn:
            return
        self._delayTimer.stop()
        self._pollTimer.stop()
        self.removeObservers()
        if self._request is not None:
            self._backend.cancel(self._request)
        self._parameterNode = self._followed = self._request = self._sent = self.answer = None
        self._isAgainNeeded = False
        self._setState(LiveState.OFF)

    def onEdited(self, caller: Any = None, event: Any = None) -> None:
        """React to a change of something that the edited scan may depend on."""
        if not self.isOn:
            return
        if self._request is None:
            self._setState(LiveState.PENDING)
            self._delayTimer.start(self.DELAY_MS)
            return
        self._isAgainNeeded = True
        if not self._isQuick:
            self._backend.endSoon(self._request)

    def onScanModified(self, caller: Any = None, event: Any = None) -> None:
        """React to a change of the scan, its place, or the segments at the start."""
        self._followed = None
        self.onEdited()

    def _setState(self, state: LiveState, text: str = "") -> None:
        self.state, self.text = state, text
        self._onChanged()

    def _submit(self) -> None:
        """Ask for the pictures that the edits so far need. Does nothing if no label changed."""
        parameters = self._parameterNode
        if parameters is None or parameters.inputSegmentation is None:
            self.stop()
            return
        try:
            self._submitEdits(parameters)
        except (ValueError, RuntimeError, OSError) as error:
            self._sent = None
            self._setState(LiveState.FAILED, str(error))

    def _submitEdits(self, parameters: AnatoMaskGANParameterNode) -> None:
        followed, choices = self._followedNow(parameters), self._choicesOf(parameters)
        after = afterMap(followed.source.scan, followed.source.after, followed.maps)
        if self._sent is not None:
            sent, sentChoices = self._sent
            isSame = after.names == sent.names and choices == sentChoices
            if isSame and np.array_equal(after.labels_kji, sent.labels_kji):
                self._setState(LiveState.UP_TO_DATE, _("nothing to do"))
                return
        self._begin = time.monotonic()
        self._isAgainNeeded = False
        self._ask(after, choices, isQuick=True)

    def _ask(self, after: LabelMap, choices: ScanEditChoices, isQuick: bool) -> None:
        from AnatoMaskGANLib.synthesis.worker.edit_messages import EditRequest

        if not self._backend.isEditing:  # another run was cancelled, which ended the process
            self._followed = None
            self._setState(LiveState.PENDING)
            self._delayTimer.start(0)
            return
        self._request = self._backend.edit(after, EditRequest(choices.words(), isQuick))
        self._isQuick, self._sent = isQuick, (after, choices)
        self._setState(LiveState.RUNNING, _("first picture") if isQuick else _("final picture"))
        self._pollTimer.start()

    def _followedNow(self, parameters: AnatoMaskGANParameterNode) -> _Followed:
        """Gives what the process knows of the scan, and sends it anew if something in it was
        replaced."""
        from AnatoMaskGANLib.mrml import scan_of_node

        scanNode, segmentation = parameters.followedScan, parameters.inputSegmentation
        before = snapshot.remembered(segmentation)
        known = self._followed
        if (
            known is not None
            and self._backend.isEditing
            and known.target.GetScene() is not None
            and (known.source.scan, known.source.after) == (scanNode, segmentation)
            and known.source.before is before
        ):
            return known
        checkScan(scanNode)
        source = EditSource(scanNode, before, segmentation)
        maps = editMaps(scanNode, before, segmentation)
        target = self._outputToFill(parameters)
        checkOutput(target, scanNode)
        scan = scan_of_node(scanNode)
        self._backend.startEdit(scan, maps.before)
        if target is None:
            target = newEditedScan(scanNode)
        self._sent = None
        self._followed = _Followed(source, scan, maps, target)
        self._observe(self._followed)
        return self._followed

    def _outputToFill(
        self, parameters: AnatoMaskGANParameterNode
    ) -> slicer.vtkMRMLScalarVolumeNode | None:
        from AnatoMaskGANLib.mrml import samples_browser
        from AnatoMaskGANModule.scan_edit.job import outputToFill

        target = outputToFill(parameters)
        return None if target is not None and samples_browser(target) is not None else target

    def _observe(self, followed: _Followed) -> None:
        """Watch what the edited scan depends on."""
        self.removeObservers()
        segmentationNode, scan = followed.source.after, followed.source.scan
        segmentation, events = segmentationNode.GetSegmentation(), slicer.vtkSegmentation
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
        replaced = slicer.vtkMRMLSegmentationNode.SegmentationChangedEvent
        self.addObserver(segmentationNode, transformed, self.onEdited)
        self.addObserver(segmentationNode, replaced, self.onScanModified)
        self.addObserver(scan, transformed, self.onScanModified)
        self.addObserver(scan, slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent, self.onScanModified)

    def _poll(self) -> None:
        """Take the answers of the process, whatever the outcome."""
        request = self._request
        if request is None:
            return
        try:
            for message in self._backend.answers(request):
                self._take(message)
                if self._request is not request:
                    return
        except Exception as error:
            logging.debug("where the edited scan could not be filled", exc_info=True)
            self._fail(str(error) or type(error).__name__)

    def _take(self, message: Any) -> None:
        from AnatoMaskGANLib.synthesis.worker import messages
        from AnatoMaskGANLib.synthesis.worker.edit_messages import ScanEdited

        if isinstance(message, ScanEdited):
            self._takeEdit(message)
        elif isinstance(message, messages.Failed):
            self._fail(message.text)
        elif isinstance(message, messages.Finished):
            self._finish()
        elif isinstance(message, (messages.Cancelled, messages.Superseded)):
            if not self._isAgainNeeded:  # no stroke cancelled it, so the process was ended
                self._isAgainNeeded = True
            self._sent = None
            self._end(LiveState.PENDING)

    def _takeEdit(self, message: ScanEdited) -> None:
        """Write what changed into the node."""
        followed = self._followed
        if followed is None or followed.target.GetScene() is None:
            return  # the next request begins anew
        self.answer = message
        target, parameters = followed.target, self._parameterNode
        if message.is_anew:
            self._fillAnew(followed)
        if message.changed is not None and message.voxels_kji is not None:
            slicer.util.arrayFromVolume(target)[message.changed.slices] = message.voxels_kji
            slicer.util.arrayFromVolumeModified(target)
        if message.provenance:
            self._record(followed, message)
        if parameters is not None and parameters.followedOutput is not target:
            parameters.followedOutput = target
            self._onFirst(target)

    def _fillAnew(self, followed: _Followed) -> None:
        """Fill the node with the scan before the edit, and note that it is being edited."""
        from AnatoMaskGANLib.mrml import update_edited_scan

        being = {"EditedScan": "YES", "Notice": _("A scan that is being edited; not for diagnosis")}
        linkToSource(followed.target, followed.source)
        update_edited_scan(
            followed.target, replace(followed.scan, provenance=being), followed.source.scan
        )

    def _record(self, followed: _Followed, message: ScanEdited) -> None:
        from AnatoMaskGANLib.mrml import update_edit_provenance

        own = {
            "EditOf": followed.source.scan.GetName(),
            "EditSegments": json.dumps(dict(followed.maps.labelValues)),
            "EditChanges": ScanEditChoices().to_json(),
            "EditStep": "",
        }
        update_edit_provenance(followed.target, {**message.provenance, **own})

    def _finish(self) -> None:
        """Ask for the final picture after a first one, unless there was another stroke."""
        wasQuick, sent = self._isQuick, self._sent
        seconds = time.monotonic() - self._begin
        if wasQuick and sent is not None and not self._isAgainNeeded:
            self._forget()
            self._ask(*sent, isQuick=False)
        else:
            if wasQuick:
                self._sent = None  # there is still no final picture of this edit
            self._end(LiveState.UP_TO_DATE, _("{seconds:.1f} s").format(seconds=seconds))

    def _fail(self, text: str) -> None:
        """Show the reason. The next edit begins anew."""
        self._followed = self._sent = None
        self._end(LiveState.FAILED, text)

    def _forget(self) -> None:
        if self._request is not None:
            self._backend.forget(self._request)
        self._request = None
        self._pollTimer.stop()

    def _end(self, state: LiveState, text: str = "") -> None:
        self._forget()
        self._setState(state, text)
        if self._isAgainNeeded:
            self._isAgainNeeded = False
            self._setState(LiveState.PENDING)
            self._delayTimer.start(0)
