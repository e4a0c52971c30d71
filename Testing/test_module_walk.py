"""The way of a user through the whole panel, with mouse clicks, in the stand-in host.

`QT_QPA_PLATFORM=xcb xvfb-run -a python -m pytest -m slow Testing/test_module_walk.py` shows the
window on a virtual display; without it the window is drawn in memory.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install .[slicer-test])")
pytest.importorskip("PySide6", reason="PySide6 is not installed (pip install .[slicer-test])")

import slicer
import slicer.util
from PySide6.QtTest import QTest
from segmentation_files import write_segmentation
from slicer_host.fixtures import module, panel_with_process, scene  # noqa: F401
from slicer_host.nodes import compare_geometry
from slicer_host.pythonqt import qt
from slicer_host.user import (
    choose,
    shown_volumes,
    table_rows,
    voxels,
    wait,
    when_bar_reaches,
)
from tiny_archives import case_folders
from tiny_runs import tiny_run_values

# Slices of the sample that are synthesized, so that the walk is short.
SLICES = slice(96, 108)
EDITED_SEGMENT = "Left-Lateral-Ventricle"


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The bundled model; the folder of installed ones is empty."""
    monkeypatch.setenv("ANATOMASKGAN_MODELS", str(tmp_path / "models"))
    return "brain-t1"


def click(button) -> None:
    """A press and a release of the mouse in the middle of what is to be clicked."""
    slicer.util.mainWindow().scroll.ensureWidgetVisible(button)
    wait(lambda: button.enabled and button.visible and button.height > 0)
    if isinstance(button, qt.QCheckBox):
        place = qt.QPoint(8, button.height // 2)  # its box; beside its text a click does nothing
    else:
        place = button.rect.center()
    QTest.mouseClick(button, qt.Qt.MouseButton.LeftButton, qt.Qt.KeyboardModifier(0), place)


def unfold(panel, name: str) -> None:
    """A click on the head of a folded section."""
    section = getattr(panel.ui, f"{name}CollapsibleButton")
    if section.collapsed:
        click(section._header)
    assert not section.collapsed


def slab_of(volume):
    """A volume of a few slices of another one."""
    ijk_to_ras = slicer.util.arrayFromVTKMatrix(matrix_of(volume))
    ijk_to_ras[:3, 3] += SLICES.start * ijk_to_ras[:3, 2]
    slab = slicer.util.addVolumeFromArray(voxels(volume)[SLICES], ijk_to_ras, "Slab")
    slab.CreateDefaultDisplayNodes()
    return slab


def matrix_of(volume):
    import vtk

    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return matrix


def grow_in_editor(panel, scan) -> np.ndarray:
    """A stroke in the panel's Segment Editor: a segment grows by 2 voxels; where it has grown."""
    segmentation = panel._parameterNode.inputSegmentation
    segment_id = segmentation.GetSegmentation().GetSegmentIdBySegmentName(EDITED_SEGMENT)
    old = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segment_id, scan) > 0
    new = old.copy()
    for step in (-2, -1, 1, 2):
        new |= np.roll(old, step, axis=2)
    ijk_to_ras = slicer.util.arrayFromVTKMatrix(matrix_of(scan))
    panel.segmentEditor.editor.paint(EDITED_SEGMENT, new, ijk_to_ras)
    return new & ~old


@pytest.mark.slow
def test_a_user_can_walk_through_the_whole_panel(panel_with_process, tmp_path: Path) -> None:
    panel = panel_with_process
    ui, parameters = panel.ui, panel._parameterNode

    # load sample
    click(ui.sampleDataButton)
    wait(lambda: ui.synthesizeButton.enabled)
    assert ui.labelSummaryLabel.text == "All 33 segments are matched."
    scan = parameters.referenceVolume
    slab = slab_of(scan)
    ui.referenceSelector.setCurrentNode(slab)
    panel.updateFromScene()

    # cancel a run, synthesize
    count = slicer.mrmlScene.GetNumberOfNodes()
    reached = when_bar_reaches(20, ui.progressBar, lambda: click(ui.cancelButton))
    click(ui.synthesizeButton)
    assert reached and ui.statusLabel.text == "Cancelled; nothing was changed."
    assert slicer.mrmlScene.GetNumberOfNodes() == count
    click(ui.synthesizeButton)
    assert "Made 'Brain labels synthetic'" in ui.statusLabel.text
    output = parameters.outputVolume
    assert compare_geometry(output, slab) == ""

    # compare
    unfold(panel, "compare")
    ui.realSelector.setCurrentNode(slab)
    panel.updateFromScene()
    click(ui.compareButton)
    assert "Compared in" in ui.statusLabel.text
    figures = dict(table_rows(ui.metricsTable))
    assert float(figures["PSNR dB \u2191"]) > 20
    assert shown_volumes("Difference") == ["Brain labels synthetic difference"] * 2
    click(ui.plotButton)
    assert len(slicer.app.layoutManager().plotWidgets()) == 1
    click(ui.sideBySideButton)

    # edit a segment, see the changed region
    click(ui.liveCheckBox)
    wait(lambda: panel.live.state.value == "up to date")
    before = voxels(parameters.outputVolume)
    unfold(panel, "segmentEditor")
    grown = grow_in_editor(panel, scan)[SLICES]
    wait(lambda: panel.live.state.value == "running")
    wait(lambda: panel.live.state.value == "up to date")
    change = np.abs(voxels(parameters.outputVolume) - before)
    assert change[grown].mean() > 10 > 100 * change[~grown].mean()
    assert parameters.outputVolume is output
    click(ui.liveCheckBox)

    # train two epochs, install
    values = tiny_run_values(Path("unused"), Path("unused"), data={"crop": [16, 16]})
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(values))
    unfold(panel, "train")
    ui.trainCasesEdit.setText(str(case_folders(tmp_path / "cases")))
    ui.trainFolderEdit.setText(str(tmp_path / "training"))
    choose(ui.trainPresetComboBox, "My settings file")
    ui.trainSettingsEdit.setText(str(tmp_path / "run.yaml"))
    choose(ui.trainLengthUnitComboBox, "epochs")
    ui.trainLengthSpinBox.setValue(2)
    click(ui.trainStartButton)
    wait(lambda: not panel.trainPanel.isRunning)
    assert ui.trainStateLabel.text == "Trained 16 steps."
    unfold(panel, "trainInstall")
    for edit, text in (
        (ui.trainModelNameEdit, "boxes"),
        (ui.trainTrainingDataEdit, "generated boxes"),
        (ui.trainLicenceEdit, "MIT"),
    ):
        edit.setText(text)
    click(ui.trainInstallButton)
    wait(lambda: ui.modelComboBox.currentText == "boxes")

    # batch, with the model that was trained
    (tmp_path / "segmentations").mkdir()
    write_segmentation(tmp_path / "segmentations" / "case.seg.nrrd", ("left lung", "heart"))
    unfold(panel, "batch")
    ui.batchInputEdit.setText(str(tmp_path / "segmentations"))
    ui.batchOutputEdit.setText(str(tmp_path / "volumes"))
    click(ui.batchStartButton)
    wait(lambda: ui.batchStartButton.enabled)
    assert table_rows(ui.batchTable) == [["case.seg.nrrd", "done"]]
    assert (tmp_path / "volumes" / "case_synthetic.nrrd").is_file()
