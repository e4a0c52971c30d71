"""What goes wrong in the panel says what to do, and the next run works; in the stand-in host.

More of it stands beside what it belongs to: test_module_widget.py (no packages, empty scene, no
segments, a scene closed or nodes removed while running, 300 segments), test_module_logic.py
(refused requests), test_mrml.py (grids and transforms), test_module_provenance.py (a folder that
cannot be written), test_module_views.py (a comparison) and test_module_live.py.
"""

from __future__ import annotations

import os
import signal
import types
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install .[slicer-test])")
pytest.importorskip("PySide6", reason="PySide6 is not installed (pip install .[slicer-test])")

import psutil
import slicer
import slicer.util
import vtk
from slicer_host import window
from slicer_host.fixtures import (  # noqa: F401
    model,
    module,
    panel,
    panel_with_process,
    scene,
)
from slicer_host.nodes import (
    add_segmentation,
    add_transform,
    add_volume,
    box,
    compare_geometry,
)
from slicer_host.user import wait, when_bar_reaches

SHAPE_KJI = (6, 20, 24)
GRID = np.array([[0, 0, 2.5, 7], [0.8, 0, 0, 30], [0, 1.1, 0, -12], [0, 0, 0, 1.0]])
TURN = np.array([[0, -1.0, 0, 4], [1, 0, 0, 5], [0, 0, 1, 6], [0, 0, 0, 1]])


def limb() -> dict[str, np.ndarray]:
    return {
        "skin": box(SHAPE_KJI, (0, 2, 2), (5, 17, 8)),
        "bone": box(SHAPE_KJI, (1, 4, 10), (4, 15, 20)),
    }


def click(panel) -> str:
    """A click on Synthesize; what the panel then says."""
    wait(lambda: panel.ui.synthesizeButton.enabled)
    panel.ui.synthesizeButton.click()
    return panel.ui.statusLabel.text


def works_again(panel) -> bool:
    """Whether a sound segmentation is synthesized as if nothing had been."""
    panel.ui.inputSelector.setCurrentNode(add_segmentation(limb(), name="Sound"))
    panel.ui.referenceSelector.setCurrentNode(None)
    panel.ui.outputSelector.setCurrentNode(None)
    panel.updateFromScene()
    return "Made 'Sound synthetic'" in click(panel)


def test_without_any_model_the_panel_leads_to_the_models(panel, monkeypatch) -> None:
    panel.ui.inputSelector.setCurrentNode(add_segmentation(limb()))
    monkeypatch.setattr(panel.logic, "models", lambda isReadAgain=False: {})
    panel.updateFromScene()
    assert not panel.ui.synthesizeButton.enabled
    assert "install or download one in the section Models" in panel.ui.statusLabel.text


def test_an_empty_and_an_overlapping_segment_are_told_with_the_result(panel) -> None:
    parts = limb() | {"marrow": box(SHAPE_KJI, (2, 6, 12), (3, 9, 14))}  # inside the bone
    segmentation = add_segmentation(parts)
    segmentation.GetSegmentation().AddEmptySegment("empty", "cortical bone")
    panel.ui.inputSelector.setCurrentNode(segmentation)
    text = click(panel)
    assert "Segments without any voxel on this grid: cortical bone." in text
    assert f"Segments overlap in {2 * 4 * 3} voxels; the segment that is last in the list" in text
    assert "Segments overlap" in panel.ui.logText.toPlainText()


def test_segments_without_a_reference_geometry_get_a_grid_that_holds_all_of_them(
    panel,
) -> None:
    segmentation = add_segmentation(limb(), GRID, has_reference_geometry=False)
    panel.ui.inputSelector.setCurrentNode(segmentation)
    assert "Made" in click(panel)
    output = panel._parameterNode.outputVolume
    bounds, painted = [0.0] * 6, [0.0] * 6
    output.GetRASBounds(bounds)
    segmentation.GetRASBounds(painted)
    assert all(bounds[2 * a] <= painted[2 * a] + 1e-6 for a in range(3))
    assert all(bounds[2 * a + 1] >= painted[2 * a + 1] - 1e-6 for a in range(3))


def bent_transform() -> slicer.vtkMRMLTransformNode:
    """Bends space by a thin-plate spline; no matrix does that."""
    points = [vtk.vtkPoints() for _ in range(2)]
    for r in (-50, 0, 50):
        for a in (-50, 0, 50):
            for s in (-50, 0, 50):
                points[0].InsertNextPoint(r, a, s)
                points[1].InsertNextPoint(r + 0.002 * a * a, a, s + 0.001 * r * s)
    spline = vtk.vtkThinPlateSplineTransform()
    spline.SetSourceLandmarks(points[0])
    spline.SetTargetLandmarks(points[1])
    spline.SetBasisToR()
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", "Bent")
    node.SetAndObserveTransformToParent(spline)
    return node


@pytest.mark.parametrize("kind", ["none", "turned", "bent"])
@pytest.mark.parametrize("has_reference", [False, True])
def test_slicer_finds_no_difference_of_the_grids_below_any_transform(
    panel,
    kind: str,
    has_reference: bool,
) -> None:
    """`CompareVolumeGeometry` is Slicer's own; it wants both volumes below no transform."""
    segmentation, scan = add_segmentation(limb(), GRID), add_volume(SHAPE_KJI, GRID)
    transform = {"none": None, "turned": add_transform(TURN), "bent": bent_transform()}[kind]
    for node in (segmentation, scan):
        node.SetAndObserveTransformNodeID(transform.GetID() if transform else None)
    panel.ui.inputSelector.setCurrentNode(segmentation)
    panel.ui.referenceSelector.setCurrentNode(scan if has_reference else None)
    assert "Made" in click(panel), panel.ui.statusLabel.text
    output = panel._parameterNode.outputVolume
    assert output.GetTransformNodeID() == scan.GetTransformNodeID()
    for node in (output, scan):
        node.SetAndObserveTransformNodeID(None)
    assert compare_geometry(output, scan) == ""


def test_a_reference_volume_on_another_grid_gives_that_grid(panel) -> None:
    finer = GRID @ np.diag([0.5, 0.5, 0.5, 1])
    scan = add_volume((12, 40, 48), finer)
    panel.ui.inputSelector.setCurrentNode(add_segmentation(limb(), GRID))
    panel.ui.referenceSelector.setCurrentNode(scan)
    assert "Made" in click(panel)
    assert compare_geometry(panel._parameterNode.outputVolume, scan) == ""


def test_a_reference_volume_elsewhere_is_told(panel) -> None:
    elsewhere = np.eye(4)
    elsewhere[:3, 3] = 5000
    panel.ui.inputSelector.setCurrentNode(add_segmentation(limb()))
    panel.ui.referenceSelector.setCurrentNode(add_volume(SHAPE_KJI, elsewhere))
    text = click(panel)
    assert "Made" not in text and "reference volume" in text
    assert panel._parameterNode.outputVolume is None
    assert works_again(panel)


def test_a_segment_that_is_removed_while_running_does_not_spoil_the_result(panel) -> None:
    segmentation = add_segmentation(limb())
    panel.ui.inputSelector.setCurrentNode(segmentation)
    when_bar_reaches(
        40, panel.ui.progressBar, lambda: segmentation.GetSegmentation().RemoveSegment("bone")
    )
    assert "Made" in click(panel)
    output = panel._parameterNode.outputVolume
    assert panel.logic.provenance(output)["LabelMatches"].count("->") == 2  # as it was begun
    panel.ui.makeAgainButton.click()
    assert "bone" in panel.ui.statusLabel.text and "Made" not in panel.ui.statusLabel.text
    assert works_again(panel)


@pytest.mark.parametrize("which", ["segmentation", "reference"])
def test_a_node_that_is_removed_while_running_is_told_in_the_panel(panel, which: str) -> None:
    segmentation, scan = add_segmentation(limb()), add_volume(SHAPE_KJI)
    panel.ui.inputSelector.setCurrentNode(segmentation)
    panel.ui.referenceSelector.setCurrentNode(scan)
    node = segmentation if which == "segmentation" else scan
    when_bar_reaches(40, panel.ui.progressBar, lambda: slicer.mrmlScene.RemoveNode(node))
    assert "was removed during the synthesis" in click(panel)
    assert works_again(panel)


def test_a_comparison_waits_for_the_synthesis_that_runs(panel) -> None:
    panel.ui.inputSelector.setCurrentNode(add_segmentation(limb()))
    click(panel)
    output, scan = panel._parameterNode.outputVolume, add_volume(SHAPE_KJI)
    errors = []

    def compare() -> None:
        with pytest.raises(RuntimeError, match="running already") as error:
            panel.logic.compare(output, scan)
        errors.append(error)
        assert not panel.ui.compareButton.enabled

    when_bar_reaches(40, panel.ui.progressBar, compare)
    assert "Made" in click(panel) and errors


def test_a_worker_that_dies_twice_is_told_with_what_to_do(panel_with_process) -> None:
    panel = panel_with_process
    panel.ui.inputSelector.setCurrentNode(add_segmentation(limb()))
    panel._parameterNode.samples = 50
    killed = []

    def kill(value: int) -> None:
        process = panel.logic.backend.client._process.pid
        if value > 0 and process is not None and process not in killed and len(killed) < 2:
            killed.append(process)
            os.kill(process, signal.SIGKILL)

    panel.ui.progressBar.valueChanged.connect(kill)
    # a restarted process tells smaller shares again, which the bar shows as it comes
    text = click(panel)
    panel.ui.progressBar.valueChanged.disconnect(kill)
    assert len(killed) == 2
    assert "ended twice" in text and "memory" in text
    panel._parameterNode.samples = 1
    assert works_again(panel)


def works(process: psutil.Process) -> bool:
    """Whether a process lives; one that has ended may wait for ever to be asked how."""
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_cancel_ends_what_the_process_had_started_itself(
    panel_with_process,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """As a launcher like PythonSlicer does, the program here starts Python as its child."""
    if os.name == "nt":
        pytest.skip("the launcher of this test is a shell script")
    import sys

    from AnatoMaskGANModule.synthesis import backends

    launcher = tmp_path / "launcher"
    launcher.write_text(f'#!/bin/sh\nsleep 600 &\n"{sys.executable}" "$@"\n')
    launcher.chmod(0o755)
    monkeypatch.setattr(backends, "pythonExecutable", lambda: str(launcher))
    panel, tree = panel_with_process, []
    panel.ui.inputSelector.setCurrentNode(add_segmentation(limb()))
    panel._parameterNode.samples = 50

    def cancel() -> None:
        process = psutil.Process(panel.logic.backend.client._process.pid)
        tree.extend([process, *process.children(recursive=True)])
        panel.ui.cancelButton.click()

    when_bar_reaches(1, panel.ui.progressBar, cancel)
    assert click(panel) == "Cancelled; nothing was changed."
    wait(lambda: not any(works(process) for process in tree))
    assert len(tree) == 3  # the launcher, sleep, and Python


def test_a_scene_in_a_folder_that_cannot_be_written_is_worked_with(
    panel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "file").write_text("in the way")
    folder = tmp_path / "file" / "scenes"  # below a file: nobody can write there
    slicer.mrmlScene.SetRootDirectory(str(folder))
    slicer.mrmlScene.SetURL(str(folder / "scene.mrml"))
    panel.ui.inputSelector.setCurrentNode(add_segmentation(limb()))
    assert "Made" in click(panel)
    monkeypatch.setattr(panel.outputPanel, "askForFile", lambda name: str(folder / name))
    panel.ui.saveVolumeButton.click()
    text = panel.ui.statusLabel.text
    assert "Saved" not in text and str(folder) in text
    slicer.mrmlScene.SetRootDirectory("")
    slicer.mrmlScene.SetURL("")


@pytest.mark.parametrize("runs_in_process", [False, True])
def test_the_module_can_be_reloaded_while_it_runs(
    request: pytest.FixtureRequest,
    module: types.ModuleType,
    runs_in_process: bool,
) -> None:
    panel = request.getfixturevalue("panel_with_process" if runs_in_process else "panel")
    panel.ui.inputSelector.setCurrentNode(add_segmentation(limb()))
    panel._parameterNode.samples = 20
    wait(lambda: panel.ui.synthesizeButton.enabled)
    again, processes = [], []

    def reload() -> None:
        if runs_in_process:
            processes.append(psutil.Process(panel.logic.backend.client._process.pid))
        window.close_module(slicer.modules.anatomaskgan)
        again.append(window.show_module(window.load_module(module.__file__)))

    when_bar_reaches(1, panel.ui.progressBar, reload)
    panel.ui.synthesizeButton.click()  # comes back when the old panel's run has ended
    (new,) = again
    assert new is not panel and not any(process.is_running() for process in processes)
    assert slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode") is None
    new._parameterNode.samples = 1
    assert works_again(new)


def test_another_scene_can_be_loaded_while_it_runs(panel, tmp_path: Path) -> None:
    panel.ui.inputSelector.setCurrentNode(add_segmentation(limb(), name="Other"))
    panel.ui.seedSpinBox.value = 41
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"), {})
    slicer.mrmlScene.Clear(0)
    panel.ui.inputSelector.setCurrentNode(add_segmentation(limb()))
    panel.updateFromScene()
    panel._parameterNode.model = "tiny"
    path = str(tmp_path / "scene.mrb")
    when_bar_reaches(
        40,
        panel.ui.progressBar,
        lambda: slicer.util.loadNodeFromFile(path, "SceneFile", {"clear": True}),
    )
    text = click(panel)
    assert "Made" not in text
    wait(lambda: panel.ui.seedSpinBox.value == 41)
    assert panel.ui.inputSelector.currentNode().GetName() == "Other"
    assert works_again(panel)
