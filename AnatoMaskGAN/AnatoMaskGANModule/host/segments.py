"""The segments of one segmentation: shown, watched, and edited by Slicer's Segment Editor."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import qt
import slicer
from slicer.i18n import tr as _
from slicer.util import VTKObservationMixin

if TYPE_CHECKING:
    import ctk


def showSegments(segmentationNode: slicer.vtkMRMLSegmentationNode | None, isShown: bool) -> None:
    """Show or hide all segments in all views; nothing for None."""
    if segmentationNode is not None and segmentationNode.GetDisplayNode() is not None:
        segmentationNode.GetDisplayNode().SetVisibility(isShown)


class SegmentsObserver(VTKObservationMixin):
    """onSegments: called when segments come, go, move or are renamed; onDisplay: when others of
    them are shown.
    """

    def __init__(self, onSegments: Callable[[], None], onDisplay: Callable[[], None]) -> None:
        VTKObservationMixin.__init__(self)
        self._onSegments, self._onDisplay = onSegments, onDisplay
        self._observed: tuple[Any, Any] = (None, None)

    def observe(self, segmentationNode: slicer.vtkMRMLSegmentationNode | None) -> None:
        """Watch this segmentation and no other; None: none."""
        segmentation = segmentationNode.GetSegmentation() if segmentationNode is not None else None
        if (segmentationNode, segmentation) == self._observed:
            return
        self.removeObservers()
        self._observed = (segmentationNode, segmentation)
        if segmentationNode is None:
            return
        replaced = slicer.vtkMRMLSegmentationNode.SegmentationChangedEvent
        self.addObserver(segmentationNode, replaced, self._onSegmentationReplaced)
        displayModified = slicer.vtkMRMLDisplayableNode.DisplayModifiedEvent
        self.addObserver(segmentationNode, displayModified, self._onDisplayModified)
        for event in (
            slicer.vtkSegmentation.SegmentAdded,
            slicer.vtkSegmentation.SegmentRemoved,
            slicer.vtkSegmentation.SegmentModified,
            slicer.vtkSegmentation.SegmentsOrderModified,
        ):
            self.addObserver(segmentation, event, self._onSegmentModified)

    def _onSegmentationReplaced(self, caller: Any, event: Any = None) -> None:
        """Others, such as a sequence browser, put another segmentation object into the node."""
        self.observe(caller)
        self._onSegments()

    def _onSegmentModified(self, caller: Any = None, event: Any = None) -> None:
        self._onSegments()

    def _onDisplayModified(self, caller: Any = None, event: Any = None) -> None:
        self._onDisplay()


EDITOR_TAG = "AnatoMaskGANSegmentEditor"
UNDO_STATES = 10


class SegmentEditorWidgets(Protocol):
    """The widgets of the panel that `SegmentEditorSection` owns."""

    segmentEditorCollapsibleButton: ctk.ctkCollapsibleButton
    segmentEditorLabel: qt.QLabel


class SegmentEditorSection:
    """Made when its section is unfolded for the first time: the editor takes a moment to load."""

    def __init__(self, ui: SegmentEditorWidgets) -> None:
        self._ui = ui
        self._segmentationNode: slicer.vtkMRMLSegmentationNode | None = None
        self._sourceVolume: slicer.vtkMRMLScalarVolumeNode | None = None
        self._isEntered = True
        self.editor: slicer.qMRMLSegmentEditorWidget | None = None
        ui.segmentEditorCollapsibleButton.contentsCollapsed.connect(self._onFolded)

    @property
    def isShown(self) -> bool:
        return not self._ui.segmentEditorCollapsibleButton.collapsed

    def update(
        self,
        segmentationNode: slicer.vtkMRMLSegmentationNode | None,
        sourceVolume: slicer.vtkMRMLScalarVolumeNode | None,
    ) -> None:
        """Edit this segmentation, over this volume; None for none."""
        self._segmentationNode, self._sourceVolume = segmentationNode, sourceVolume
        isThere = segmentationNode is not None
        text = "" if isThere else _("Select a segmentation above.")
        self._ui.segmentEditorLabel.setText(text)
        self._ui.segmentEditorLabel.setVisible(not isThere)
        if self.editor is None or not self.isShown:
            return
        self._observeScene(self.editor)
        self.editor.setVisible(isThere)
        if self.editor.segmentationNode() is not segmentationNode:
            self.editor.setSegmentationNode(segmentationNode)
        if self.editor.sourceVolumeNode() is not sourceVolume:
            self.editor.setSourceVolumeNode(sourceVolume)

    def enter(self) -> None:
        """The user came back to the module."""
        self._isEntered = True
        self._work(self.isShown)

    def exit(self) -> None:
        """The user went to another module, which may use the views' mouse and the keyboard."""
        self._isEntered = False
        self._work(False)

    def forgetScene(self) -> None:
        """The scene is closing: the editor must not hold any of its nodes."""
        self._segmentationNode = self._sourceVolume = None
        if self.editor is not None:
            self.editor.setActiveEffect(None)
            self.editor.setSegmentationNode(None)
            self.editor.setSourceVolumeNode(None)
            self.editor.removeViewObservations()
            self.editor.setMRMLSegmentEditorNode(None)

    def close(self) -> None:
        self._work(False)
        self.forgetScene()

    def _onFolded(self, isFolded: bool) -> None:
        if not isFolded and self.editor is None:
            self.editor = self._made()
        self._work(not isFolded)
        self.update(self._segmentationNode, self._sourceVolume)

    def _made(self) -> slicer.qMRMLSegmentEditorWidget:
        editor = slicer.qMRMLSegmentEditorWidget()
        editor.setMaximumNumberOfUndoStates(UNDO_STATES)
        editor.setMRMLScene(slicer.mrmlScene)
        self._ui.segmentEditorCollapsibleButton.layout().addWidget(editor)
        self._observeScene(editor)
        return editor

    def _observeScene(self, editor: slicer.qMRMLSegmentEditorWidget) -> None:
        """Give the editor its own node; one that a saved scene holds is used again."""
        if editor.mrmlSegmentEditorNode() is not None:
            return
        scene = slicer.mrmlScene
        node = scene.GetSingletonNode(EDITOR_TAG, "vtkMRMLSegmentEditorNode")
        if node is None:
            node = scene.CreateNodeByClass("vtkMRMLSegmentEditorNode")
            node.UnRegister(None)
            node.SetSingletonTag(EDITOR_TAG)
            node = scene.AddNode(node)
        editor.setMRMLSegmentEditorNode(node)

    def _work(self, isWorking: bool) -> None:
        """Take the views' mouse and the keys of the effects, or leave them to others."""
        if self.editor is None:
            return
        if isWorking and self._isEntered:
            self.editor.setupViewObservations()
            self.editor.installKeyboardShortcuts()
            self.editor.updateWidgetFromMRML()
        else:
            self.editor.setActiveEffect(None)
            self.editor.removeViewObservations()
            self.editor.uninstallKeyboardShortcuts()
