"""The request for a volume: its segments and settings, kept with it so that it can be repeated."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, cast

import slicer
from slicer.i18n import tr as _

from AnatoMaskGANModule.parameters import AnatoMaskGANParameterNode, UnmatchedSegments
from AnatoMaskGANModule.synthesis.segment_match import takenSegmentIDs

if TYPE_CHECKING:
    from AnatoMaskGANLib.mrml import SegmentationExport
    from AnatoMaskGANLib.synthesis import ModelCard, SynthesisOptions
    from AnatoMaskGANLib.synthesis.options import Unmatched
    from AnatoMaskGANLib.volumes import LabelMap, LabelTable

SEGMENTATION_ROLE = "AnatoMaskGAN.Segmentation"
REFERENCE_ROLE = "AnatoMaskGAN.Reference"
SCALAR_VOLUME_CLASS = "vtkMRMLScalarVolumeNode"


@dataclass(frozen=True)
class VolumeSource:
    """A segmentation, and how its segments become the label map."""

    segmentationNode: slicer.vtkMRMLSegmentationNode
    referenceVolume: slicer.vtkMRMLScalarVolumeNode | None = None
    """Gives the grid; None: the segmentation's own."""
    segmentIDs: Sequence[str] | None = None
    """The segments that are taken; None for all."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Segment name -> label of the model that the user chose, "" for background."""
    unmatched: str = "stop"
    """Treatment of segments that the model does not know: "stop" or "background"."""
    labelValues: Mapping[str, int] | None = None
    """Segment ID -> its value in the label map; None: Slicer's own, which a saved scene renews."""

    def check(self) -> None:
        """Raises ValueError for whatever can be refused before the segmentation is read."""
        node, reference = self.segmentationNode, self.referenceVolume
        if node is None or not node.IsA("vtkMRMLSegmentationNode"):
            raise ValueError(f"Expected a segmentation node, got {node}. Select one.")
        if reference is not None and not reference.IsA(SCALAR_VOLUME_CLASS):
            kind = reference.GetClassName()
            raise ValueError(f"Expected a scalar volume node, got a {kind}. Select one.")

    def labelMapExport(self) -> SegmentationExport:
        """The segments as a label map; VolumeError when there is no voxel of a segment."""
        from AnatoMaskGANLib.mrml import label_map_from_segmentation

        return label_map_from_segmentation(
            self.segmentationNode, self.referenceVolume, self.segmentIDs, self.labelValues
        )

    def attributes(self, export: SegmentationExport) -> dict[str, str]:
        """The entries of the volume's provenance about its source, in addition to the two nodes."""
        labelValues = {entry.segment_id: entry.label_value for entry in export.entries}
        return {
            "Segmentation": self.segmentationNode.GetName(),
            "Segments": json.dumps(labelValues),
            "UserLabels": json.dumps(dict(self.labels)),
            "Unmatched": self.unmatched,
        }

    def linkFrom(self, volumeNode: slicer.vtkMRMLScalarVolumeNode) -> None:
        """Let the volume refer to the nodes that it is made from; scenes keep such references."""
        reference = self.referenceVolume
        volumeNode.SetNodeReferenceID(SEGMENTATION_ROLE, self.segmentationNode.GetID())
        volumeNode.SetNodeReferenceID(REFERENCE_ROLE, reference.GetID() if reference else None)


def sourceOfPanel(parameterNode: AnatoMaskGANParameterNode) -> VolumeSource:
    """The source of a volume by the panel's settings."""
    return VolumeSource(
        parameterNode.inputSegmentation,
        parameterNode.referenceVolume,
        takenSegmentIDs(parameterNode),
        dict(parameterNode.userLabels.items()),
        parameterNode.unmatched.value,
    )


def sourceOfVolume(
    volumeNode: slicer.vtkMRMLScalarVolumeNode, provenance: Mapping[str, str]
) -> VolumeSource:
    """The source of a synthetic volume by its provenance; ValueError when it is gone."""
    segmentationNode = volumeNode.GetNodeReference(SEGMENTATION_ROLE)
    if segmentationNode is None:
        name = provenance.get("Segmentation", "")
        raise ValueError(
            f"The segmentation {name!r} that {volumeNode.GetName()!r} was made from is "
            "not in the scene. Load the scene that contains both."
        )
    labelValues = json.loads(provenance["Segments"])
    return VolumeSource(
        segmentationNode,
        volumeNode.GetNodeReference(REFERENCE_ROLE),
        list(labelValues),
        json.loads(provenance["UserLabels"]),
        provenance["Unmatched"],
        labelValues,
    )


def unchangedSource(
    volumeNode: slicer.vtkMRMLScalarVolumeNode,
    provenance: Mapping[str, str],
    card: ModelCard | None,
) -> VolumeSource:
    """The source of a synthetic volume, from which the same voxels can be made again.

    card: of the model that the provenance names, None when it is not installed. Raises ValueError
    when the model or the segmentation is another one now, or is not there any more.
    """
    name, source = volumeNode.GetName(), sourceOfVolume(volumeNode, provenance)
    if card is None or card.sha256 != provenance["ModelSHA256"]:
        found = (
            "it is not installed" if card is None else f"the installed one has {card.sha256[:8]}"
        )
        raise ValueError(
            f"{name!r} was made by the model {provenance['Model']!r} with the SHA-256 "
            f"{provenance['ModelSHA256'][:8]}..., but {found}. Install that model."
        )
    if source.labelMapExport().label_map.sha256() != provenance["LabelMapSHA256"]:
        raise ValueError(
            f"{name!r} cannot be made again: the segmentation "
            f"{source.segmentationNode.GetName()!r} or its grid has changed since then. "
            "Undo the edits, or press Synthesize for a volume of the present segmentation."
        )
    return source


@dataclass(frozen=True)
class SynthesisSettings:
    """The settings for making volumes from any source."""

    model: str
    device: str
    options: SynthesisOptions
    """The core's options, without the user's table, which belongs to one label map."""


@dataclass(frozen=True)
class SynthesisRequest:
    """The request for volumes of one label map, one for each seed."""

    labelMap: LabelMap
    options: SynthesisOptions
    model: str
    device: str


def requestOf(
    source: VolumeSource, export: SegmentationExport, settings: SynthesisSettings
) -> SynthesisRequest:
    """The request for volumes of a source; export: the core's `SegmentationExport` of it."""
    from AnatoMaskGANLib.mrml import user_table

    userTable = user_table(export.entries, source.labels)
    unmatched = cast("Unmatched", source.unmatched)  # the options refuse anything else
    options = replace(settings.options, unmatched=unmatched, user_table=userTable)
    return SynthesisRequest(export.label_map, options, settings.model, settings.device)


def camelCase(name: str) -> str:
    """A name of the core as the panel and scripts spell it: noise_strength is noiseStrength."""
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def samplingNames() -> list[str]:
    """The core's names of the settings that all volumes of a synthesis share."""
    from AnatoMaskGANLib.synthesis.options import SamplingSettings

    return [one.name for one in fields(SamplingSettings)]


def samplingOfPanel(parameterNode: AnatoMaskGANParameterNode) -> dict[str, Any]:
    """These settings as the panel has them, by the names that scripts use.

    A setting of the core is a parameter of the same name, so that a new one needs nothing here.
    """
    values = {name: getattr(parameterNode, name) for name in map(camelCase, samplingNames())}
    return {
        name: value.value if isinstance(value, enum.Enum) else value
        for name, value in values.items()
    }


def settingsOfPanel(parameterNode: AnatoMaskGANParameterNode) -> SynthesisSettings:
    """The settings of one volume as the panel has them."""
    from AnatoMaskGANLib.synthesis.options import SynthesisOptions

    named = samplingOfPanel(parameterNode)
    sampling = {name: named[camelCase(name)] for name in samplingNames()}
    options = SynthesisOptions(seeds=(parameterNode.seed,), **sampling)
    return SynthesisSettings(parameterNode.model, parameterNode.device.value, options)


def settingsOfProvenance(provenance: Mapping[str, str], device: str) -> SynthesisSettings:
    """The settings of the volume with this provenance, on the device that is chosen now."""
    from AnatoMaskGANLib.synthesis.options import SynthesisOptions

    options = SynthesisOptions.from_provenance(provenance)
    return SynthesisSettings(provenance["Model"], device, options)


def unmappedSegments(
    export: SegmentationExport, request: SynthesisRequest, labelTable: LabelTable
) -> list[str]:
    """A sentence for each kind of loss: empty, cut, overlapping and dropped segments.

    export: the core's `SegmentationExport` that the request was made of; labelTable: the model's.
    """
    from AnatoMaskGANLib.volumes import match_labels

    messages = []
    if export.empty_segments:
        names = ", ".join(export.empty_segments)
        messages.append(_("Segments without any voxel on this grid: {names}.").format(names=names))
    for name, count in export.voxels_left_out.items():
        text = _("{count} voxels of {name} are outside the grid and are left out.")
        messages.append(text.format(count=count, name=name))
    if export.num_overlapping_voxels:
        text = _(
            "Segments overlap in {count} voxels; the segment that is last in the list is used "
            "there."
        )
        messages.append(text.format(count=export.num_overlapping_voxels))
    matches = match_labels(request.labelMap, labelTable, request.options.user_table)
    dropped = [match.name for match in matches if match.rule == "unmatched"]
    if dropped and request.options.unmatched == UnmatchedSegments.BACKGROUND.value:
        messages.append(_("Treated as background: {names}.").format(names=", ".join(dropped)))
    return messages
