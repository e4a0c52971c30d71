"""Real, synthetic and difference side by side, plots and 3-D, by clicks, in the stand-in host.

The host draws slices and plots; the 3-D view it does not draw, so its nodes are looked at.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install .[slicer-test])")
pytest.importorskip("PySide6", reason="PySide6 is not installed (pip install .[slicer-test])")

import slicer
import slicer.util
from slicer_host.fixtures import model, module, panel, scene  # noqa: F401
from slicer_host.nodes import add_segmentation, box
from slicer_host.user import shown_volumes, voxels, wait

SHAPE_KJI = (8, 20, 24)
SKIN, BONE = box(SHAPE_KJI, (0, 2, 2), (7, 17, 8)), box(SHAPE_KJI, (0, 2, 10), (7, 17, 20))


@pytest.fixture
def compared_panel(panel):
    """The panel after a click on Compare; the real scan is brighter in the bone."""
    segmentation = add_segmentation({"skin": SKIN, "bone": BONE})
    panel.ui.inputSelector.setCurrentNode(segmentation)
    wait(lambda: panel.ui.synthesizeButton.enabled)
    panel.ui.synthesizeButton.click()
    real = voxels(panel._parameterNode.outputVolume)
    real[BONE] += 10
    panel.ui.realSelector.setCurrentNode(slicer.util.addVolumeFromArray(real, np.eye(4), "Scan"))
    wait(lambda: panel.ui.compareButton.enabled)
    panel.ui.compareButton.click()
    yield panel
    panel.views.hide()


def test_after_compare_each_volume_is_in_the_column_with_its_name(compared_panel) -> None:
    assert shown_volumes("Real") == ["Scan", "Scan"]
    assert shown_volumes("Synthetic") == ["Case synthetic"] * 2
    assert shown_volumes("Difference") == ["Case synthetic difference"] * 2
    assert compared_panel.ui.sideBySideButton.checked


def test_each_view_is_named_in_words(compared_panel) -> None:
    widgets = slicer.app.layoutManager().sliceWidgets().values()
    names = [widget.mrmlSliceNode().GetName() for widget in widgets]
    columns = ("Real", "Synthetic", "Difference")
    assert names == [f"{column} {row}" for row in ("Axial", "Coronal") for column in columns]


def test_a_new_volume_joins_its_column_and_the_others_stay(compared_panel) -> None:
    compared_panel.ui.outputModeComboBox.currentIndex = 1
    compared_panel.ui.synthesizeButton.click()
    assert shown_volumes("Synthetic") == ["Case synthetic_1"] * 2
    assert shown_volumes("Real") == ["Scan", "Scan"]


def test_a_second_click_brings_back_the_views_of_before(compared_panel) -> None:
    compared_panel.ui.sideBySideButton.click()
    assert slicer.app.layoutManager().sliceViewNames() == ["Red", "Green", "Yellow"]
    compared_panel.ui.sideBySideButton.click()
    assert shown_volumes("Real") == ["Scan", "Scan"]


def test_the_slice_that_is_looked_at_stays_when_the_columns_are_filled_again(
    compared_panel,
) -> None:
    logic = slicer.app.applicationLogic().GetSliceLogicByLayoutName("SyntheticAxial")
    logic.SetSliceOffset(2.0)
    compared_panel.ui.compareButton.click()
    assert logic.GetSliceOffset() == 2.0


def test_views_of_the_columns_are_linked(compared_panel) -> None:
    for widget in slicer.app.layoutManager().sliceWidgets().values():
        assert widget.mrmlSliceCompositeNode().GetLinkedControl()


def test_a_histogram_of_the_chosen_label_is_plotted_below_the_volumes(compared_panel) -> None:
    chooser = compared_panel.ui.histogramComboBox
    labels = [chooser.itemText(number) for number in range(chooser.count)]
    assert labels == ["All labels", "skin", "bone"]
    chooser.setCurrentIndex(2)
    chooser.activated.emit(2)
    compared_panel.ui.plotButton.click()
    (plot,) = slicer.app.layoutManager().plotWidgets().values()
    chart = plot.mrmlPlotViewNode().GetPlotChartNode()
    assert chart.GetTitle() == "bone"
    real, synthetic = (chart.GetNthPlotSeriesNode(number) for number in range(2))
    means = []
    for series in (real, synthetic):
        table = series.GetTableNode().GetTable()
        x, y = (
            np.array([column.GetValue(row) for row in range(column.GetNumberOfTuples())])
            for column in map(
                table.GetColumnByName, (series.GetXColumnName(), series.GetYColumnName())
            )
        )
        assert 98 < y.sum() <= 100.001
        means.append((x * y).sum() / y.sum())
    assert means[0] - means[1] == pytest.approx(10, abs=1)
    assert (plot.picture(300, 200) < 255).any()
    assert shown_volumes("Synthetic") == ["Case synthetic"]


def test_what_was_compared_is_there_again_in_a_loaded_scene(compared_panel, tmp_path) -> None:
    table = compared_panel.ui.metricsTable
    figures = [table.item(row, 1).text() for row in range(table.rowCount)]
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"), {})
    slicer.mrmlScene.Clear(0)
    compared_panel.updateFromScene()
    assert not table.visible and not compared_panel.ui.plotButton.enabled
    slicer.util.loadNodeFromFile(str(tmp_path / "scene.mrb"), "SceneFile", {"clear": True})
    compared_panel.updateFromScene()
    assert [table.item(row, 1).text() for row in range(table.rowCount)] == figures
    compared_panel.ui.plotButton.click()
    assert shown_volumes("Difference") == ["Case synthetic difference"]


def test_the_volume_is_shown_in_3d_by_its_window_or_by_a_preset(compared_panel) -> None:
    panel, output = compared_panel, compared_panel._parameterNode.outputVolume
    logic = slicer.modules.volumerendering.logic()
    panel.ui.renderingButton.click()
    display = logic.GetFirstVolumeRenderingDisplayNode(output)
    assert display.GetVisibility() and panel.ui.renderingButton.checked
    opacity = display.GetVolumePropertyNode().GetVolumeProperty().GetScalarOpacity()
    low, high = (float(limit(slicer.util.arrayFromVolume(output))) for limit in (np.min, np.max))
    dark, bright = (opacity.GetValue(low + share * (high - low)) for share in (0.1, 0.9))
    assert bright > dark
    panel.ui.renderingButton.click()
    assert not display.GetVisibility()
    panel.ui.renderingComboBox.setCurrentIndex(panel.ui.renderingComboBox.findText("MR-Default"))
    panel.ui.renderingButton.click()
    opacity = display.GetVolumePropertyNode().GetVolumeProperty().GetScalarOpacity()
    assert opacity.GetValue(200) == 0.5  # of the preset that the host brings
    assert logic.GetFirstVolumeRenderingDisplayNode(output) is display


def test_a_preset_that_is_not_there_is_told(compared_panel) -> None:
    panel = compared_panel
    panel.ui.renderingComboBox.setCurrentIndex(panel.ui.renderingComboBox.findText("CT-Lung"))
    panel.ui.renderingButton.click()
    assert "no volume rendering preset CT-Lung" in panel.ui.statusLabel.text
    assert not panel.ui.renderingButton.checked


def test_a_click_on_cancel_ends_a_comparison_and_leaves_the_scene(
    compared_panel, monkeypatch
) -> None:
    from AnatoMaskGANLib.evaluation.metrics import case_metrics as case_figures

    panel, count = compared_panel, slicer.mrmlScene.GetNumberOfNodes()
    figures = panel.logic.compare(
        panel._parameterNode.outputVolume, panel._parameterNode.realVolume
    ).figures
    original = case_figures.to_grid_case

    def slow(*arguments, **keywords):
        time.sleep(1.0)
        return original(*arguments, **keywords)

    monkeypatch.setattr(case_figures, "to_grid_case", slow)
    timer = slicer_timer(lambda: panel.ui.cancelButton.click())
    begin = time.monotonic()
    panel.ui.compareButton.click()
    timer.stop()
    assert time.monotonic() - begin < 0.9
    assert panel.ui.statusLabel.text == "Cancelled; nothing was changed."
    assert slicer.mrmlScene.GetNumberOfNodes() == count
    monkeypatch.setattr(case_figures, "to_grid_case", original)
    panel.ui.compareButton.click()
    assert "Compared in" in panel.ui.statusLabel.text
    assert panel.comparePanel._metrics == figures


def slicer_timer(action: Callable[[], None]):
    """Does something once, a moment from now, while the window works."""
    from slicer_host.pythonqt import qt

    timer = qt.QTimer()
    timer.setSingleShot(True)
    timer.setInterval(100)
    timer.timeout.connect(action)
    timer.start()
    return timer


@pytest.mark.parametrize("gone", ["real", "segmentation", "scene"])
def test_what_goes_while_it_is_compared_is_told_and_nothing_is_made(
    compared_panel, monkeypatch, gone: str
) -> None:
    from AnatoMaskGANLib.evaluation.metrics import case_metrics as case_figures

    panel, original = compared_panel, case_figures.to_grid_case

    def slow(*arguments, **keywords):
        time.sleep(0.4)
        return original(*arguments, **keywords)

    monkeypatch.setattr(case_figures, "to_grid_case", slow)
    parameters = panel._parameterNode
    nodes = {"real": parameters.realVolume, "segmentation": parameters.inputSegmentation}

    def remove() -> None:
        slicer.mrmlScene.RemoveNode(nodes[gone]) if gone in nodes else slicer.mrmlScene.Clear(0)

    timer = slicer_timer(remove)
    panel.ui.compareButton.click()
    timer.stop()
    expected = "Cancelled" if gone == "scene" else "was removed during the comparison"
    assert expected in panel.ui.statusLabel.text
    assert not panel.work.isRunning
