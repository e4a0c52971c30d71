"""What a synthetic volume is made from; written on the volume, so that it can be made again."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .parameter_node import AnatoMaskGANParameterNode, UnmatchedSegments
from .segment_match import takenSegmentIDs

SEGMENTATION_ROLE = "AnatoMaskGAN.Segmentation"
REFERENCE_ROLE = "AnatoMaskGAN.Reference"
SCALAR_VOLUME_CLASS = "vtkMRMLScalarVolumeNode"


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

    def check(self) -> None:
        """Raises ValueError for whatever can be refused before the segmentation is read."""
        node, reference = self.segmentationNode, self.referenceVolume
        if node is None or not node.IsA("vtkMRMLSegmentationNode"):
            raise ValueError(f"Expected a segmentation node, got {node}. Select one.")
        if self.unmatched not in {choice.value for choice in UnmatchedSegments}:
            raise ValueError(f"unmatched is {self.unmatched!r}; expected 'stop' or 'background'.")
        if reference is not None and not reference.IsA(SCALAR_VOLUME_CLASS):
            kind = reference.GetClassName()
            raise ValueError(f"Expected a scalar volume node, got a {kind}. Select one.")

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


def sourceOfPanel(parameterNode: AnatoMaskGANParameterNode) -> VolumeSource:
    """What the panel's settings say a volume is to be made from."""
    return VolumeSource(
        parameterNode.inputSegmentation,
        parameterNode.referenceVolume,
        takenSegmentIDs(parameterNode),
        dict(parameterNode.userLabels.items()),
        parameterNode.unmatched.value,
    )


def sourceOfVolume(volumeNode, record: Mapping[str, str]) -> VolumeSource:
    """The source of a synthetic volume by its record; ValueError when it is not there any more."""
    segmentationNode = volumeNode.GetNodeReference(SEGMENTATION_ROLE)
    if segmentationNode is None:
        name = record.get("Segmentation", "")
        raise ValueError(
            f"The segmentation {name!r} that {volumeNode.GetName()!r} was made from is "
            "not in the scene. Load the scene that contains both."
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


def unchangedSource(volumeNode, record: Mapping[str, str], card) -> VolumeSource:
    """The source of a synthetic volume, from which the same voxels can be made again.

    card: of the model that the record names, None when it is not installed. Raises ValueError when
    the model or the segmentation is another one now, or is not there any more.
    """
    name, source = volumeNode.GetName(), sourceOfVolume(volumeNode, record)
    if card is None or card.sha256 != record["ModelSHA256"]:
        found = (
            "it is not installed" if card is None else f"the installed one has {card.sha256[:8]}"
        )
        raise ValueError(
            f"{name!r} was made by the model {record['Model']!r} with the SHA-256 "
            f"{record['ModelSHA256'][:8]}..., but {found}. Install that model."
        )
    if source.labelMapExport().label_map.sha256() != record["LabelMapSHA256"]:
        raise ValueError(
            f"{name!r} cannot be made again: the segmentation "
            f"{source.segmentationNode.GetName()!r} or its grid has changed since then. "
            "Undo the edits, or press Synthesize for a volume of the present segmentation."
        )
    return source
