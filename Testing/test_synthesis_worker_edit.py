"""Edits of a scan in the synthesis process: only what changed goes there and back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edit_phantoms import KIDNEY, LIVER, phantom, with_ball

from AnatoMaskGANLib.editing import EditError, EditWords, edit_scan
from AnatoMaskGANLib.synthesis.errors import SynthesisCancelledError
from AnatoMaskGANLib.synthesis.options import Progress
from AnatoMaskGANLib.synthesis.worker.client import WorkerClient
from AnatoMaskGANLib.synthesis.worker.edit_messages import EditRequest, ScanEdited
from AnatoMaskGANLib.synthesis.worker.edit_service import EditService
from AnatoMaskGANLib.synthesis.worker.exchange import ExchangeFolder, MessageError
from AnatoMaskGANLib.synthesis.worker.messages import Cancelled, Failed, Finished, Superseded

SCAN, BEFORE = phantom()
CENTER = (11.5, 23.5, 33.5)
QUICK, FINAL = EditRequest(is_quick=True), EditRequest()


@pytest.fixture(scope="module")
def client() -> Iterator[WorkerClient]:
    with WorkerClient(environment={"OMP_NUM_THREADS": "1"}) as client:
        yield client


def answers(client: WorkerClient, number: int) -> list[Any]:
    """The messages until this request ends."""
    found: list[Any] = []
    end = time.monotonic() + 90
    while time.monotonic() < end:
        found += client.poll()
        for message in found:
            is_last = isinstance(message, (Finished, Cancelled, Superseded, Failed))
            if is_last and message.request == number:
                return found
        time.sleep(0.01)
    raise AssertionError(found)


def test_the_boxes_put_together_are_the_edited_scan(client: WorkerClient) -> None:
    client.start_edit(SCAN, BEFORE)
    voxels = SCAN.voxels_kji.copy()
    radii, is_first = (7, 9, 8), True
    for radius in radii:
        after = with_ball(BEFORE, KIDNEY, CENTER, radius)
        for request in (QUICK, FINAL):
            messages = answers(client, client.edit(after, request))
            (made,) = [message for message in messages if isinstance(message, ScanEdited)]
            assert made.is_anew == is_first
            is_first = False
            assert (made.record == {}) == request.is_quick
            if made.changed is not None:
                voxels[made.changed.slices] = made.voxels_kji
    expected = edit_scan(SCAN, BEFORE, after)
    np.testing.assert_array_equal(voxels, expected.volume.voxels_kji)
    assert made.counts["Moved"] == expected.num_moved
    assert made.record == expected.volume.provenance


def test_a_look_that_makes_no_sense_fails_and_the_next_edit_begins_anew(
    client: WorkerClient,
) -> None:
    client.start_edit(SCAN, BEFORE)
    after = replace(with_ball(BEFORE, 9, (11.5, 23.5, 13.5), 4), names={**BEFORE.names, 9: "cyst"})
    words = EditWords(looks={"cyst": "pretty"})
    failed = answers(client, client.edit(after, EditRequest(words)))[-1]
    assert isinstance(failed, Failed) and "The look is 'pretty'" in failed.text
    words = EditWords(are_defaults_taken=True)
    messages = answers(client, client.edit(after, EditRequest(words)))
    (made,) = [message for message in messages if isinstance(message, ScanEdited)]
    assert made.is_anew and made.questions == (("cyst", "look"),)
    assert made.counts["Painted"] > 100


def test_the_newest_edit_wins_and_no_box_is_lost(client: WorkerClient) -> None:
    client.start_edit(SCAN, BEFORE)
    voxels = SCAN.voxels_kji.copy()
    numbers = []
    for radius in (7, 8, 9, 10):
        after = with_ball(BEFORE, LIVER, (11.5, 23.5, 13.5), radius)
        numbers.append(client.edit(after, FINAL))
    messages = answers(client, numbers[-1])
    for made in (message for message in messages if isinstance(message, ScanEdited)):
        if made.changed is not None:
            voxels[made.changed.slices] = made.voxels_kji
    np.testing.assert_array_equal(voxels, edit_scan(SCAN, BEFORE, after).volume.voxels_kji)


def test_what_the_client_refuses(client: WorkerClient) -> None:
    with WorkerClient() as fresh:
        assert not fresh.is_editing
        with pytest.raises(RuntimeError, match="call start_edit first"):
            fresh.edit(BEFORE, FINAL)
    client.start_edit(SCAN, BEFORE)
    assert client.is_editing
    smaller = replace(BEFORE, labels_kji=BEFORE.labels_kji[1:])
    with pytest.raises(ValueError, match=r"expected the same\. Export both on one grid"):
        client.edit(smaller, FINAL)


def test_what_the_process_refuses(tmp_path: Path) -> None:
    service = EditService(ExchangeFolder(tmp_path))
    message = FINAL.to_message() | {"start": None, "box": None, "names": {}, "request": 1}
    with pytest.raises(MessageError, match="send the scan first"):
        service.take_in(message)
    with pytest.raises(MessageError, match="send the scan first"):
        service.serve(message, Progress())
    with pytest.raises(EditError, match="An edit has no option 'color'"):
        EditRequest.from_message({"words": {"color": "red"}, "is_quick": False})


def test_an_edit_that_was_cancelled_is_not_lost(tmp_path: Path) -> None:
    exchange = ExchangeFolder(tmp_path)
    service = EditService(exchange)
    after = with_ball(BEFORE, KIDNEY, CENTER, 9)
    start = {
        "scan": exchange.volume_message(SCAN),
        "before": exchange.label_map_message(BEFORE),
    }
    whole = [[0, 0, 0], list(BEFORE.shape_kji)]
    names = {str(value): name for value, name in BEFORE.names.items()}
    message = FINAL.to_message() | {"start": start, "box": whole, "names": names, "request": 1}
    service.take_in(message | {"array": exchange.write_array(after.labels_kji)})
    with pytest.raises(SynthesisCancelledError):
        service.serve(message, Progress(is_cancelled=lambda: True))
    answer = service.serve(message, Progress())
    (start_kji, stop_kji), expected = answer["box"], edit_scan(SCAN, BEFORE, after)
    voxels = SCAN.voxels_kji.copy()
    voxels[tuple(map(slice, start_kji, stop_kji))] = exchange.take_array(answer["array"])
    assert answer["is_anew"]
    np.testing.assert_array_equal(voxels, expected.volume.voxels_kji)
