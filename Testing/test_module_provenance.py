"""The provenance in the panel, and the file that contains it, by clicks, in the stand-in host."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install .[slicer-test])")
pytest.importorskip("PySide6", reason="PySide6 is not installed (pip install .[slicer-test])")

import slicer
import slicer.util
from slicer_host.fixtures import model, module, panel, scene  # noqa: F401
from slicer_host.nodes import add_segmentation, add_transform, box, compare_geometry
from slicer_host.pythonqt import qt

from AnatoMaskGANLib.volumes import read_volume

SHAPE_KJI = (6, 20, 24)
GRID = np.array([[0, 0, 2.5, 7], [0.8, 0, 0, 30], [0, 1.1, 0, -12], [0, 0, 0, 1.0]])


@pytest.fixture
def made_panel(panel):
    masks = {"bone": box(SHAPE_KJI, (1, 4, 10), (4, 15, 20))}
    panel.ui.inputSelector.setCurrentNode(add_segmentation(masks, GRID))
    panel.updateFromScene()
    panel.ui.synthesizeButton.click()
    return panel


def record_rows(panel) -> dict[str, str]:
    table = panel.ui.provenanceTable
    return {table.item(row, 0).text(): table.item(row, 1).text() for row in range(table.rowCount)}


def save_to(panel, path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A click on the button, and a path as the answer of its dialog; what the panel then says."""
    monkeypatch.setattr(panel.outputPanel, "askForFile", lambda name: str(path))
    panel.ui.saveVolumeButton.click()
    return panel.ui.statusLabel.text


def test_the_whole_record_is_in_the_panel_and_can_be_copied(made_panel) -> None:
    record = made_panel.logic.provenance(made_panel._parameterNode.outputVolume)
    assert made_panel.ui.provenanceCollapsibleButton.collapsed  # the line above it says the most
    assert record_rows(made_panel) == record
    for key in ("Model", "ModelSHA256", "Seed", "NoiseLengthScale", "LabelMapSHA256", "Segments"):
        assert key in record
    made_panel.ui.copyProvenanceButton.click()
    copied = qt.QApplication.clipboard().text()
    assert f"ModelSHA256: {record['ModelSHA256']}" in copied.splitlines()


@pytest.mark.parametrize("ending", [".nrrd", ".nii.gz", ".mha"])
def test_a_saved_volume_keeps_record_voxels_and_place(
    made_panel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    output = made_panel._parameterNode.outputVolume
    path = tmp_path / f"made{ending}"
    assert save_to(made_panel, path, monkeypatch) == f"Saved with its provenance: {path}"
    volume = read_volume(path)
    assert volume.provenance == made_panel.logic.provenance(output)
    np.testing.assert_array_equal(volume.voxels_kji, slicer.util.arrayFromVolume(output))
    loaded = slicer.util.loadVolume(str(path), {})  # by Slicer's own reader
    assert compare_geometry(loaded, output) == ""
    np.testing.assert_array_equal(
        slicer.util.arrayFromVolume(loaded), slicer.util.arrayFromVolume(output)
    )


def test_what_slicer_itself_saves_of_a_single_volume_has_no_record(
    made_panel, tmp_path: Path
) -> None:
    """Why the panel has its own button; should Slicer learn it, the note in the panel can go."""
    path = tmp_path / "made.nrrd"
    assert slicer.util.saveNode(made_panel._parameterNode.outputVolume, str(path))
    assert read_volume(path).provenance == {}
    assert "the provenance is left out" in made_panel.ui.saveNoteLabel.text


def test_a_transformed_volume_is_saved_on_its_own_grid_as_slicer_does(
    made_panel, tmp_path: Path
) -> None:
    output = made_panel._parameterNode.outputVolume
    own = read_grid(output)
    output.SetAndObserveTransformNodeID(add_transform(np.diag([1.0, 1, 1, 1])).GetID())
    output.GetParentTransformNode().SetMatrixTransformToParent(
        slicer.util.vtkMatrixFromArray(
            np.array([[1.0, 0, 0, 50], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
        )
    )
    made_panel.logic.saveVolume(output, str(tmp_path / "made.nrrd"))
    np.testing.assert_allclose(read_volume(tmp_path / "made.nrrd").ijk_to_ras, own, atol=1e-6)


def read_grid(node) -> np.ndarray:
    import vtk

    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def test_a_folder_that_cannot_be_written_is_told_and_nothing_is_left(
    made_panel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    text = save_to(made_panel, tmp_path / "file" / "made.nrrd", monkeypatch)
    assert "made.nrrd" in text and "Saved" not in text
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert "made.xyz" in save_to(made_panel, tmp_path / "made.xyz", monkeypatch)


def test_a_dialog_that_is_closed_saves_nothing(made_panel, monkeypatch: pytest.MonkeyPatch) -> None:
    told = made_panel.ui.statusLabel.text
    monkeypatch.setattr(made_panel.outputPanel, "askForFile", lambda name: "")
    made_panel.ui.saveVolumeButton.click()
    assert made_panel.ui.statusLabel.text == told


def test_a_real_scan_has_no_record_to_be_shown(made_panel) -> None:
    scan = slicer.util.addVolumeFromArray(np.zeros(SHAPE_KJI, np.int16), np.eye(4), "Scan")
    made_panel._parameterNode.outputVolume = scan
    made_panel.updateFromScene()
    assert not made_panel.ui.provenanceWidget.visible
