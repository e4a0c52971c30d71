"""The segments that are taken, and which label of the model each becomes and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slicer.i18n import tr as _

from AnatoMaskGANModule.parameters import AnatoMaskGANParameterNode, SegmentChoice

if TYPE_CHECKING:
    from AnatoMaskGANLib.mrml import SegmentEntry
    from AnatoMaskGANLib.volumes import LabelTable
    from AnatoMaskGANLib.volumes.label_matching import LabelMatch


@dataclass(frozen=True)
class SegmentMatch:
    """A row of the label table."""

    segmentID: str
    segmentName: str
    color: tuple[float, float, float]
    modelLabel: str
    """Empty for background and for unmatched segments."""
    rule: str
    isTaken: bool = True
    """Whether the segment takes part in the synthesis."""

    @property
    def isUnmatched(self) -> bool:
        return self.rule == "unmatched" and self.isTaken

    @property
    def ruleText(self) -> str:
        texts = {
            "code": _("terminology"),
            "name": _("name"),
            "alias": _("alias"),
            "relative": _("near relative"),
            "value": _("label value"),
            "user": _("your choice"),
            "unmatched": _("unmatched"),
        }
        return texts[self.rule]


def matchedSegments(
    entries: Sequence[SegmentEntry],
    labelTable: LabelTable,
    labels: Mapping[str, str],
    taken: Sequence[SegmentEntry] | None = None,
) -> list[SegmentMatch]:
    """A match for each of the entries.

    taken: the entries of those that take part, numbered by themselves; None for all. They are
    matched without the others, whose names decide whether label values count.
    """
    matches = _matchesByID(entries, labelTable, labels)
    takenIDs = {entry.segment_id for entry in (entries if taken is None else taken)}
    if taken is not None:
        matches |= _matchesByID(taken, labelTable, labels)
    rows = []
    for entry in entries:
        match = matches[entry.segment_id]
        isTaken = entry.segment_id in takenIDs
        row = (entry.segment_id, entry.name, entry.color, match.model_name, match.rule, isTaken)
        rows.append(SegmentMatch(*row))
    return rows


def _matchesByID(
    entries: Sequence[SegmentEntry], labelTable: LabelTable, labels: Mapping[str, str]
) -> dict[str, LabelMatch]:
    """Segment ID to match."""
    from AnatoMaskGANLib.mrml import label_map_of_entries, user_table
    from AnatoMaskGANLib.volumes import match_labels

    if not entries:
        return {}
    userTable = user_table(entries, labels)
    matches = match_labels(label_map_of_entries(entries), labelTable, userTable)
    byValue = {match.value: match for match in matches}
    return {entry.segment_id: byValue[entry.label_value] for entry in entries}


def forgetChoicesOfOthers(parameterNode: AnatoMaskGANParameterNode) -> None:
    """Let another segmentation than before begin with all segments ticked, and by the rules alone.

    Its segments often have the same IDs and names, but nobody has chosen anything for them. What a
    saved scene holds stays.
    """
    segmentationNode = parameterNode.inputSegmentation
    if segmentationNode is None or segmentationNode is parameterNode.choicesOf:
        return
    areOfAnother = parameterNode.areChoicesOwned  # the owner may be removed by now
    parameterNode.choicesOf = segmentationNode
    parameterNode.areChoicesOwned = True
    if areOfAnother:
        parameterNode.leftOutSegments = []
        parameterNode.userLabels = {}


def takenSegmentIDs(parameterNode: AnatoMaskGANParameterNode) -> list[str] | None:
    """IDs of the segments that the panel's choice takes; None for all of them."""
    segmentationNode = parameterNode.inputSegmentation
    segmentIDs = list(segmentationNode.GetSegmentation().GetSegmentIDs())
    if parameterNode.segmentChoice is SegmentChoice.VISIBLE:
        display = segmentationNode.GetDisplayNode()
        return [i for i in segmentIDs if display is None or display.GetSegmentVisibility(i)]
    if parameterNode.segmentChoice is SegmentChoice.CHOSEN:
        leftOut = set(parameterNode.leftOutSegments)
        return [segmentID for segmentID in segmentIDs if segmentID not in leftOut]
    return None
