"""Imports go one way: the table of who may know whom, held against the syntax tree."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
CORE = "AnatoMaskGANLib"

# The ground that every part but the networks may stand on.
GROUND = {"__init__", "json_text", "lazy_names", "resources"}

# part of the core -> the other parts that it may import. A part is a file or a folder of the core.
ALLOWED_PARTS: dict[str, set[str]] = {
    "__init__": set(),
    "json_text": set(),
    "lazy_names": set(),
    "resources": set(),
    "config": set(),
    "networks": {"config"},
    "volumes": GROUND,
    "editing": GROUND | {"volumes"},
    "evaluation": GROUND | {"volumes"},
    "preparation": GROUND | {"config", "volumes"},
    "synthesis": GROUND | {"config", "editing", "networks", "volumes"},
    "training": GROUND | {"config", "evaluation", "networks", "synthesis", "volumes"},
    "mrml": {"volumes"},
    "commands": GROUND
    | {"config", "editing", "evaluation", "networks", "preparation", "synthesis", "training"}
    | {"volumes"},
    "cli": {"__init__", "commands"},
    "start": {"cli"},
}

# What Slicer has or installs for synthesis: these parts load with nothing else.
SYNTHESIS_PARTS = GROUND | {"config", "editing", "volumes", "networks", "synthesis", "mrml"}
SYNTHESIS_PACKAGES = {"numpy", "torch", "SimpleITK", "safetensors"}
SLICER_PACKAGES = {"slicer", "vtk", "vtkmodules", "MRMLCorePython", "mrml"}
QT_PACKAGES = {"qt", "ctk", "PySide6", "PyQt5", "PyQt6"}
FILE_PACKAGES = {"os", "pathlib", "io", "tempfile", "shutil", "json", "yaml", "nibabel"} | {
    "SimpleITK",
    "pydicom",
    "safetensors",
}
# What the command line and the panel may load at once: settings, which need no PyTorch.
LIGHT_FILES = {f"{CORE}.synthesis.options"}
# A file that draws a network's loss knows tensors only: inside training, these import no network.
LOSS_FILES = ("losses", "loss")


@dataclass(frozen=True)
class Import:
    """One imported module: who imports it, where, and whether the file's loading does so."""

    importer: str
    imported: str
    line: int
    at_load: bool

    def __str__(self) -> str:
        return f"{self.importer} (line {self.line}) imports {self.imported}"


def module_name(file: Path, root: Path) -> str:
    parts = file.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_type_checking(node: ast.AST) -> bool:
    if not isinstance(node, ast.If):
        return False
    return ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def imports_of(file: Path, root: Path = REPOSITORY) -> Iterator[Import]:
    """Every import of a file; those for type checkers only are left out."""
    importer = module_name(file, root)
    package = importer.split(".")
    if file.name != "__init__.py":
        package = package[:-1]

    def walk(node: ast.AST, at_load: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(importer, alias.name, node.lineno, at_load)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                submodule = f"{source}.{alias.name}"
                is_module = module_file(submodule, root) is not None
                yield Import(importer, submodule if is_module else source, node.lineno, at_load)
        elif is_type_checking(node):
            for child in node.orelse:
                yield from walk(child, at_load)
        else:
            is_function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            for child in ast.iter_child_nodes(node):
                yield from walk(child, at_load and not is_function)

    yield from walk(ast.parse(file.read_text(encoding="utf-8")), True)


def module_file(name: str, root: Path) -> Path | None:
    base = root.joinpath(*name.split("."))
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.exists():
            return candidate
    return None


def part_of(module: str) -> str:
    """`AnatoMaskGANLib.volumes.files` -> `volumes`; the package itself -> `__init__`."""
    pieces = module.split(".")
    return pieces[1] if len(pieces) > 1 else "__init__"


def top_package(module: str) -> str:
    return module.split(".")[0]


def find_cycle(graph: dict[str, set[str]]) -> list[str]:
    """The modules of one cycle in order, empty when there is none."""
    done: set[str] = set()

    def visit(node: str, path: list[str]) -> list[str]:
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return []
        for neighbor in sorted(graph.get(node, ())):
            cycle = visit(neighbor, [*path, node])
            if cycle:
                return cycle
        done.add(node)
        return []

    for start in sorted(graph):
        cycle = visit(start, [])
        if cycle:
            return cycle
    return []


CORE_IMPORTS = [
    found
    for file in sorted((REPOSITORY / CORE).rglob("*.py"))
    if "__pycache__" not in file.parts
    for found in imports_of(file)
]


def test_every_part_of_the_core_has_a_row_in_the_table() -> None:
    parts = {part_of(found.importer) for found in CORE_IMPORTS}
    unknown = parts - ALLOWED_PARTS.keys()
    assert not unknown, f"parts of {CORE} without a row in ALLOWED_PARTS: {sorted(unknown)}"


def test_parts_import_only_the_parts_that_the_table_allows() -> None:
    wrong = [
        str(found)
        for found in CORE_IMPORTS
        if top_package(found.imported) == CORE
        and part_of(found.imported) != part_of(found.importer)
        and part_of(found.imported) not in ALLOWED_PARTS[part_of(found.importer)]
    ]
    assert not wrong, wrong


def test_there_are_no_import_cycles() -> None:
    graph: dict[str, set[str]] = {}
    for found in CORE_IMPORTS:
        if top_package(found.imported) == CORE:
            graph.setdefault(found.importer, set()).add(found.imported)
    assert find_cycle(graph) == []


def test_only_mrml_imports_slicer_and_vtk() -> None:
    wrong = [
        str(found)
        for found in CORE_IMPORTS
        if top_package(found.imported) in SLICER_PACKAGES and part_of(found.importer) != "mrml"
    ]
    assert not wrong, wrong


def test_the_core_knows_no_qt() -> None:
    wrong = [str(found) for found in CORE_IMPORTS if top_package(found.imported) in QT_PACKAGES]
    assert not wrong, wrong


def test_networks_know_tensors_and_not_files() -> None:
    wrong = [
        str(found)
        for found in CORE_IMPORTS
        if part_of(found.importer) == "networks" and top_package(found.imported) in FILE_PACKAGES
    ]
    assert not wrong, wrong


def test_losses_know_tensors_and_not_networks() -> None:
    wrong = [
        str(found)
        for found in CORE_IMPORTS
        if part_of(found.importer) == "training"
        and set(found.importer.split(".")) & set(LOSS_FILES)
        and found.imported.startswith(f"{CORE}.networks")
    ]
    assert not wrong, wrong


def test_synthesis_loads_with_what_slicer_installs() -> None:
    allowed = SYNTHESIS_PACKAGES | SLICER_PACKAGES | {CORE} | set(sys.stdlib_module_names)
    wrong = [
        str(found)
        for found in CORE_IMPORTS
        if part_of(found.importer) in SYNTHESIS_PARTS
        and found.at_load
        and top_package(found.imported) not in allowed
    ]
    assert not wrong, f"import these inside the functions that need them: {wrong}"


def test_torchvision_is_imported_inside_functions_only() -> None:
    wrong = [
        str(found)
        for found in CORE_IMPORTS
        if top_package(found.imported) == "torchvision" and found.at_load
    ]
    assert not wrong, wrong


def test_the_command_line_starts_without_torch() -> None:
    """`anatomaskgan --help` answers at once: torch is loaded by the command that needs it."""
    heavy = {"torch", "SimpleITK", "nibabel", "matplotlib", "skimage", "scipy"}
    wrong = [
        str(found)
        for found in CORE_IMPORTS
        if part_of(found.importer) in {"cli", "commands"}
        and found.at_load
        and (
            top_package(found.imported) in heavy
            or part_of(found.imported)
            in {"synthesis", "training", "networks", "evaluation", "editing"}
        )
        and top_package(found.imported) in heavy | {CORE}
        and found.imported not in LIGHT_FILES
    ]
    assert not wrong, wrong


def test_the_module_loads_in_a_slicer_without_torch() -> None:
    file = REPOSITORY / "AnatoMaskGAN" / "AnatoMaskGAN.py"
    assert file.exists()
    wrong = [
        str(found)
        for found in imports_of(file)
        if found.at_load and top_package(found.imported) in {CORE, "torch", "safetensors"}
    ]
    assert not wrong, wrong


def test_a_cycle_is_found() -> None:
    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == ["a", "b", "c", "a"]
    assert find_cycle({"a": {"b", "c"}, "b": {"c"}}) == []


def test_imports_are_read_with_their_place(tmp_path: Path) -> None:
    source = (
        "from typing import TYPE_CHECKING\n"
        "import numpy as np\n"
        "if TYPE_CHECKING:\n    import vtk\n"
        "try:\n    from package import inner\nexcept ImportError:\n    inner = None\n"
        "def read() -> None:\n    import nibabel\n"
    )
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("from . import inner\n")
    (tmp_path / "package" / "inner.py").write_text("")
    file = tmp_path / "package" / "reader.py"
    file.write_text(source)
    found = [(one.imported, one.at_load) for one in imports_of(file, tmp_path)]
    assert found == [
        ("typing", True),
        ("numpy", True),
        ("package.inner", True),
        ("nibabel", False),
    ]
    neighbor = next(imports_of(tmp_path / "package" / "__init__.py", tmp_path))
    assert neighbor.imported == "package.inner"
