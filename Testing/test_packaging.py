"""The package metadata names every folder of the core and every kind of resource."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

if sys.version_info < (3, 11):
    pytest.skip("reading pyproject.toml needs Python 3.11", allow_module_level=True)

import tomllib

REPOSITORY = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))


def package_name(requirement: str) -> str:
    return re.split(r"[<>=~!;\[ ]", requirement, maxsplit=1)[0].lower()


def test_every_folder_of_the_core_is_a_package() -> None:
    folders = {file.parent for file in (REPOSITORY / "AnatoMaskGANLib").rglob("*.py")}
    names = {".".join(folder.relative_to(REPOSITORY).parts) for folder in folders}
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == names | {"AnatoMaskGANLib.Resources"}


def test_every_resource_that_is_installed_is_in_the_wheel() -> None:
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["AnatoMaskGANLib.Resources"]
    folder = REPOSITORY / "Resources"
    in_wheel = {file for pattern in patterns for file in folder.glob(pattern) if file.is_file()}
    all_files = {file for file in folder.rglob("*") if file.is_file()}
    missing = {
        file.relative_to(folder).as_posix()
        for file in all_files - in_wheel
        if "Screenshots" not in file.parts and "__pycache__" not in file.parts
    }
    assert not missing


def test_what_slicer_installs_is_what_the_package_needs_for_synthesis() -> None:
    lines = (REPOSITORY / "Resources" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    requirements = {line for line in lines if line and not line.startswith("#")}
    assert requirements <= set(PROJECT["project"]["dependencies"])


def test_the_packages_that_slicer_brings_are_never_in_its_requirements() -> None:
    text = (REPOSITORY / "Resources" / "requirements.txt").read_text(encoding="utf-8")
    names = {package_name(line) for line in text.splitlines() if not line.startswith("#")}
    assert not names & {"numpy", "simpleitk", "torch", "requests", "vtk"}


def test_the_set_up_pins_the_torch_that_the_package_accepts() -> None:
    set_up = (REPOSITORY / "Testing" / "set_up_environment.py").read_text(encoding="utf-8")
    (pinned,) = re.findall(r'^TORCH = "torch==([\d.]+)"$', set_up, flags=re.MULTILINE)
    (least,) = [one for one in PROJECT["project"]["dependencies"] if package_name(one) == "torch"]
    assert tuple(map(int, pinned.split("."))) >= tuple(map(int, least.split(">=")[1].split(".")))
