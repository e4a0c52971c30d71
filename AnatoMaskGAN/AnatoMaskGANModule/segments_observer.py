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
        self._observed = None

    def observe(self, segmentationNode) -> None:
        """Watch this segmentation and no other; None: none."""
        if segmentationNode is self._observed:
            return
        self.removeObservers()
        self._observed = segmentationNode
        if segmentationNode is None:
            return
        displayModified = slicer.vtkMRMLDisplayableNode.DisplayModifiedEvent
        self.addObserver(segmentationNode, displayModified, self._onDisplayModified)
        for event in (
            slicer.vtkSegmentation.SegmentAdded,
            slicer.vtkSegmentation.SegmentRemoved,
            slicer.vtkSegmentation.SegmentModified,
            slicer.vtkSegmentation.SegmentsOrderModified,
        ):
            self.addObserver(segmentationNode.GetSegmentation(), event, self._onSegmentModified)

    def _onSegmentModified(self, caller=None, event=None) -> None:
        self._onSegments()

    def _onDisplayModified(self, caller=None, event=None) -> None:
        self._onDisplay()
