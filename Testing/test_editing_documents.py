"""The page on editing says what the program does: commands, words, looks."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from AnatoMaskGANLib.cli import build_parser, with_joined_words
from AnatoMaskGANLib.editing import TISSUES, tissue_look
from AnatoMaskGANLib.editing.changes import step_names
from AnatoMaskGANLib.synthesis.edit_fillers import SEAM_MM
from AnatoMaskGANLib.synthesis.edit_in_place import DEFAULT_MARGIN_MM
from AnatoMaskGANLib.volumes import Volume

DOCUMENTATION = Path(__file__).resolve().parents[1] / "Documentation"
EDITING = (DOCUMENTATION / "editing.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^anatomaskgan .*$", EDITING, flags=re.MULTILINE)
WORDS = re.findall(
    r"`((?:grow|shrink|resize|move|remove|add|merge|split) [^`]+)`",
    EDITING.partition("## Edits in words")[2].partition("## Looks")[0],
)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_understood(command: str) -> None:
    build_parser().parse_args(with_joined_words(shlex.split(command)[1:]))


@pytest.mark.parametrize("words", WORDS)
def test_every_edit_in_words_is_understood(words: str) -> None:
    assert step_names([words])


def test_the_page_shows_edits_of_every_kind() -> None:
    kinds = {words.partition(" ")[0] for words in WORDS}
    assert kinds == {"grow", "shrink", "resize", "move", "remove", "add", "merge", "split"}


@pytest.mark.parametrize("tissue", TISSUES)
def test_the_table_of_looks_is_that_of_the_program(tissue: str) -> None:
    """In an MR scan of 0 and 10 in which one in ten of the bright voxels is 100."""
    (row,) = re.findall(rf"^\| {tissue} \| (.*) \|$", EDITING, flags=re.MULTILINE)
    ct, *weightings = row.split(" | ")
    scan = Volume(np.zeros((8, 8, 8), np.float32), np.eye(4), None, "HU")
    look = tissue_look(tissue, scan)
    assert ct == f"{look.mean:g}, {look.deviation or 0:g}"
    levels = np.zeros((40, 40, 40), np.float32)
    levels[20:] = 10
    levels[36:, :, :20] = 100
    scan = Volume(levels, np.eye(4))
    for told, modality in zip(weightings, ("t1", "t2"), strict=True):
        factor, level = told.split(" ")
        brightness = {"middle": 10, "bright": 100}[level]
        assert tissue_look(tissue, scan, modality).mean == pytest.approx(float(factor) * brightness)


def test_the_widths_of_the_seams_are_those_of_the_program() -> None:
    assert f"fades in over {SEAM_MM:g} mm" in EDITING
    assert f"fades out over {DEFAULT_MARGIN_MM:g} mm" in EDITING
