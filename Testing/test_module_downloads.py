"""Models found, downloaded, cancelled and refused in the panel, from a server on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install .[slicer-test])")
pytest.importorskip("PySide6", reason="PySide6 is not installed (pip install .[slicer-test])")

from model_server import ModelServer
from slicer_host.fixtures import module, panel, scene  # noqa: F401
from slicer_host.user import table_rows, wait

from AnatoMaskGANLib.synthesis.models.archive import pack_model


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The bundled model; the folder of installed ones is empty."""
    monkeypatch.setenv("ANATOMASKGAN_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return "brain-t1"


@pytest.fixture
def server(tiny_model: Path, tmp_path: Path) -> Iterator[ModelServer]:
    (tmp_path / "served").mkdir()
    with ModelServer(pack_model(tiny_model, tmp_path / "served" / "tiny.zip")) as running:
        yield running


@pytest.fixture
def section(panel, server: ModelServer, tmp_path: Path):
    """The section of models with a catalog that offers the tiny model."""
    catalog = server.write_catalog(tmp_path / "catalog.json", server.entry())
    panel.ui.modelsCollapsibleButton.collapsed = False
    panel.ui.modelCatalogEdit.setText(str(catalog))
    yield panel
    panel.ui.modelCatalogEdit.setText("")


def rows(panel) -> dict[str, str]:
    """Name -> where the model is."""
    return {name: where for name, where, _licence in table_rows(panel.ui.modelsTable)}


def select(panel, name: str) -> None:
    panel.ui.modelsTable.selectRow(list(rows(panel)).index(name))


def has_ended(panel) -> bool:
    return not panel.modelsPanel._timer.active


def test_a_model_of_the_catalog_is_downloaded_on_a_click_and_never_before(
    section, server: ModelServer, tmp_path: Path
) -> None:
    assert rows(section)["tiny"].startswith("download, 0.")
    select(section, "tiny")
    assert "anything but tests" in section.ui.modelDetailsLabel.text
    assert "http://127.0.0.1/tiny.zip" in section.ui.modelDetailsLabel.text
    assert not section.ui.verifyModelButton.enabled and not section.ui.removeModelButton.enabled
    assert server.num_requests == 0
    section.ui.downloadModelButton.click()
    wait(lambda: has_ended(section))
    assert section.ui.statusLabel.text == "Downloaded and installed the model tiny."
    assert rows(section)["tiny"] == "installed"
    assert section.ui.modelComboBox.findText("tiny") >= 0
    assert (tmp_path / "models" / "tiny" / "model.safetensors").is_file()
    assert server.num_requests == 1


def test_a_cancelled_download_leaves_nothing(section, server: ModelServer, tmp_path: Path) -> None:
    server.write_catalog(tmp_path / "slow.json", server.entry("slow/"))
    section.ui.modelCatalogEdit.setText(str(tmp_path / "slow.json"))
    select(section, "tiny")
    section.ui.downloadModelButton.click()
    wait(lambda: section.modelsPanel.download.share > 0)
    assert section.ui.downloadProgressBar.value > 0
    assert not section.ui.downloadModelButton.enabled
    section.ui.cancelDownloadButton.click()
    wait(lambda: has_ended(section))
    assert "cancelled and removed" in section.ui.statusLabel.text
    assert list((tmp_path / "models").iterdir()) == []
    assert section.ui.downloadModelButton.enabled


def test_another_file_than_the_catalog_says_is_thrown_away(
    section, server: ModelServer, tmp_path: Path
) -> None:
    server.write_catalog(tmp_path / "wrong.json", server.entry(sha256="0" * 64))
    section.ui.modelCatalogEdit.setText(str(tmp_path / "wrong.json"))
    select(section, "tiny")
    section.ui.downloadModelButton.click()
    wait(lambda: has_ended(section))
    assert "the catalog says 000" in section.ui.statusLabel.text
    assert list((tmp_path / "models").iterdir()) == []


def test_a_file_that_is_no_catalog_is_told_and_the_models_stay(section, tmp_path: Path) -> None:
    (tmp_path / "notes.json").write_text("[]")
    section.ui.modelCatalogEdit.setText(str(tmp_path / "notes.json"))
    assert "is not a catalog" in section.ui.statusLabel.text
    assert list(rows(section)) == ["brain-t1"]


def test_models_are_found_by_words_of_their_cards(section) -> None:
    section.ui.modelSearchEdit.setText("hippocampus mri")  # labels and description
    assert list(rows(section)) == ["brain-t1"]
    section.ui.modelSearchEdit.setText("random weights")
    assert list(rows(section)) == ["tiny"]
    section.ui.modelSearchEdit.setText("knee")
    assert rows(section) == {}
    assert "No model contains" in section.ui.modelDetailsLabel.text
    assert not section.ui.downloadModelButton.enabled
    section.ui.modelSearchEdit.setText("")
    assert list(rows(section)) == ["brain-t1", "tiny"]


def test_the_download_ends_with_the_module(section, server: ModelServer, tmp_path: Path) -> None:
    server.write_catalog(tmp_path / "slow.json", server.entry("slow/"))
    section.ui.modelCatalogEdit.setText(str(tmp_path / "slow.json"))
    select(section, "tiny")
    section.ui.downloadModelButton.click()
    wait(lambda: section.modelsPanel.download.share > 0)
    section.modelsPanel.close()
    assert not section.modelsPanel.download.isRunning
    assert list((tmp_path / "models").iterdir()) == []
