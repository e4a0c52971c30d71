"""The stand-in host keeps the rules of PythonQt that Python programmers break without noticing."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install .[slicer-test])")
pytest.importorskip("PySide6", reason="PySide6 is not installed (pip install .[slicer-test])")

import slicer
import slicer.util
import vtk
from slicer_host import window
from slicer_host.nodes import add_segmentation, box
from slicer_host.pythonqt import qt


@pytest.fixture(autouse=True)
def application() -> None:
    window.start_window()


def test_a_qt_property_is_an_attribute_and_its_setter_a_method() -> None:
    button = qt.QPushButton("Go")
    button.enabled = False
    assert (button.text, button.enabled) == ("Go", False)
    button.setText("Stop")
    assert button.text == "Stop"
    with pytest.raises(TypeError):
        button.text()


def test_an_attribute_that_does_not_exist_cannot_be_written() -> None:
    with pytest.raises(AttributeError, match="enable"):
        qt.QPushButton("Go").enable = True
    with pytest.raises(AttributeError, match="valu"):
        slicer.qMRMLNodeComboBox().valu = 3


def test_the_object_name_is_called_name() -> None:
    label = qt.QLabel()
    label.name = "status"
    assert label.objectName == "status"


def test_the_window_says_that_it_is_not_slicer() -> None:
    assert "not the 3D Slicer application" in slicer.util.mainWindow().windowTitle


def test_a_node_combo_box_follows_the_scene() -> None:
    slicer.mrmlScene.Clear(0)
    selector = slicer.qMRMLNodeComboBox()
    selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    selector.setMRMLScene(slicer.mrmlScene)
    seen = []
    selector.currentNodeChanged.connect(seen.append)
    assert selector.currentNode() is None
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Scan")
    assert selector.currentNode() is node and seen == [node]
    slicer.mrmlScene.RemoveNode(node)
    assert selector.currentNode() is None
    selector.setMRMLScene(None)


LAYOUT = """<layout type="horizontal">
  <item><view class="vtkMRMLSliceNode" singletontag="Left">
    <property name="orientation" action="default">Axial</property></view></item>
  <item><view class="vtkMRMLPlotViewNode" singletontag="Plot"/></item>
  <item><view class="vtkMRMLViewNode" singletontag="Solid"/></item>
</layout>"""


def test_views_follow_the_layout_that_the_scene_describes() -> None:
    manager = slicer.app.layoutManager()
    first = manager.layout
    names = manager.sliceViewNames()
    manager.layoutLogic().GetLayoutNode().AddLayoutDescription(987, LAYOUT)
    manager.setLayout(987)
    assert manager.sliceViewNames() == ["Left"]
    assert manager.sliceWidget("Left").mrmlSliceNode().GetOrientation() == "Axial"
    assert list(manager.plotWidgets()) == ["Plot"]
    labels = [label.text for label in manager.widget.findChildren(qt.QLabel)]
    assert "vtkMRMLViewNode Solid: not drawn by this stand-in" in labels
    manager.setLayout(first)
    assert manager.sliceViewNames() == names
    assert not manager.plotWidgets()


def test_a_plot_view_draws_the_lines_of_its_chart() -> None:
    slicer.mrmlScene.Clear(0)
    manager = slicer.app.layoutManager()
    first = manager.layout
    manager.layoutLogic().GetLayoutNode().AddLayoutDescription(987, LAYOUT)
    manager.setLayout(987)
    plot = manager.plotWidgets()["Plot"]
    assert (plot.picture(80, 60) == 255).all()
    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode")
    for name in ("x", "y"):
        column = vtk.vtkDoubleArray()
        column.SetName(name)
        for value in (0, 1, 2):
            column.InsertNextValue(value)
        table.AddColumn(column)
    series = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotSeriesNode")
    series.SetAndObserveTableNodeID(table.GetID())
    series.SetXColumnName("x")
    series.SetYColumnName("y")
    series.SetColor(1, 0, 0)
    series.SetLineWidth(3)
    chart = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotChartNode")
    chart.AddAndObservePlotSeriesNodeID(series.GetID())
    plot.node.SetPlotChartNodeID(chart.GetID())
    red, green, _ = plot.picture(200, 150).astype(int).transpose(2, 0, 1)
    assert ((red > 200) & (green < 80)).sum() > 50
    manager.setLayout(first)


def test_the_stand_in_of_the_segment_editor_says_so_and_undoes() -> None:
    slicer.mrmlScene.Clear(0)
    shape = (4, 10, 10)
    small, large = (box(shape, (1, 2, 2), (2, last, 4)) for last in (4, 7))
    segmentation = add_segmentation({"bone": small})
    editor = slicer.qMRMLSegmentEditorWidget()
    editor.setMRMLScene(slicer.mrmlScene)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentEditorNode")
    editor.setMRMLSegmentEditorNode(node)
    editor.setSegmentationNode(segmentation)
    editor.setMaximumNumberOfUndoStates(5)

    def num_voxels() -> int:
        return int(slicer.util.arrayFromSegmentInternalBinaryLabelmap(segmentation, "bone").sum())

    editor.paint("bone", large, np.eye(4))
    assert num_voxels() == large.sum()
    editor.undo()
    assert num_voxels() == small.sum()
    editor.redo()
    assert num_voxels() == large.sum()
    labels = [label.text for label in editor.findChildren(qt.QLabel)]
    assert any("not in this stand-in" in text for text in labels)
