"""The repository has what Slicer's Extensions Index asks for; the check finds what is missing."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from check_index_metadata import (
    REPOSITORY,
    check,
    cmake_metadata,
    entry_problems,
    index_entry,
)

URL = "https://github.com/somebody/AnatoMaskGAN"


def test_nothing_is_wrong_but_the_address_is_still_open() -> None:
    findings = check(REPOSITORY, None)
    assert findings.wrong == []
    waiting = [text for text in findings.open if "public address" in text]
    assert len(waiting) in (0, 3)


def test_the_entry_for_the_index_follows_its_schema() -> None:
    metadata = cmake_metadata((REPOSITORY / "CMakeLists.txt").read_text(encoding="utf-8"))
    entry = index_entry(URL, metadata)
    assert entry_problems(entry) == []
    assert entry["build_dependencies"] == ["PyTorch"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"description": "x"}, "description is no field"),
        ({"tier": 9}, "expected 1 to 5"),
        ({"tier": "1"}, "expected int"),
        ({"scm_url": "git@github.com:somebody/AnatoMaskGAN"}, "no public https address"),
    ],
)
def test_an_entry_that_the_schema_refuses_is_found(change: dict, words: str) -> None:
    assert any(words in problem for problem in entry_problems(index_entry(URL, {}) | change))


@pytest.fixture
def extension(tmp_path: Path) -> Path:
    """A small copy of the repository, in git."""
    linked = ("CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "LICENSE", "README.md")
    for name in ("CMakeLists.txt", *linked, "AnatoMaskGAN", "Documentation"):
        source = REPOSITORY / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, tmp_path / name)
    for name in ("Icons", "Screenshots"):
        shutil.copytree(REPOSITORY / "Resources" / name, tmp_path / "Resources" / name)
    shutil.copy(REPOSITORY / "Resources" / "Tutorial.md", tmp_path / "Resources")
    subprocess.run(["git", "-C", tmp_path, "init", "-q"], check=True)
    subprocess.run(["git", "-C", tmp_path, "add", "."], check=True)
    return tmp_path


def replace_in(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_with_an_address_the_empty_fields_are_wrong_and_filled_ones_right(extension: Path) -> None:
    cmake = extension / "CMakeLists.txt"
    if 'HOMEPAGE ""' not in cmake.read_text(encoding="utf-8"):
        pytest.skip("the repository has its public address")
    empty = check(extension, URL)
    assert sum("is empty; with this address" in text for text in empty.wrong) == 3
    replace_in(cmake, 'HOMEPAGE ""', f'HOMEPAGE "{URL}"')
    replace_in(cmake, 'ICONURL ""', f'ICONURL "{URL}/icon.png"')
    replace_in(cmake, 'SCREENSHOTURLS ""', 'SCREENSHOTURLS "https://example.com/a.png"')
    assert [text for text in check(extension, URL).wrong if "EXTENSION" in text] == [
        "EXTENSION_SCREENSHOTURLS: 'https://example.com/a.png' is no public https address"
    ]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda e: (e / "Resources/Icons/AnatoMaskGAN.png").write_bytes(b"no"), "128 x 128"),
        (lambda e: (e / "Resources/Screenshots/AnatoMaskGAN.png").unlink(), "no screenshot"),
        (lambda e: (e / "LICENSE").write_text("All rights reserved"), "not the MIT license"),
        (lambda e: (e / "Resources/Tutorial.md").unlink(), "not there"),
        (lambda e: replace_in(e / "CMakeLists.txt", "makes a", "makes\na"), "line break"),
        (
            lambda e: replace_in(e / "AnatoMaskGAN/AnatoMaskGAN.py", "AnatoMaskGANTest", "Other"),
            "no AnatoMaskGANTest",
        ),
    ],
)
def test_what_is_missing_is_found(extension: Path, damage, words: str) -> None:
    assert not any(words in text for text in check(extension, None).wrong)
    damage(extension)
    assert any(words in text for text in check(extension, None).wrong)


def test_pickles_binaries_and_links_are_found(extension: Path) -> None:
    (extension / "weights.pth").write_bytes(b"\x80")
    (extension / "tool.exe").write_bytes(b"MZ")
    (extension / "link").symlink_to("README.md")
    subprocess.run(["git", "-C", extension, "add", "."], check=True)
    wrong = check(extension, None).wrong
    for words in ("weights.pth is of a kind", "tool.exe is of a kind", "link is a link"):
        assert any(words in text for text in wrong)
