"""What is to be made: of which segments, and how; kept with the volume, to make it again."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from slicer.i18n import tr as _

from AnatoMaskGANModule.parameters import AnatoMaskGANParameterNode, UnmatchedSegments
from AnatoMaskGANModule.synthesis.segment_match import takenSegmentIDs

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


@dataclass(frozen=True)
class SynthesisSettings:
    """How volumes are made, whatever they are made of."""

    model: str
    device: str = "auto"
    seeds: Sequence[int] = (0,)
    """One volume each."""
    noiseStrength: float = 1.0
    noiseLengthScale: float = 1.0
    """The noise's correlation lengths over those of the training, 0.25 to 4."""


@dataclass(frozen=True)
class SynthesisRequest:
    """One volume a seed, of one label map."""

    labelMap: Any
    """The core's `LabelMap`."""
    settings: SynthesisSettings
    unmatched: str = "stop"
    userTable: Mapping[str, str | None] = field(default_factory=dict)
    """Name or value in the label map -> label of the model that the user chose."""


def requestOf(source: VolumeSource, export, settings: SynthesisSettings) -> SynthesisRequest:
    """The request for volumes of a source; export: the core's `SegmentationExport` of it."""
    from AnatoMaskGANLib.mrml import user_table

    userTable = user_table(export.entries, source.labels)
    return SynthesisRequest(export.label_map, settings, source.unmatched, userTable)


def settingsOfPanel(parameterNode: AnatoMaskGANParameterNode) -> SynthesisSettings:
    """How one volume is made by the panel's settings."""
    return SynthesisSettings(
        parameterNode.model,
        parameterNode.device.value,
        [parameterNode.seed],
        parameterNode.noiseStrength,
        parameterNode.noiseLengthScale,
    )


def settingsOfRecord(record: Mapping[str, str], device: str) -> SynthesisSettings:
    """How the volume with this record was made; the device is of now."""
    return SynthesisSettings(
        record["Model"],
        device,
        [int(record["Seed"])],
        float(record["NoiseStrength"]),
        float(record.get("NoiseLengthScale", "1.0")),
    )


def labelLosses(export, request: SynthesisRequest, labelTable) -> list[str]:
    """A sentence for each kind of loss: empty, cut, overlapping and dropped segments.

    export: the core's `SegmentationExport` that the request was made of; labelTable: the model's.
    """
    from AnatoMaskGANLib.volumes import match_labels

    told = []
    if export.empty_segments:
        names = ", ".join(export.empty_segments)
        told.append(_("Segments without any voxel on this grid: {names}.").format(names=names))
    for name, count in export.voxels_left_out.items():
        text = _("{count} voxels of {name} are outside the grid and are left out.")
        told.append(text.format(count=count, name=name))
    if export.num_overlapping_voxels:
        text = _(
            "Segments overlap in {count} voxels; the segment that is last in the list is used "
            "there."
        )
        told.append(text.format(count=export.num_overlapping_voxels))
    matches = match_labels(request.labelMap, labelTable, request.userTable)
    dropped = [match.name for match in matches if match.rule == "unmatched"]
    if dropped and request.unmatched == UnmatchedSegments.BACKGROUND.value:
        told.append(_("Treated as background: {names}.").format(names=", ".join(dropped)))
    return told
