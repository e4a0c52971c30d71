"""What `python -m Testing.raised` notes of the statements that were reached."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from Testing.raised import recording


def test_a_place_reached_on_a_full_disk_is_noted_when_there_is_room_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "notes.txt"
    note = recording._Note(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT))
    write = os.write
    note("first.py:1")
    monkeypatch.setattr(recording.os, "write", lambda file, text: write(file, text[:4]))
    note("second.py:2")
    monkeypatch.setattr(recording.os, "write", write)
    note("first.py:1")
    places = path.read_text().split("\n")
    assert {"first.py:1", "second.py:2"} <= set(places)
    assert places.count("first.py:1") == 1
