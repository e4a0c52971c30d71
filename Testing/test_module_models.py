"""The list of models in the panel, by clicks, in the stand-in host."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install .[slicer-test])")
pytest.importorskip("PySide6", reason="PySide6 is not installed (pip install .[slicer-test])")

import slicer
import slicer.util
from slicer_host import window
from slicer_host.fixtures import module, panel, scene  # noqa: F401
from slicer_host.nodes import add_segmentation, box
from slicer_host.user import table_rows

from AnatoMaskGANLib.synthesis.models.archive import pack_model


@pytest.fixture
def model(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a model installed in a folder that tests may change."""
    shutil.copytree(tiny_model, tmp_path / "models" / tiny_model.name)
    monkeypatch.setenv("ANATOMASKGAN_MODELS", str(tmp_path / "models"))
    return tiny_model.name


@pytest.fixture
def agreeing_user(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Presses OK in every question; gives back what was asked."""
    asked = []
    monkeypatch.setattr(
        slicer.util, "confirmOkCancelDisplay", lambda text, *more: asked.append(text) or True
    )
    return asked


def rows(panel) -> list[list[str]]:
    return table_rows(panel.ui.modelsTable)


def select(panel, name: str) -> None:
    panel.ui.modelsTable.selectRow([row[0] for row in rows(panel)].index(name))


def choices(panel) -> list[str]:
    chooser = panel.ui.modelComboBox
    return [chooser.itemText(index) for index in range(chooser.count)]


def test_models_are_listed_with_kind_license_and_what_they_are_not_for(
    panel,
    model: str,
) -> None:
    assert [model, "installed", "MIT"] in rows(panel)
    select(panel, model)
    assert "anything but tests" in panel.ui.modelDetailsLabel.text
    for name, kind, _ in rows(panel):
        select(panel, name)
        assert panel.ui.removeModelButton.enabled == (kind == "installed")


def test_a_click_on_verify_reads_the_whole_model(
    panel,
    model: str,
    tmp_path: Path,
) -> None:
    select(panel, model)
    panel.ui.verifyModelButton.click()
    assert panel.ui.statusLabel.text.startswith("tiny is complete and undamaged. SHA-256 ")
    weights = tmp_path / "models" / model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    panel.ui.verifyModelButton.click()
    assert "cannot be read" in panel.ui.statusLabel.text or "not a" in panel.ui.statusLabel.text


def test_a_model_is_removed_and_installed_again_from_a_file(
    panel,
    model: str,
    tmp_path: Path,
    agreeing_user: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    archive = pack_model(tmp_path / "models" / model, tmp_path / "tiny.zip")
    segmentation = add_segmentation({"skin": box((6, 20, 24), (0, 2, 2), (5, 17, 12))})
    made = panel.logic.synthesize(segmentation, model=model)  # the model is loaded
    select(panel, model)
    panel.ui.removeModelButton.click()
    assert agreeing_user == ["Remove the model tiny from this computer?"]
    assert panel.ui.statusLabel.text in ("Removed the model tiny.", "Select a model.")
    assert model not in choices(panel) and model not in [row[0] for row in rows(panel)]
    assert not (tmp_path / "models" / model).exists()
    with pytest.raises(ValueError, match="no model 'tiny'"):
        panel.logic.synthesize(segmentation, model=model)
    monkeypatch.setattr(panel.modelsPanel, "askForFile", lambda: str(archive))
    panel.ui.installModelButton.click()
    assert model in choices(panel) and [model, "installed", "MIT"] in rows(panel)
    again = panel.logic.makeAgain(made)
    np.testing.assert_array_equal(
        slicer.util.arrayFromVolume(again), slicer.util.arrayFromVolume(made)
    )


def test_what_is_no_model_is_refused_and_changes_nothing(
    panel,
    model: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = rows(panel)
    pickled = tmp_path / "weights.pth"
    pickled.write_bytes(b"\x80\x04pickle")
    monkeypatch.setattr(panel.modelsPanel, "askForFile", lambda: str(pickled))
    panel.ui.installModelButton.click()
    assert "never read" in panel.ui.statusLabel.text
    assert rows(panel) == before
    monkeypatch.setattr(panel.modelsPanel, "askForFile", lambda: "")  # the dialog was closed
    panel.ui.installModelButton.click()
    assert rows(panel) == before


def test_the_list_is_there_again_after_a_reload(panel, model: str) -> None:
    window.close_module(slicer.modules.anatomaskgan)
    again = window.show_module(slicer.modules.anatomaskgan)
    assert [model, "installed", "MIT"] in rows(again)


def test_a_model_removed_while_it_is_loaded_leaves_a_panel_that_goes_on(
    panel,
    model: str,
    tmp_path: Path,
    agreeing_user: list[str],
) -> None:
    segmentation = add_segmentation({"skin": box((6, 20, 24), (0, 2, 2), (5, 17, 12))})
    panel.ui.inputSelector.setCurrentNode(segmentation)
    panel.updateFromScene()
    panel.ui.synthesizeButton.click()  # the model is loaded
    output = panel._parameterNode.outputVolume
    shutil.rmtree(tmp_path / "models" / model)  # by another program
    panel.ui.makeAgainButton.click()
    assert "is not installed" in panel.ui.statusLabel.text
    select(panel, model)
    panel.ui.verifyModelButton.click()
    assert f"no model {model!r}" in panel.ui.statusLabel.text
    panel.enter()
    assert model not in choices(panel) and model not in [row[0] for row in rows(panel)]
    assert not panel.ui.synthesizeButton.enabled
    assert output.GetScene() is not None
