from __future__ import annotations

from pathlib import Path

import pytest

from AnatoMaskGANLib.cli import main


@pytest.fixture
def installed(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny model is one that the user has installed."""
    monkeypatch.setenv("ANATOMASKGAN_MODELS", str(tiny_model.parent))


def test_the_list_names_every_model_with_its_description(
    installed: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(maxsplit=1) for line in lines if line.startswith("tiny")] == [
        ["tiny", "Random weights, for tests."]
    ]


def test_a_model_is_shown_with_its_license_and_what_it_is_not_for(
    installed: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "show", "tiny"]) == 0
    card = capsys.readouterr().out
    assert "MIT" in card
    assert "anything but tests" in card


def test_a_model_that_is_not_there_is_told_with_those_that_are(
    installed: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "show", "tini"]) == 1
    assert "tiny" in capsys.readouterr().err
