"""The page on evaluation names every figure, and its commands and those of the README exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from AnatoMaskGANLib.cli import build_parser, with_joined_words
from AnatoMaskGANLib.evaluation.metrics.definitions import METRICS

DOCUMENTATION = Path(__file__).resolve().parents[1] / "Documentation"
EVALUATION = (DOCUMENTATION / "evaluation.md").read_text(encoding="utf-8")


def commands() -> list[str]:
    """Every anatomaskgan command of the page; lines that end in a backslash go on."""
    blocks = re.findall(r"^```bash\n(.*?)^```", EVALUATION, flags=re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.startswith("anatomaskgan ")]


@pytest.mark.parametrize("command", commands())
def test_every_command_is_understood(command: str) -> None:
    build_parser().parse_args(with_joined_words(shlex.split(command)[1:]))


def test_every_figure_is_explained() -> None:
    plain = EVALUATION.replace("\\|", "|")
    assert [figure.title for figure in METRICS if figure.title not in plain] == []
