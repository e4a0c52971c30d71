"""Every part of the panel declares its widgets, and no widget belongs to two features."""

from __future__ import annotations

import ast
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
MODULE = REPOSITORY / "AnatoMaskGAN" / "AnatoMaskGANModule"


def declared_widgets() -> dict[str, dict[str, str]]:
    """File of the module -> the widgets that its protocols declare, each with its type."""
    found: dict[str, dict[str, str]] = {}
    for file in sorted(MODULE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            bases = [ast.unparse(base) for base in getattr(node, "bases", [])]
            if not isinstance(node, ast.ClassDef) or "Protocol" not in bases:
                continue
            widgets = found.setdefault(file.relative_to(MODULE).as_posix(), {})
            for part in node.body:
                if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
                    widgets[part.target.id] = ast.unparse(part.annotation)
    return found


def widgets_of_the_files() -> dict[str, str]:
    """Name of each widget of the .ui files -> its class."""
    return {
        element.attrib["name"]: element.attrib["class"]
        for file in (REPOSITORY / "Resources" / "UI").glob("*.ui")
        for element in ElementTree.parse(file).getroot().iter("widget")
    }


def test_every_declared_widget_is_in_a_ui_file_with_its_class() -> None:
    classes = widgets_of_the_files()
    declared = {k: v for widgets in declared_widgets().values() for k, v in widgets.items()}
    assert len(declared) > 80
    wrong = {k: v for k, v in declared.items() if v.rpartition(".")[2] != classes.get(k)}
    assert not wrong


def test_no_widget_belongs_to_two_features() -> None:
    """Parts of one feature, such as the training's, may share those of its section."""
    owners: dict[str, set[str]] = {}
    for file, widgets in declared_widgets().items():
        folder = file.partition("/")[0]
        place = file if folder in ("host", "synthesis") else folder
        for widget in widgets:
            owners.setdefault(widget, set()).add(place)
    module_file = (REPOSITORY / "AnatoMaskGAN" / "AnatoMaskGAN.py").read_text(encoding="utf-8")
    for widget in re.findall(r"self\.ui\.(\w+)", module_file):
        owners.setdefault(widget, set()).add("AnatoMaskGAN.py")
    assert not {widget: found for widget, found in owners.items() if len(found) > 1}


def test_no_part_of_the_panel_touches_a_widget_that_it_does_not_declare() -> None:
    """As mypy says it, here for those who do not run it; only the module file has them all."""
    declared = declared_widgets()
    training = {k for f, widgets in declared.items() if f.startswith("training/") for k in widgets}
    for file in sorted(MODULE.rglob("*.py")):
        name = file.relative_to(MODULE).as_posix()
        used = set(re.findall(r"(?<![A-Za-z])_?ui\.(\w+)", file.read_text(encoding="utf-8")))
        own = set(declared.get(name, {})) | (training if name.startswith("training/") else set())
        assert not used - own, name
