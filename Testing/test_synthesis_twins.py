"""The table of networks/ and their fast twins names files, classes and tests that there are."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import AnatoMaskGANLib.synthesis.engine

TESTING = Path(__file__).resolve().parent
CORE = TESTING.parent / "AnatoMaskGANLib"
ENGINE = CORE / "synthesis" / "engine"
TABLE = AnatoMaskGANLib.synthesis.engine.__doc__ or ""
PAIRS = re.findall(r"networks/(\S+) (\w+) <-> (\S+) (\w+)", TABLE)
TIES = re.findall(r"held by (\S+)\n((?: +test_\w+\n)+)", TABLE)


def names_in(path: Path) -> set[str]:
    """Functions and classes at the top of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))}


def test_the_table_has_pairs_and_tests() -> None:
    assert len(PAIRS) == TABLE.count("<->") >= 10
    assert len(TIES) == TABLE.count("held by") == 2


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair[1]} {pair[3]}")
def test_a_network_and_its_twin_are_where_the_table_says(pair: tuple[str, str, str, str]) -> None:
    network_file, network, twin_file, twin = pair
    assert network in names_in(CORE / "networks" / network_file)
    assert twin in names_in(ENGINE / twin_file)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair[1]} {pair[3]}")
def test_the_file_of_a_network_names_the_file_of_its_twin(pair: tuple[str, str, str, str]) -> None:
    network_file, _, twin_file, _ = pair
    text = (CORE / "networks" / network_file).read_text(encoding="utf-8")
    assert twin_file in (ast.get_docstring(ast.parse(text)) or "")


@pytest.mark.parametrize("tie", TIES, ids=lambda tie: tie[0])
def test_the_tests_that_tie_them_are_there(tie: tuple[str, str]) -> None:
    file, tests = tie
    assert set(tests.split()) <= names_in(TESTING / file)


def test_a_network_file_with_a_twin_is_in_the_table() -> None:
    """Every file whose docstring points to the engine."""
    pointing = {
        path.relative_to(CORE / "networks").as_posix()
        for path in (CORE / "networks").rglob("*.py")
        if "synthesis/engine/" in (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "")
    }
    assert pointing == {network_file for network_file, *_ in PAIRS}
