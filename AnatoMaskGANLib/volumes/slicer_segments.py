"""Segments as Slicer notes them in NRRD headers (.seg.nrrd): label value, name, terminology, layer.

The keys are those of Slicer's segmentation storage: Segment0_Name, Segment0_LabelValue and so on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import VolumeError
from .terminology import code_of_terminology_entry, terminology_entry

_SEGMENT_KEY = re.compile(r"Segment(\d{1,9})_(ID|Name|LabelValue|Layer|Tags)")


@dataclass(frozen=True)
class Segment:
    """One segment as the header tells it."""

    name: str
    value: int
    """The value of its voxels within its layer."""
    layer: int
    code: str
    """Terminology code, "" if there is none."""


def segments_of(header: Mapping[str, str]) -> tuple[Segment, ...]:
    """The segments of a header in their order; none if the file is no Slicer segmentation."""
    fields: dict[int, dict[str, str]] = {}
    for key, text in header.items():
        match = _SEGMENT_KEY.fullmatch(key)
        if match:
            fields.setdefault(int(match[1]), {})[match[2]] = text
    segments = []
    for _, segment in sorted(fields.items()):
        value, layer = segment.get("LabelValue", "1"), segment.get("Layer", "0")
        if not (_is_number(value) and _is_number(layer)):
            continue
        name = segment.get("Name", segment.get("ID", ""))
        code = _code_of_tags(segment.get("Tags", ""))
        segments.append(Segment(name, int(value), int(layer), code))
    return tuple(segments)


def keys_of(names: Mapping[int, str], codes: Mapping[int, str]) -> dict[str, str]:
    """Header keys that name the values of a label map, for `segments_of` and for Slicer."""
    keys: dict[str, str] = {}
    for index, (value, name) in enumerate(sorted(names.items())):
        keys[f"Segment{index}_ID"] = f"Segment_{value}"
        keys[f"Segment{index}_Name"] = name
        keys[f"Segment{index}_LabelValue"] = str(value)
        keys[f"Segment{index}_Layer"] = "0"
        if value in codes:
            entry = terminology_entry(codes[value], name)
            keys[f"Segment{index}_Tags"] = f"TerminologyEntry:{entry}|"
    return keys


def merged_layers(
    path: Path, layers_kjil: np.ndarray, segments: tuple[Segment, ...]
) -> tuple[np.ndarray, tuple[Segment, ...]]:
    """One label map [K,J,I] of a segmentation with layers, its segments numbered from 1.

    Raises VolumeError if segments overlap, because one of them would be lost.
    """
    merged = np.zeros(layers_kjil.shape[:3], dtype=np.int32)
    numbered = []
    for new_value, segment in enumerate(segments, start=1):
        if segment.layer >= layers_kjil.shape[3]:
            raise VolumeError(
                f"{path} has {layers_kjil.shape[3]} layers, but segment {segment.name!r} is said "
                f"to be in layer {segment.layer}. The file is damaged; save it again."
            )
        mask = layers_kjil[..., segment.layer] == segment.value
        covered = merged[mask]
        if covered.any():
            other = numbered[int(covered[covered > 0][0]) - 1].name
            raise VolumeError(
                f"In {path} the segments {other!r} and {segment.name!r} overlap in "
                f"{np.count_nonzero(covered)} voxels or more; expected one label a voxel. Save "
                "the segmentation with overlaps removed, or export it as a label map."
            )
        merged[mask] = new_value
        numbered.append(Segment(segment.name, new_value, 0, segment.code))
    return merged, tuple(numbered)


def _is_number(text: str) -> bool:
    """Whether it is a whole number that 64 bits can hold."""
    return text.strip().isdecimal() and len(text) < 19


def _code_of_tags(tags: str) -> str:
    for tag in tags.split("|"):
        key, _, entry = tag.partition(":")
        if key.strip() == "TerminologyEntry":
            return code_of_terminology_entry(entry)
    return ""
