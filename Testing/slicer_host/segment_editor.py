"""A stand-in for the Segment Editor's widget: no effect, but its own logic, which can undo."""

from __future__ import annotations

import numpy as np
import slicer
import slicer.util

from slicer_host.nodes import oriented_image
from slicer_host.pythonqt import qt
from slicer_host.widgets import stand_in

NOTICE = "The Segment Editor's effects are not in this stand-in; in Slicer they are here."


@stand_in(slicer)
class qMRMLSegmentEditorWidget(qt.QWidget):
    """Takes what a module tells the application's widget, and paints and undoes for tests."""

    def __init__(self, parent=None):
        super().__init__(parent)
        self._logic = slicer.vtkSlicerSegmentEditorLogic()
        self._hasViews = self._hasKeys = False
        layout = qt.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        notice = qt.QLabel(NOTICE)
        notice.setWordWrap(True)
        layout.addWidget(notice)
        self._list = qt.QListWidget()
        self._list.setMaximumHeight(120)
        layout.addWidget(self._list)
        buttons = qt.QHBoxLayout()
        for name, action in (("Undo", self.undo), ("Redo", self.redo)):
            button = qt.QPushButton(name)
            button.clicked.connect(lambda checked=False, action=action: action())
            buttons.addWidget(button)
        layout.addLayout(buttons)

    def setMRMLScene(self, scene):
        self._logic.SetMRMLScene(scene)

    def mrmlScene(self):
        return self._logic.GetMRMLScene()

    def setMRMLSegmentEditorNode(self, node):
        self._logic.SetSegmentEditorNode(node)

    def mrmlSegmentEditorNode(self):
        return self._logic.GetSegmentEditorNode()

    def setSegmentationNode(self, node):
        if self.mrmlSegmentEditorNode() is not None:
            self._logic.SetSegmentationNode(node)
        self._list.clear()
        for number in range(node.GetSegmentation().GetNumberOfSegments() if node else 0):
            self._list.addItem(node.GetSegmentation().GetNthSegment(number).GetName())

    def segmentationNode(self):
        return self._logic.GetSegmentationNode() if self.mrmlSegmentEditorNode() else None

    def setSourceVolumeNode(self, node):
        if self.mrmlSegmentEditorNode() is not None:
            self._logic.SetSourceVolumeNode(node)

    def sourceVolumeNode(self):
        return self._logic.GetSourceVolumeNode() if self.mrmlSegmentEditorNode() else None

    def setMaximumNumberOfUndoStates(self, count):
        self._logic.SetMaximumNumberOfUndoStates(count)

    def setSwitchToSegmentationsButtonVisible(self, isVisible):
        pass

    def setActiveEffect(self, effect):
        pass

    def updateWidgetFromMRML(self):
        self.setSegmentationNode(self.segmentationNode())

    def setupViewObservations(self):
        self._hasViews = True

    def removeViewObservations(self):
        self._hasViews = False

    def installKeyboardShortcuts(self, parent=None):
        self._hasKeys = True

    def uninstallKeyboardShortcuts(self):
        self._hasKeys = False

    def undo(self):
        self._logic.Undo()

    def redo(self):
        self._logic.Redo()

    # What no application has: a stroke of a brush, for the tests

    def paint(self, segmentName: str, mask_kji: np.ndarray, ijk_to_ras: np.ndarray) -> None:
        """Replace a segment as an effect does at the end of a stroke: undo brings it back."""
        self._logic.SaveStateForUndo()
        segmentation = self.segmentationNode()
        segmentId = segmentation.GetSegmentation().GetSegmentIdBySegmentName(segmentName)
        logic = slicer.vtkSlicerSegmentationsModuleLogic
        image = oriented_image(mask_kji.astype(np.uint8), ijk_to_ras)
        logic.SetBinaryLabelmapToSegment(
            image, segmentation, segmentId, logic.MODE_REPLACE, image.GetExtent()
        )
