"""What a synthetic volume is made from; written on the volume, so that it can be made again."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

SEGMENTATION_ROLE = "AnatoMaskGAN.Segmentation"
REFERENCE_ROLE = "AnatoMaskGAN.Reference"


@dataclass(frozen=True)
class VolumeSource:
    """A segmentation, and how its segments become the label map."""

    segmentationNode: Any
    referenceVolume: Any = None
    """Gives the grid; None: the segmentation's own."""
    segmentIDs: Sequence[str] | None = None
    """The segments that are taken; None for all."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Segment name -> label of the model that the user chose, "" for background."""
    unmatched: str = "stop"
    """What becomes of segments that the model does not know: "stop" or "background"."""
    labelValues: Mapping[str, int] | None = None
    """Segment ID -> its value in the label map; None: Slicer's own, which a saved scene renews."""

    def labelMapExport(self) -> Any:
        """The core's `SegmentationExport`; VolumeError when there is no voxel of a segment."""
        from AnatoMaskGANLib.mrml import label_map_from_segmentation

        return label_map_from_segmentation(
            self.segmentationNode, self.referenceVolume, self.segmentIDs, self.labelValues
        )

    def attributes(self, export) -> dict[str, str]:
        """What the volume's record tells of its source, beside the two nodes."""
        labelValues = {entry.segment_id: entry.label_value for entry in export.entries}
        return {
            "Segmentation": self.segmentationNode.GetName(),
            "Segments": json.dumps(labelValues),
            "UserLabels": json.dumps(dict(self.labels)),
            "Unmatched": self.unmatched,
        }

    def linkFrom(self, volumeNode) -> None:
        """Let the volume refer to the nodes that it is made from; scenes keep such references."""
        reference = self.referenceVolume
        volumeNode.SetNodeReferenceID(SEGMENTATION_ROLE, self.segmentationNode.GetID())
        volumeNode.SetNodeReferenceID(REFERENCE_ROLE, reference.GetID() if reference else None)


def sourceOfVolume(volumeNode, record: Mapping[str, str]) -> VolumeSource:
    """The source of a synthetic volume by its record; ValueError when it is not there any more."""
    segmentationNode = volumeNode.GetNodeReference(SEGMENTATION_ROLE)
    if segmentationNode is None:
        name = record.get("Segmentation", "")
        raise ValueError(
            f"The segmentation {name!r} that {volumeNode.GetName()!r} was made from is not in the "
            "scene. Load the scene that holds both."
        )
    labelValues = json.loads(record["Segments"])
    return VolumeSource(
        segmentationNode,
        volumeNode.GetNodeReference(REFERENCE_ROLE),
        list(labelValues),
        json.loads(record["UserLabels"]),
        record["Unmatched"],
        labelValues,
    )
