"""Makes the edits of one scan one after the other, here or in the synthesis process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from AnatoMaskGANLib.editing import ScanEditSession, questions
from AnatoMaskGANLib.synthesis.options import Progress
from AnatoMaskGANLib.synthesis.worker.edit_messages import EditRequest, ScanEdited
from AnatoMaskGANLib.synthesis.worker.exchange import ExchangeFolder, MessageError
from AnatoMaskGANLib.volumes import ChangedRegion, LabelMap, Volume


class EditSteps:
    """A scan and the label map that fits it. Neither may change while it is used."""

    def __init__(self, scan: Volume, before: LabelMap) -> None:
        self._scan, self._before = scan, before
        self._session: ScanEditSession | None = None

    def made(
        self, after: LabelMap, request: EditRequest, progress: Progress, number: int = 0
    ) -> ScanEdited:
        """Makes the scan of a label map and gives what changed since the last one. number is that
        of the request.

        Raises EditError and VolumeError as `ScanEditSession` does, and SynthesisCancelledError if
        it is cancelled. Nothing has changed after an error.
        """
        is_anew = self._session is None
        session = self._session or ScanEditSession(self._scan, self._before)
        settings = request.words.settings(self._scan, self._before, after)

        def report(fraction: float, text: str) -> None:
            progress.report(fraction, text)
            if fraction < 1:  # a finished update is reported even if it was cancelled meanwhile
                progress.stop_if_cancelled()

        changed = session.update(after, settings, request.is_quick, report)
        self._session = session
        asked = questions(self._scan, self._before, after)
        box = ChangedRegion(changed.start_kji, changed.stop_kji) if changed is not None else None
        return ScanEdited(
            number,
            is_anew,
            box,
            changed.voxels_kji if changed is not None else None,
            session.counts(),
            tuple((one.name or str(one.label), one.kind) for one in asked),
            () if request.is_quick else session.warnings(),
            {} if request.is_quick else session.provenance(),
        )


class EditService:
    """Serves edits in the process; a new scan takes the place of the one before.

    take_in has to be called for every request, even for one that is no longer served, because the
    next one sends only what differs from it.
    """

    def __init__(self, exchange: ExchangeFolder) -> None:
        self._exchange = exchange
        self._steps: EditSteps | None = None
        self._newest: LabelMap | None = None

    def take_in(self, message: Mapping[str, Any]) -> None:
        """Takes in the scan, if it is sent, and the box of labels that changed."""
        if message.get("start") is not None:
            scan = self._exchange.take_volume(message["start"]["scan"])
            self._newest = self._exchange.take_label_map(message["start"]["before"])
            self._steps = EditSteps(scan, self._newest)
        if self._newest is None:
            raise MessageError("There is no scan to edit; send the scan first")
        labels = self._newest.labels_kji
        if message["box"] is not None:
            start, stop = message["box"]
            box = self._exchange.take_array(message["array"])
            # a copy, because the labels before must not change
            labels = labels.astype(np.promote_types(labels.dtype, box.dtype))
            labels[tuple(map(slice, start, stop))] = box
        names = {int(value): str(name) for value, name in message["names"].items()}
        self._newest = replace(self._newest, labels_kji=labels, names=names)

    def serve(self, message: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
        """Gives the answer to the request that was taken in last."""
        if self._steps is None or self._newest is None:
            raise MessageError("There is no scan to edit; send the scan first")
        request = EditRequest.from_message(message)
        made = self._steps.made(self._newest, request, progress, message["request"])
        answer: dict[str, Any] = {
            "kind": "edited",
            "request": made.request,
            "is_anew": made.is_anew,
            "box": None,
            "array": None,
            "counts": dict(made.counts),
            "questions": [list(question) for question in made.questions],
            "warnings": list(made.warnings),
            "provenance": dict(made.provenance),
        }
        if made.changed is not None and made.voxels_kji is not None:
            answer["box"] = [list(made.changed.start_kji), list(made.changed.stop_kji)]
            answer["array"] = self._exchange.write_array(made.voxels_kji)
        return answer
