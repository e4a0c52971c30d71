"""The stand-in host keeps the rules of PythonQt that Python programmers break without noticing."""

from __future__ import annotations

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install .[slicer-test])")
pytest.importorskip("PySide6", reason="PySide6 is not installed (pip install .[slicer-test])")

import slicer  # noqa: E402
import slicer.util  # noqa: E402
from slicer_host import window  # noqa: E402
from slicer_host.pythonqt import qt  # noqa: E402


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
