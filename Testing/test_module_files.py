"""The module's files: small ideas beside the one file that Slicer takes for the module."""

from __future__ import annotations

from pathlib import Path

from test_import_rules import CORE, imports_of, top_package

MODULE_FOLDER = Path(__file__).resolve().parents[1] / "AnatoMaskGAN"


def test_slicer_finds_one_module_in_the_folder() -> None:
    """Every Python file directly in a module folder is taken for a module."""
    assert [file.name for file in MODULE_FOLDER.glob("*.py")] == ["AnatoMaskGAN.py"]


def test_no_file_of_the_module_loads_the_core_or_pytorch_when_it_is_imported() -> None:
    wrong = [
        str(found)
        for file in sorted(MODULE_FOLDER.rglob("*.py"))
        for found in imports_of(file, MODULE_FOLDER)
        if found.at_load and top_package(found.imported) in {CORE, "torch", "safetensors"}
    ]
    assert not wrong, wrong
