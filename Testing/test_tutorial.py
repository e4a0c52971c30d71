"""The tutorial names what the panel has, pictures that are there, and scripts that exist."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

RESOURCES = Path(__file__).resolve().parents[1] / "Resources"
TUTORIAL = (RESOURCES / "Tutorial.md").read_text(encoding="utf-8")


def test_every_bold_word_is_a_text_of_the_panel() -> None:
    roots = [ElementTree.parse(path).getroot() for path in (RESOURCES / "UI").glob("*.ui")]
    texts = {element.text for root in roots for element in root.iter("string")}
    named = {" ".join(found.split()) for found in re.findall(r"\*\*(.+?)\*\*", TUTORIAL, re.S)}
    assert named and not named - texts


def test_every_picture_is_there_and_every_picture_is_shown() -> None:
    shown = set(re.findall(r"\]\(Screenshots/(.+?)\)", TUTORIAL))
    assert shown == {file.name for file in (RESOURCES / "Screenshots").glob("*.png")}


def test_there_is_a_picture_of_each_state() -> None:
    states = {"fresh", "matched", "unmatched", "running", "done", "error", "live", "train"}
    pictures = {file.stem.split("-")[-1] for file in (RESOURCES / "Screenshots").glob("*.png")}
    assert states <= pictures


def test_no_picture_is_larger_than_a_megabyte() -> None:
    for picture in (RESOURCES / "Screenshots").glob("*.png"):
        assert picture.stat().st_size < 1_000_000, picture


def test_every_script_is_there_and_every_script_is_named() -> None:
    named = set(re.findall(r"Resources/Scripts/(\w+\.py)", TUTORIAL))
    assert named == {file.name for file in (RESOURCES / "Scripts").glob("*.py")}


def test_the_readme_names_every_script_too() -> None:
    readme = (RESOURCES.parent / "README.md").read_text(encoding="utf-8")
    assert [f.name for f in (RESOURCES / "Scripts").glob("*.py") if f.name not in readme] == []


def test_the_python_lines_call_what_the_logic_has() -> None:
    logic = RESOURCES.parent / "AnatoMaskGAN" / "AnatoMaskGANModule" / "logic.py"
    source = logic.read_text(encoding="utf-8")
    for name in re.findall(r"logic\.(\w+)\(", TUTORIAL):
        assert f"    def {name}(" in source
