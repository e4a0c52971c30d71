"""The segments of one segmentation watched: their node does not tell of their changes."""

from collections.abc import Callable

import slicer
from slicer.util import VTKObservationMixin


class SegmentsObserver(VTKObservationMixin):
    """onSegments: called when segments come, go, move or are renamed; onDisplay: when others of
    them are shown.
    """

    def __init__(self, onSegments: Callable[[], None], onDisplay: Callable[[], None]) -> None:
        VTKObservationMixin.__init__(self)
        self._onSegments, self._onDisplay = onSegments, onDisplay
        self._observed = (None, None)

    def observe(self, segmentationNode) -> None:
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

    def _onSegmentationReplaced(self, caller, event=None) -> None:
        """Others, such as a sequence browser, put another segmentation object into the node."""
        self.observe(caller)
        self._onSegments()

    def _onSegmentModified(self, caller=None, event=None) -> None:
        self._onSegments()

    def _onDisplayModified(self, caller=None, event=None) -> None:
        self._onDisplay()
