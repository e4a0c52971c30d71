"""The guide for contributors, the glossary, the citation and the change log name what there is."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest
import yaml

from AnatoMaskGANLib import __version__

REPOSITORY = Path(__file__).resolve().parents[1]
CONTRIBUTING = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
GLOSSARY = (REPOSITORY / "Documentation" / "glossary.md").read_text(encoding="utf-8")
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [
    REPOSITORY / name
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "Resources/Tutorial.md")
] + sorted((REPOSITORY / "Documentation").glob("*.md"))


def missing_paths(text: str) -> list[str]:
    """The paths of the repository in `code` that do not exist; tests after :: and patterns are left
    out."""
    folders = "Testing|Resources|Documentation|AnatoMaskGAN|AnatoMaskGANLib"
    named = re.findall(rf"`((?:{folders})/[\w./~-]+|\w+\.(?:md|toml|cff))[`:]", text)
    return [path for path in named if not (REPOSITORY / path).exists()]


def missing_tests(text: str) -> list[str]:
    """The tests of the form `Testing/test_x.py::test_y` that do not exist."""
    missing = []
    for file, test in re.findall(r"`(Testing/[\w/]+\.py)::(\w+)`", text):
        tree = ast.parse((REPOSITORY / file).read_text(encoding="utf-8"))
        if test not in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}:
            missing.append(f"{file}::{test}")
    return missing


def test_every_path_of_the_guide_exists() -> None:
    assert missing_paths(CONTRIBUTING) == []


def test_every_test_of_the_guide_exists() -> None:
    assert len(re.findall(r"\.py::test_", CONTRIBUTING)) >= 15
    assert missing_tests(CONTRIBUTING) == []


def test_what_does_not_exist_is_seen() -> None:
    text = "`Testing/no.py`, `AnatoMaskGANLib/no`, `no.md`, `Testing/test_readme.py::test_no`"
    assert missing_paths(text) == ["Testing/no.py", "AnatoMaskGANLib/no", "no.md"]
    assert missing_tests(text) == ["Testing/test_readme.py::test_no"]


def test_every_make_target_of_the_guide_exists() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^make ([\w-]+)", CONTRIBUTING, flags=re.MULTILINE))
    assert {"test", "lint"} <= targets
    assert [one for one in targets if not re.search(rf"^{one}:", makefile, re.MULTILINE)] == []


def test_every_name_in_code_that_a_recipe_changes_is_in_its_file() -> None:
    """`NAME` in|of `path.py` names something that the file holds."""
    named = re.findall(r"`(\w+)`\s+(?:in|of)\s+`([\w/]+\.py)`", CONTRIBUTING)
    assert len(named) >= 4
    wrong = [
        (name, path)
        for name, path in named
        if not re.search(rf"\b{name}\b", (REPOSITORY / path).read_text(encoding="utf-8"))
    ]
    assert wrong == []


@functools.cache
def names_of_tests() -> set[str]:
    """The files of tests, and the tests and other functions in them."""
    files = list((REPOSITORY / "Testing").glob("test_*.py"))
    defined = [re.findall(r"^ *def (\w+)", file.read_text("utf-8"), re.MULTILINE) for file in files]
    return {file.stem for file in files}.union(*defined)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_test_that_a_document_names_exists(document: Path) -> None:
    """By the name of its file or its own, in `code`; a name may end in *."""
    known = names_of_tests()
    named = re.findall(r"`(?:Testing/)?(test_\w+\*?)(?:\.py)?`", document.read_text("utf-8"))
    wrong = [
        name
        for name in named
        if name not in known
        and not (name[-1] == "*" and any(one.startswith(name[:-1]) for one in known))
    ]
    assert wrong == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_between_documents_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (document.parent / link).exists()] == []


def test_the_glossary_explains_each_word_once_and_is_linked() -> None:
    rows = re.findall(r"^\| (?!word)([^|\\-].*?|\\\|dz\\\|.*?) \| (.+) \|$", GLOSSARY, re.MULTILINE)
    words = [word for names, _ in rows for word in names.split(", ")]
    assert len(words) >= 25 and len(words) == len(set(words))
    assert all(len(meaning) > 20 and meaning.endswith(".") for _, meaning in rows)
    assert "Documentation/glossary.md" in README


def test_the_citation_file_has_what_its_format_asks_for() -> None:
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert {"title", "message", "authors"} <= citation.keys()
    assert citation["version"] == __version__
    (paper,) = citation["references"]
    assert {"type", "title", "authors"} <= paper.keys()


def test_readme_and_citation_file_cite_the_same_paper() -> None:
    (paper,) = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text("utf-8"))["references"]
    (entry,) = re.findall(r"^```bibtex\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
    fields = dict(re.findall(r"^\s+(\w+)\s*= \{(.*)\},?$", entry, flags=re.MULTILINE))
    assert fields["title"].replace("{", "").replace("}", "") == paper["title"]
    names = [f"{person['family-names']}, {person['given-names']}" for person in paper["authors"]]
    assert fields["author"].split(" and ") == names
    assert (int(fields["year"]), fields["url"]) == (paper["year"], paper["url"])
    for person in paper["authors"]:
        assert person["family-names"] in README.replace(entry, "")


def test_the_change_log_has_this_version_below_what_is_not_released() -> None:
    changes = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (.+)$", changes, flags=re.MULTILINE)
    assert headings[:2] == ["Unreleased", __version__]
