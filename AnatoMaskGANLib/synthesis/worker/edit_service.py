"""Serves the edits of one scan in the synthesis process; a new scan takes the place of the old."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from AnatoMaskGANLib.editing import ScanEditSession, questions
from AnatoMaskGANLib.synthesis.options import Progress
from AnatoMaskGANLib.synthesis.worker.edit_messages import EditRequest
from AnatoMaskGANLib.synthesis.worker.exchange import ExchangeFolder, MessageError
from AnatoMaskGANLib.volumes import LabelMap, Volume


class EditService:
    """take_in has to be called for every request, also for one that is not served any more: the
    next one sends only what differs."""

    def __init__(self, exchange: ExchangeFolder) -> None:
        self._exchange = exchange
        self._session: ScanEditSession | None = None
        self._start: tuple[Volume, LabelMap] | None = None
        self._labels = np.zeros((0, 0, 0), np.uint8)  # of the newest label map
        self._names: Mapping[int, str] = {}

    def take_in(self, message: Mapping[str, Any]) -> None:
        """Takes in the scan, where it is sent, and the box of labels that changed."""
        if message.get("start") is not None:
            scan = self._exchange.take_volume(message["start"]["scan"])
            before = self._exchange.take_label_map(message["start"]["before"])
            self._session, self._start = None, (scan, before)
            self._labels = before.labels_kji
        if self._start is None:
            raise MessageError("There is no scan to edit; send the scan first")
        self._names = {int(value): str(name) for value, name in message["names"].items()}
        if message["box"] is not None:
            start, stop = message["box"]
            box = self._exchange.take_array(message["array"])
            kind = np.promote_types(self._labels.dtype, box.dtype)
            self._labels = self._labels.astype(kind)  # a copy: the session keeps the one before
            self._labels[tuple(map(slice, start, stop))] = box

    def serve(self, message: Mapping[str, Any], progress: Progress) -> dict[str, Any]:
        """The answer to a request that was taken in, but for its number."""
        if self._start is None:
            raise MessageError("There is no scan to edit; send the scan first")
        request = EditRequest.from_message(message)
        scan, before = self._start
        is_anew = self._session is None
        session = self._session or ScanEditSession(scan, before)
        after = replace(before, labels_kji=self._labels, names=self._names)
        settings = request.words.settings(scan, before, after)

        def report(share: float, text: str) -> None:
            progress.report(share, text)
            if share < 1:  # what is done is told
                progress.stop_if_cancelled()

        changed = session.update(after, settings, request.is_quick, report)
        self._session = session
        answer: dict[str, Any] = {"kind": "edited", "is_anew": is_anew, "box": None, "array": None}
        if changed is not None:
            answer["box"] = [list(changed.start_kji), list(changed.stop_kji)]
            answer["array"] = self._exchange.write_array(changed.voxels_kji)
        answer["counts"] = session.counts()
        asked = questions(scan, before, after)
        answer["questions"] = [[one.name or str(one.label), one.kind] for one in asked]
        answer["warnings"] = [] if request.is_quick else list(session.warnings())
        answer["record"] = {} if request.is_quick else session.record()
        return answer
