"""The segments of a segmentation node: their names, codes and values, without their voxels."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import slicer

from AnatoMaskGANLib.volumes import LabelMap, LabelTable, VolumeError
from AnatoMaskGANLib.volumes.terminology import code_of_terminology_entry, terminology_entry

_logger = logging.getLogger(__name__)

# Names that Slicer makes up for segments of a file without names: their value in the file, which
# says nothing of the anatomy.
MADE_UP_NAME = re.compile(r"Segment[ _](\d+)")
# Slicer's terminology of a segment that nobody described: "Tissue".
UNDESCRIBED_CODE = "SCT:85756007"
# Slicer merges segments into signed short voxels.
LARGEST_VALUE = 2**15 - 1


@dataclass(frozen=True)
class SegmentEntry:
    """A segment as the label table lists it, before any voxel is read."""

    segment_id: str
    name: str
    label_value: int
    """The value that its voxels get in the label map."""
    code: str
    """Terminology code, "SCT:12738006"; empty when the segment has none of its own."""
    color: tuple[float, float, float]
    """Red, green and blue in [0, 1]."""


def segment_entries(
    segmentation_node: slicer.vtkMRMLSegmentationNode,
    segment_ids: Sequence[str] | None = None,
    label_values: Mapping[str, int] | None = None,
) -> tuple[SegmentEntry, ...]:
    """The segments in their order, all of them or those asked for.

    A segment keeps the label value it has in the segmentation. When these values are not distinct
    (segments that overlap may share one) or do not fit, all segments are numbered: from 1, or from
    2 where Slicer's made-up names, such as "Segment 1", would become true of the new numbers and
    `names_of` would take these for values of a file. label_values, segment ID to value, takes their
    place. Raises VolumeError on an unknown segment.
    """
    segmentation = segmentation_node.GetSegmentation()
    known_ids = list(segmentation.GetSegmentIDs())
    unknown = sorted(set(segment_ids or ()) - set(known_ids))
    if unknown:
        raise VolumeError(
            f"The segmentation {segmentation_node.GetName()!r} has no segment {unknown[0]!r}; "
            f"its segment IDs are {', '.join(known_ids) or 'none'}. Choose among these."
        )
    chosen = [i for i in known_ids if segment_ids is None or i in segment_ids]
    if label_values is not None:
        values = [label_values[segment_id] for segment_id in chosen]
    else:
        values = [segmentation.GetSegment(segment_id).GetLabelValue() for segment_id in chosen]
    is_distinct = len(set(values)) == len(values)
    if not is_distinct or min(values, default=1) < 1 or max(values, default=1) > LARGEST_VALUE:
        values = list(range(1, len(chosen) + 1))
        entries = _entries_of(segmentation, chosen, values)
        if names_of(entries):
            return entries
        values = [value + 1 for value in values]
    return _entries_of(segmentation, chosen, values)


def _entries_of(
    segmentation: slicer.vtkSegmentation, segment_ids: Sequence[str], values: Sequence[int]
) -> tuple[SegmentEntry, ...]:
    entries = []
    for segment_id, value in zip(segment_ids, values, strict=True):
        segment = segmentation.GetSegment(segment_id)
        name, color = segment.GetName() or segment_id, segment.GetColor()
        entries.append(SegmentEntry(segment_id, name, value, _code_of(segment), color))
    return tuple(entries)


def label_map_of_entries(entries: Sequence[SegmentEntry]) -> LabelMap:
    """A label map with one voxel for each segment.

    It is enough to match labels without reading the segmentation's voxels.
    """
    values = np.array([[[entry.label_value for entry in entries]]], dtype=np.int32)
    return LabelMap(values, np.eye(4), names_of(entries), codes_of(entries))


def user_table(entries: Sequence[SegmentEntry], labels: Mapping[str, str]) -> dict[str, str | None]:
    """The user's choices by segment ID ("" is background), in the form that `match_labels` takes.

    A name that is no segment's ID stands for the first segment that has it; a warning says if
    others have it as well. Choices for segments that are not there are left out: they may belong to
    another segmentation.
    """
    ids = {entry.segment_id for entry in entries}
    chosen: dict[str, str | None] = {}
    named: set[str] = set()
    for entry in entries:
        if entry.segment_id in labels:
            chosen[str(entry.label_value)] = labels[entry.segment_id] or None
        elif entry.name in labels and entry.name not in ids and entry.name not in named:
            named.add(entry.name)
            chosen[str(entry.label_value)] = labels[entry.name] or None
            sharing = [other.segment_id for other in entries if other.name == entry.name]
            if len(sharing) > 1:
                _logger.warning(
                    "the label chosen for %r is that of the first of %d segments of this name; "
                    "choose by segment ID: %s",
                    *(entry.name, len(sharing), ", ".join(sharing)),
                )
    return chosen


def name_segments(
    segmentation_node: slicer.vtkMRMLSegmentationNode,
    table: LabelTable,
    colors: Mapping[str, str],
) -> None:
    """Give the segments of a file without names the name, code and color of their label value.

    colors: name to "#rrggbb"; segments without an entry keep the color they have.
    """
    segmentation = segmentation_node.GetSegmentation()
    for segment_id in segmentation.GetSegmentIDs():
        segment = segmentation.GetSegment(segment_id)
        name = table.labels.get(segment.GetLabelValue())
        if name is None:
            continue
        segment.SetName(name)
        code = table.codes.get(segment.GetLabelValue())
        if code is not None:
            segment.SetTerminology(terminology_entry(code, name))
        if name in colors:
            channels = bytes.fromhex(colors[name].removeprefix("#"))
            segment.SetColor([channel / 255 for channel in channels])


def names_of(entries: Sequence[SegmentEntry]) -> dict[int, str]:
    """Label value to name; none at all when Slicer made all the names up from these very values.

    A segment whose value is another one by now keeps its name, which no model knows: Slicer moves
    values where segments get a layer of their own, so that these values name no anatomy any more.
    """
    if all(_made_up_number(entry.name) == entry.label_value for entry in entries):
        return {}
    return {entry.label_value: entry.name for entry in entries}


def codes_of(entries: Sequence[SegmentEntry]) -> dict[int, str]:
    """Label value to terminology code, of the segments that have one."""
    return {entry.label_value: entry.code for entry in entries if entry.code}


def _made_up_number(name: str) -> int | None:
    made_up = MADE_UP_NAME.fullmatch(name)
    return int(made_up[1]) if made_up else None


def _code_of(segment: slicer.vtkSegment) -> str:
    """The segment's terminology code; empty when nobody described it."""
    code = code_of_terminology_entry(segment.GetTerminology() or "")
    return "" if code == UNDESCRIBED_CODE else code
