"""What is to be made, by whoever runs the model: of which labels, and how."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .parameter_node import AnatoMaskGANParameterNode
from .volume_source import VolumeSource


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
