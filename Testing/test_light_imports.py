"""Importing is cheap: a program that only lists models, or opens the panel, loads no PyTorch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import AnatoMaskGANLib.synthesis
from AnatoMaskGANLib.lazy_names import lazy_names

REPOSITORY = Path(__file__).resolve().parents[1]
HEAVY = ("torch", "SimpleITK", "nibabel", "matplotlib", "skimage", "scipy")
LAZY_PACKAGES = ("editing", "evaluation", "synthesis", "volumes")
# What the panel needs before a synthesis runs: the models and their label tables, the memory that a
# run would take, the client of the synthesis process and the processes of the work panels.
PANEL = (
    "AnatoMaskGANLib.commands.parent_process",
    "AnatoMaskGANLib.synthesis",
    "AnatoMaskGANLib.synthesis.engine.memory_plan",
    "AnatoMaskGANLib.synthesis.models.archive",
    "AnatoMaskGANLib.synthesis.models.catalog",
    "AnatoMaskGANLib.synthesis.models.download",
    "AnatoMaskGANLib.synthesis.worker.client",
    "AnatoMaskGANLib.synthesis.worker.process_tree",
    "AnatoMaskGANLib.training.one_training",
    "AnatoMaskGANLib.volumes",
)


def loaded_after(code: str) -> list[str]:
    """The heavy packages that a fresh Python has loaded after the code."""
    script = f"import sys\n{code}\nprint(*[name for name in {HEAVY} if name in sys.modules])"
    command = [sys.executable, "-c", script]
    answer = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.splitlines()[-1].split()


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["synthesize", "--help"], ["models", "list"], ["models", "show", "brain-t1"]],
    ids=" ".join,
)
def test_the_command_line_answers_without_loading_pytorch(arguments: list[str]) -> None:
    code = (
        "from AnatoMaskGANLib import cli\n"
        f"try: assert cli.main({arguments}) == 0\n"
        "except SystemExit as end: assert not end.code, end.code"
    )
    assert loaded_after(code) == []


def test_what_the_panel_needs_before_a_synthesis_loads_no_pytorch() -> None:
    code = (
        "import importlib\n"
        f"for module in {PANEL}:\n"
        "    importlib.import_module(module)\n"
        f"    loaded = [name for name in {HEAVY} if name in sys.modules]\n"
        "    assert not loaded, f'{module} imports {loaded}'"
    )
    assert loaded_after(code) == []


def test_the_panel_lists_models_and_their_labels_without_pytorch() -> None:
    code = (
        "from AnatoMaskGANLib.synthesis import list_models\n"
        "from AnatoMaskGANLib.synthesis.engine.memory_plan import memory_need\n"
        "from AnatoMaskGANLib.volumes import LabelTable\n"
        "card, = [card for card in list_models() if card.name == 'brain-t1']\n"
        "assert 'Left-Thalamus' in LabelTable.from_dict(card.label_table).labels.values()\n"
        "assert memory_need(card.generator, (9, 64, 64), 9 * 64 * 64, 2, 2**20).least > 2**20"
    )
    assert loaded_after(code) == []


def test_settings_of_an_edit_are_made_and_recorded_without_pytorch() -> None:
    code = (
        "from AnatoMaskGANLib.editing import AROUND, EditSettings, Look\n"
        "settings = EditSettings(looks={9: Look('value', mean=5.0)}, fills={1: AROUND})\n"
        "assert EditSettings.from_dict(settings.to_dict()) == settings"
    )
    assert loaded_after(code) == []


def test_a_synthesizer_is_found_where_scripts_import_it_from() -> None:
    code = "from AnatoMaskGANLib.synthesis import Synthesizer\nSynthesizer.from_checkpoint"
    assert "torch" in loaded_after(code)


def names_of(package: str) -> tuple[dict[str, str], dict[str, str]]:
    """Name -> file of a package, once as type checkers read them and once as they are looked up."""
    file = REPOSITORY / "AnatoMaskGANLib" / package / "__init__.py"
    typed: dict[str, str] = {}
    looked_up: dict[str, str] = {}
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for statement in node.body:
                assert isinstance(statement, ast.ImportFrom) and statement.module is not None
                prefix = f"AnatoMaskGANLib.{package}."
                names = [alias.name for alias in statement.names]
                typed.update(dict.fromkeys(names, statement.module.removeprefix(prefix)))
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__getattr__":
            assert isinstance(node.value, ast.Call)
            looked_up = ast.literal_eval(node.value.args[1])
    return typed, looked_up


@pytest.mark.parametrize("package", LAZY_PACKAGES)
def test_type_checkers_know_every_name_that_is_imported_when_asked_for(package: str) -> None:
    typed, looked_up = names_of(package)
    assert typed == looked_up
    assert typed


@pytest.mark.parametrize("package", LAZY_PACKAGES)
def test_every_name_that_a_package_offers_is_there(package: str) -> None:
    code = (
        f"import AnatoMaskGANLib.{package} as package\n"
        "missing = [name for name in package.__all__ if not hasattr(package, name)]\n"
        "assert not missing, missing"
    )
    loaded_after(code)


def test_a_name_that_no_file_has_is_an_attribute_error() -> None:
    get = lazy_names("AnatoMaskGANLib.synthesis", {"Synthesizer": "synthesizer"})
    with pytest.raises(AttributeError, match="has no attribute 'Syntheziser'"):
        get("Syntheziser")
    with pytest.raises(ImportError, match="Syntheziser"):
        exec("from AnatoMaskGANLib.synthesis import Syntheziser")
    assert not hasattr(AnatoMaskGANLib.synthesis, "Syntheziser")


def test_the_panel_opens_without_pytorch() -> None:
    pytest.importorskip("slicer", reason="slicer-core is not installed")
    pytest.importorskip("PySide6", reason="PySide6 is not installed")
    code = (
        "sys.path.insert(0, 'Testing')\n"
        "from slicer_host.fixtures import MODULE_FILE, host_scene, window\n"
        "app = window.start_window()\n"
        "window.load_module(MODULE_FILE)\n"
        "host_scene.start().completeStartup()\n"
        "app.window.show()\n"
        "panel = window.show_module(app.modules.anatomaskgan)\n"
        "panel.updateFromScene()\n"
        "assert panel.ui.modelComboBox.count"
    )
    assert loaded_after(code) == []
