"""Converts a segmentation before and after an edit to label maps on the scan's grid, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import slicer
from slicer.i18n import tr as _

if TYPE_CHECKING:
    from AnatoMaskGANLib.volumes import LabelMap


@dataclass(frozen=True, eq=False)
class EditMaps:
    """The two label maps of an edit. A segment has the same value in both."""

    before: LabelMap
    after: LabelMap
    labelValues: dict[str, int]
    """The value of each segment by its ID."""
    numOverlapping: int
    """Number of voxels in more than one segment after the edit. The last segment of the list counts
    there."""

    def remarks(self) -> list[str]:
        """Gives what the user should know of the segments, in whole sentences."""
        if not self.numOverlapping:
            return []
        text = _(
            "Segments overlap in {count} voxels; the segment that is last in the list is used "
            "there."
        )
        return [text.format(count=self.numOverlapping)]


def editMaps(
    scan: slicer.vtkMRMLScalarVolumeNode,
    before: slicer.vtkMRMLSegmentationNode,
    after: slicer.vtkMRMLSegmentationNode,
    labelValues: Mapping[str, int] | None = None,
) -> EditMaps:
    """Gives the segments of both on the scan's grid. Raises VolumeError if none of them lies on it.

    labelValues are those of a provenance, so that the maps are the same again. With None, segments
    are numbered from 1.
    """
    from AnatoMaskGANLib.mrml import labels_on_scan

    values = dict(labelValues or {})
    for node in (before, after):
        for segmentID in node.GetSegmentation().GetSegmentIDs():
            values.setdefault(segmentID, max(values.values(), default=0) + 1)
    mapBefore, _count = labels_on_scan(before, scan, values)
    mapAfter, numOverlapping = labels_on_scan(after, scan, values)
    return EditMaps(mapBefore, _withHolesClosed(mapBefore, mapAfter), values, numOverlapping)


def afterMap(
    scan: slicer.vtkMRMLScalarVolumeNode, after: slicer.vtkMRMLSegmentationNode, maps: EditMaps
) -> LabelMap:
    """Gives the segments as they are now, as a label map that goes with the one before the edit.

    A segment that is new since then gets a value of its own, which `maps` notes.
    """
    from AnatoMaskGANLib.mrml import labels_while_painting

    for segmentID in after.GetSegmentation().GetSegmentIDs():
        maps.labelValues.setdefault(segmentID, max(maps.labelValues.values(), default=0) + 1)
    mapAfter = labels_while_painting(after, scan, maps.labelValues)
    return _withHolesClosed(maps.before, mapAfter)


def _withHolesClosed(before: LabelMap, after: LabelMap) -> LabelMap:
    """Gives the voxels of deleted segments the label that lies nearest in the map after the edit.

    The result is the same as if the segment were removed by a change in words.
    """
    from AnatoMaskGANLib.editing.operations import remove

    for label in sorted(set(before.values) - set(after.values)):
        isHole = (before.labels_kji == label) & (after.labels_kji == 0)
        if isHole.any():
            labels = np.where(isHole, label, after.labels_kji)
            after = remove(replace(after, labels_kji=labels), label)
    return after


def writeSegments(
    segmentationNode: slicer.vtkMRMLSegmentationNode,
    scan: slicer.vtkMRMLScalarVolumeNode,
    maps: EditMaps,
    changed: LabelMap,
) -> None:
    """Write a changed label map into the segments where it differs from `maps.after`.

    Segments that did not change stay as they are, including voxels that other segments hide. A
    label that none of them has becomes a new segment.
    """
    segmentation = segmentationNode.GetSegmentation()
    idOf = {value: segmentID for segmentID, value in maps.labelValues.items()}
    old, new = maps.after.labels_kji, changed.labels_kji
    differs = old != new
    values = set(np.unique(old[differs]).tolist()) | set(np.unique(new[differs]).tolist())
    for value in sorted(values - {0}):
        isNow = differs & (new == value)
        segmentID = idOf.get(value, "")
        if segmentation.GetSegment(segmentID) is None:
            name = changed.names.get(value) or str(value)
            segmentID = segmentation.AddEmptySegment(segmentID, name)
            mask = isNow
        else:
            mask = slicer.util.arrayFromSegmentBinaryLabelmap(segmentationNode, segmentID, scan)
            mask = ((mask != 0) & ~(differs & (old == value))) | isNow
        slicer.util.updateSegmentBinaryLabelmapFromArray(
            mask.astype(np.uint8), segmentationNode, segmentID, scan
        )
