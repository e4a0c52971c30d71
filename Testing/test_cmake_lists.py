"""Every file that Slicer has to install is listed in CMake: an unlisted one is missing there."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
# Shown on the extension's page, not installed.
NOT_INSTALLED = ("Resources/Screenshots/",)


def tracked_files(*folders: str) -> set[str]:
    """The files under these folders that git knows; all files where there is no git clone."""
    if shutil.which("git") and (REPOSITORY / ".git").exists():
        command = ["git", "ls-files", "-z", "--", *folders]
        answer = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True)
        return {name for name in answer.stdout.decode().split("\0") if name}
    return {
        file.relative_to(REPOSITORY).as_posix()
        for folder in folders
        for file in (REPOSITORY / folder).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


def listed_files(cmake_file: Path, variable: str) -> list[str]:
    """The entries of `set(variable ...)`, as paths from the repository folder."""
    text = re.sub(r"#.*", "", cmake_file.read_text(encoding="utf-8"))
    match = re.search(rf"set\(\s*{variable}\b([^)]*)\)", text)
    if match is None:
        raise AssertionError(f"{cmake_file} has no set({variable} ...)")
    folder = cmake_file.parent.relative_to(REPOSITORY)
    return [(folder / name).as_posix() for name in match.group(1).split()]


def differences(listed: list[str], expected: set[str]) -> str:
    missing = "".join(f"\n  add    {name}" for name in sorted(expected - set(listed)))
    surplus = "".join(f"\n  remove {name}" for name in sorted(set(listed) - expected))
    return missing + surplus


@pytest.mark.parametrize(
    ("cmake_file", "variable", "folder", "suffixes"),
    [
        ("CMakeLists.txt", "CORE_SCRIPTS", "AnatoMaskGANLib", (".py",)),
        ("CMakeLists.txt", "CORE_RESOURCES", "Resources", ()),
        ("AnatoMaskGAN/CMakeLists.txt", "MODULE_SCRIPTS", "AnatoMaskGAN", (".py",)),
    ],
)
def test_cmake_lists_exactly_the_files_of_the_tree(
    cmake_file: str, variable: str, folder: str, suffixes: tuple[str, ...]
) -> None:
    listed = listed_files(REPOSITORY / cmake_file, variable)
    expected = {
        name
        for name in tracked_files(folder)
        if (not suffixes or name.endswith(suffixes)) and not name.startswith(NOT_INSTALLED)
    }
    wrong = differences(listed, expected)
    assert not wrong, f"in set({variable}) of {cmake_file}:{wrong}"


@pytest.mark.parametrize(
    ("cmake_file", "variable"),
    [
        ("CMakeLists.txt", "CORE_SCRIPTS"),
        ("CMakeLists.txt", "CORE_RESOURCES"),
        ("AnatoMaskGAN/CMakeLists.txt", "MODULE_SCRIPTS"),
    ],
)
def test_cmake_lists_are_sorted_and_name_no_file_twice(cmake_file: str, variable: str) -> None:
    listed = listed_files(REPOSITORY / cmake_file, variable)
    assert listed == sorted(set(listed))


def test_the_core_is_installed_from_the_root_so_that_it_lands_beside_the_module() -> None:
    """A module that lists ../AnatoMaskGANLib/x.py installs it outside qt-scripted-modules."""
    root = (REPOSITORY / "CMakeLists.txt").read_text(encoding="utf-8")
    module = (REPOSITORY / "AnatoMaskGAN" / "CMakeLists.txt").read_text(encoding="utf-8")
    assert re.search(r"slicerMacroBuildScriptedModule\(\s*NAME AnatoMaskGANLib\b", root)
    assert "../" not in re.sub(r"#.*", "", root + module)


def test_the_core_holds_only_files_that_cmake_installs() -> None:
    other = {name for name in tracked_files("AnatoMaskGANLib") if not name.endswith(".py")}
    assert not other, f"the core holds Python only; data belongs in Resources: {sorted(other)}"
