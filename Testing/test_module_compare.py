"""The comparison with a real scan, by a click, in the stand-in host."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install .[slicer-test])")
pytest.importorskip("PySide6", reason="PySide6 is not installed (pip install .[slicer-test])")

import slicer
import slicer.util
from slicer_host.fixtures import model, module, panel, scene  # noqa: F401
from slicer_host.nodes import add_segmentation, box, compare_geometry, paint
from slicer_host.user import voxels

from AnatoMaskGANLib.mrml import difference_of, metrics_of
from AnatoMaskGANLib.synthesis import SynthesisCancelledError

SHAPE_KJI = (8, 20, 24)


@pytest.fixture
def synthesized_panel(panel):
    """The panel with a synthetic volume and a real one: twice as bright in the bone."""
    masks = {
        "skin": box(SHAPE_KJI, (0, 2, 2), (7, 17, 8)),
        "bone": box(SHAPE_KJI, (0, 2, 10), (7, 17, 20)),
    }
    segmentation = add_segmentation(masks)
    output = panel.logic.synthesize(segmentation, model=panel._parameterNode.model)
    real = slicer.util.arrayFromVolume(output).copy()
    real[masks["bone"]] += 10
    scan = slicer.util.addVolumeFromArray(real, np.eye(4), "Scan")
    panel._parameterNode.inputSegmentation = segmentation
    panel._parameterNode.outputVolume = output
    panel._parameterNode.realVolume = scan
    panel.ui.compareCollapsibleButton.collapsed = False
    panel.updateFromScene()
    return panel


def shown_figures(panel) -> dict[str, str]:
    table = panel.ui.metricsTable
    return {table.item(r, 0).text(): table.item(r, 1).text() for r in range(table.rowCount)}


def test_a_click_on_compare_gives_figures_a_difference_and_a_table(synthesized_panel) -> None:
    panel = synthesized_panel
    synthetic, real = panel._parameterNode.outputVolume, panel._parameterNode.realVolume
    panel.ui.compareButton.click()
    labeled, bone = 8 * 16 * (7 + 11), 8 * 16 * 11
    assert shown_figures(panel)["MAE fg \u2193"] == f"{10 * bone / labeled:.2f}"
    difference = slicer.util.getNode("Case synthetic difference")
    assert compare_geometry(difference, synthetic) == ""
    np.testing.assert_allclose(
        slicer.util.arrayFromVolume(difference),
        slicer.util.arrayFromVolume(synthetic) - slicer.util.arrayFromVolume(real),
        atol=1e-4,
    )
    table = slicer.util.getNode("Case synthetic by segment").GetTable()
    assert [table.GetValueByName(row, "Label").ToString() for row in range(2)] == ["skin", "bone"]
    assert table.GetValueByName(1, "Voxels").ToDouble() == bone
    means = [table.GetValueByName(1, f"{which} mean").ToDouble() for which in ("Real", "Synthetic")]
    assert means[0] - means[1] == pytest.approx(10, abs=0.01)
    assert "Made the volume 'Case synthetic difference'" in panel.ui.compareLabel.text


def test_comparing_once_more_fills_the_same_nodes(synthesized_panel) -> None:
    panel = synthesized_panel
    panel.ui.compareButton.click()
    count = slicer.mrmlScene.GetNumberOfNodes()
    panel.ui.compareButton.click()
    assert slicer.mrmlScene.GetNumberOfNodes() == count


def test_comparing_a_clone_leaves_the_comparison_of_the_first_volume_alone(
    synthesized_panel,
) -> None:
    logic, nodes = synthesized_panel.logic, synthesized_panel._parameterNode
    first = logic.compare(nodes.outputVolume, nodes.realVolume)
    difference, figures = voxels(first.differenceVolume), metrics_of(nodes.outputVolume)
    clone = slicer.modules.volumes.logic().CloneVolume(
        slicer.mrmlScene, nodes.outputVolume, "Clone, synthetic"
    )
    assert clone.GetNodeReference("AnatoMaskGAN.Difference") is first.differenceVolume
    assert metrics_of(clone) == {} and difference_of(clone) is None
    logic.synthesize(nodes.inputSegmentation, clone, model=nodes.model, seed=9)
    second = logic.compare(clone, nodes.realVolume)
    for made in ("differenceVolume", "tableNode", "chart"):
        assert getattr(second, made) is not getattr(first, made)
    np.testing.assert_array_equal(voxels(first.differenceVolume), difference)
    assert metrics_of(nodes.outputVolume) == figures != metrics_of(clone)
    again = logic.compare(nodes.outputVolume, nodes.realVolume)
    assert again.differenceVolume is first.differenceVolume


def test_a_scan_on_another_grid_is_interpolated_and_that_is_said(synthesized_panel) -> None:
    panel = synthesized_panel
    shifted = np.eye(4)
    shifted[0, 3] = -0.25
    panel._parameterNode.realVolume = slicer.util.addVolumeFromArray(
        np.zeros((8, 20, 26), np.int16), shifted, "Elsewhere"
    )
    panel.updateFromScene()
    panel.ui.compareButton.click()
    assert "interpolated" in panel.ui.compareLabel.text


def test_what_is_missing_for_a_comparison_is_told(panel) -> None:
    panel.updateFromScene()
    assert not panel.ui.compareButton.enabled
    assert "Synthesize a volume first" in panel.ui.compareButton.toolTip


def test_a_volume_that_was_moved_or_whose_model_is_gone_is_not_compared(
    synthesized_panel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    logic, nodes = synthesized_panel.logic, synthesized_panel._parameterNode
    synthetic, scan = nodes.outputVolume, nodes.realVolume
    origin = synthetic.GetOrigin()
    synthetic.SetOrigin(5, 0, 0)
    with pytest.raises(
        ValueError, match="no longer on the grid of its segmentation. Synthesize it"
    ):
        logic.compare(synthetic, scan)
    synthetic.SetOrigin(*origin)
    monkeypatch.setenv("ANATOMASKGAN_MODELS", str(tmp_path))
    with pytest.raises(ValueError, match="is not installed; it is needed for its window"):
        logic.compare(synthetic, scan)


def test_a_volume_whose_segments_were_edited_since_is_not_compared(synthesized_panel) -> None:
    logic, nodes = synthesized_panel.logic, synthesized_panel._parameterNode
    bone = box(SHAPE_KJI, (0, 2, 10), (7, 17, 20))
    paint(nodes.inputSegmentation, "bone", bone | box(SHAPE_KJI, (2, 4, 21), (5, 9, 22)))
    with pytest.raises(
        ValueError, match="the segments of 'Case' have changed since it was made.*undo"
    ):
        logic.compare(nodes.outputVolume, nodes.realVolume)
    assert slicer.mrmlScene.GetFirstNodeByName("Case synthetic difference") is None
    paint(nodes.inputSegmentation, "bone", bone)
    assert logic.compare(nodes.outputVolume, nodes.realVolume).figures


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (SynthesisCancelledError, "The comparison was cancelled"),
        (RuntimeError, "'Scan' was removed during the comparison. Nothing was changed; select"),
    ],
)
def test_a_comparison_that_is_cancelled_or_loses_its_scan_changes_nothing(
    synthesized_panel, monkeypatch: pytest.MonkeyPatch, error: type[Exception], told: str
) -> None:
    from AnatoMaskGANModule.compare import job as comparison

    logic, nodes = synthesized_panel.logic, synthesized_panel._parameterNode
    synthetic, scan = nodes.outputVolume, nodes.realVolume
    work = comparison.resultOfThread

    def meanwhile(function, stopIfCancelled):
        if error is SynthesisCancelledError:
            logic.cancel()
        else:
            slicer.mrmlScene.RemoveNode(scan)
        return work(function, stopIfCancelled)

    monkeypatch.setattr(comparison, "resultOfThread", meanwhile)
    with pytest.raises(error, match=told):
        logic.compare(synthetic, scan)
    assert slicer.mrmlScene.GetFirstNodeByName("Case synthetic difference") is None


def test_what_fails_in_the_thread_is_raised_where_it_is_waited_for(module) -> None:
    from AnatoMaskGANModule.compare.job import resultOfThread

    with pytest.raises(ZeroDivisionError):
        resultOfThread(lambda: 1 / 0, lambda: None)
