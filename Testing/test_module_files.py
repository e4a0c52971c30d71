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


# part of the module -> the other parts that it may import; a part is a file or a folder of it. What
# is imported for type checkers alone is left out: a panel is given the logic, and names its type.
FEATURES = {"batch", "compare", "edit", "models", "packages", "scan_edit", "synthesis", "training"}
ALLOWED_PARTS: dict[str, set[str]] = {
    "__init__": set(),
    "host": set(),
    "parameters": set(),
    "packages": {"host"},
    "synthesis": {"host", "parameters"},
    "edit": {"host", "parameters", "synthesis"},
    "scan_edit": {"host", "parameters", "synthesis"},
    "compare": {"host", "packages", "parameters", "synthesis"},
    "models": {"host", "packages", "parameters"},
    "batch": {"host", "packages", "parameters"},
    "training": {"host", "packages", "parameters"},
    "logic": FEATURES | {"host", "parameters"},
    "self_test": {"logic", "packages"},
    "batch_job": {"batch"},
    "training_request": {"training"},
}


def test_imports_inside_the_module_go_one_way() -> None:
    wrong = []
    for file in sorted((MODULE_FOLDER / "AnatoMaskGANModule").rglob("*.py")):
        part = file.relative_to(MODULE_FOLDER / "AnatoMaskGANModule").parts[0].removesuffix(".py")
        for found in imports_of(file, MODULE_FOLDER):
            package, _, imported = found.imported.partition(".")
            target = imported.partition(".")[0]
            if package == "AnatoMaskGANModule" and target not in ALLOWED_PARTS[part] | {part}:
                wrong.append(str(found))
    assert not wrong, wrong
