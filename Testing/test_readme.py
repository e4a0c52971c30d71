"""The README promises only what is there: commands parse, files exist, code imports."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from pathlib import Path

import pytest

from AnatoMaskGANLib.cli import build_parser, with_joined_words

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def code_blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def shell_lines() -> list[list[str]]:
    joined = [block.replace("\\\n", " ") for block in code_blocks("bash")]
    lines = [line for block in joined for line in block.splitlines()]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


PROGRAM_LINES = [
    with_joined_words(words[1:]) for words in shell_lines() if words[0].endswith("anatomaskgan")
]


@pytest.mark.parametrize("arguments", PROGRAM_LINES, ids=" ".join)
def test_every_command_of_the_readme_is_understood(arguments: list[str]) -> None:
    build_parser().parse_args(arguments)


def test_the_readme_shows_every_command() -> None:
    from AnatoMaskGANLib.cli import COMMANDS

    assert {arguments[0] for arguments in PROGRAM_LINES} == set(COMMANDS)


def test_every_make_target_of_the_readme_exists() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = {words[words.index("make") + 1] for words in shell_lines() if "make" in words}
    assert {"demo", "test"} <= targets
    missing = [one for one in targets if not re.search(rf"^{one}:", makefile, re.MULTILINE)]
    assert not missing


def test_every_file_of_the_readme_exists() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    named = re.findall(r"`((?:Testing|Resources|AnatoMaskGAN|AnatoMaskGANLib)/[^` ]*)`", README)
    paths = {path for path in [*links, *named] if "://" not in path}
    assert not [path for path in paths if not (REPOSITORY / path).exists()]


def test_the_layout_of_the_readme_is_that_of_the_tree() -> None:
    (layout,) = re.findall(r"^```\n(CMakeLists.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
    shown = set(re.findall(r"^  ([\w.]+)", layout.split("Resources/ ")[0], flags=re.MULTILINE))
    core = REPOSITORY / "AnatoMaskGANLib"
    parts = {
        entry.name
        for entry in core.iterdir()
        if entry.suffix == ".py" or (entry.is_dir() and any(entry.glob("*.py")))
    }
    assert shown == parts - {"__init__.py"}


@pytest.mark.parametrize("code", [block for block in code_blocks("python")])
def test_the_python_of_the_readme_imports_what_exists(code: str) -> None:
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("AnatoMaskGANLib"):
            module = importlib.import_module(node.module)
            assert not [alias.name for alias in node.names if not hasattr(module, alias.name)]
