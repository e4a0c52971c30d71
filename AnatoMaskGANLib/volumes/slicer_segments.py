"""Segments as Slicer notes them in NRRD headers (.seg.nrrd): label value, name, terminology, layer.

The keys are those of Slicer's segmentation storage: Segment0_Name, Segment0_LabelValue and so on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from AnatoMaskGANLib.volumes.errors import VolumeError
from AnatoMaskGANLib.volumes.terminology import code_of_terminology_entry, terminology_entry

_SEGMENT_KEY = re.compile(r"Segment(\d{1,9})_(ID|Name|NameAsJSON|LabelValue|Layer|Tags)")


@dataclass(frozen=True)
class Segment:
    """One segment as the header describes it."""

    name: str
    value: int
    """The value of its voxels within its layer."""
    layer: int
    code: str
    """Terminology code, "" if there is none."""


def segments_of(header: Mapping[str, str], num_layers: int) -> tuple[Segment, ...]:
    """The segments of a header in their order; none if the file is no Slicer segmentation.

    One without a layer is in the layer of its number, as in files of Slicer's older versions.
    """
    fields: dict[int, dict[str, str]] = {}
    for key, text in header.items():
        match = _SEGMENT_KEY.fullmatch(key)
        if match:
            fields.setdefault(int(match[1]), {})[match[2]] = text
    segments = []
    for index, segment in sorted(fields.items()):
        value = segment.get("LabelValue", "1")
        layer = segment.get("Layer", "0" if num_layers == 1 else str(index))
        if not (_is_number(value) and _is_number(layer)):
            continue
        name = _name_of(segment)
        code = _code_of_tags(segment.get("Tags", ""))
        segments.append(Segment(name, int(value), int(layer), code))
    return tuple(segments)


def check_segments(path: Path, segments: Sequence[Segment], num_layers: int) -> None:
    """Raises VolumeError for a layer that is not there, and for two segments of one layer with one
    value."""
    seen: dict[tuple[int, int], Segment] = {}
    for segment in segments:
        if segment.layer >= num_layers:
            raise VolumeError(
                f"{path} has {num_layers} {'layer' if num_layers == 1 else 'layers'}, but "
                f"segment {segment.name!r} belongs to layer {segment.layer}, which does "
                "not exist. The file is damaged; save it again."
            )
        other = seen.setdefault((segment.layer, segment.value), segment)
        if other is not segment:
            raise VolumeError(
                f"{path} has the segments {other.name!r} and {segment.name!r} with the "
                f"same label value, {segment.value}, in the same layer; expected a "
                "different value for each. The file is damaged; save the segmentation "
                "again."
            )


def keys_of(
    names: Mapping[int, str], codes: Mapping[int, str], only_ascii: bool = False
) -> dict[str, str]:
    """Header keys that name the values of a label map, for `segments_of` and for Slicer.

    only_ascii: for headers that lose other characters and spaces at the ends; what a name loses
    stands in a key of this project, which Slicer passes over.
    """
    keys: dict[str, str] = {}
    for index, (value, name) in enumerate(sorted(names.items())):
        spelling = _in_ascii(name) if only_ascii else name
        keys[f"Segment{index}_ID"] = f"Segment_{value}"
        keys[f"Segment{index}_Name"] = spelling
        if spelling != name:
            keys[f"Segment{index}_NameAsJSON"] = json.dumps(name)
        keys[f"Segment{index}_LabelValue"] = str(value)
        keys[f"Segment{index}_Layer"] = "0"
        if value in codes:
            entry = terminology_entry(codes[value], spelling)
            keys[f"Segment{index}_Tags"] = f"TerminologyEntry:{entry}|"
    return keys


def have_values_of_their_own(segments: Sequence[Segment]) -> bool:
    """Whether no two segments have one value, be it in different layers."""
    return len({segment.value for segment in segments}) == len(segments)


def merged_layers(
    path: Path, layers_kjil: np.ndarray, segments: tuple[Segment, ...]
) -> tuple[np.ndarray, tuple[Segment, ...]]:
    """One label map [K,J,I] of a segmentation with layers, and its segments with their values.

    They keep the values that they have in their layers, unless two share one: then they are
    numbered from 1. Raises VolumeError as `check_segments`, if segments overlap or voxels are of
    no segment, because these would be lost, and for a segment of the value 0, background.
    """
    check_segments(path, segments, layers_kjil.shape[3])
    merged = np.zeros(layers_kjil.shape[:3], dtype=np.int64)
    keep_values = have_values_of_their_own(segments)
    numbered: dict[int, Segment] = {}
    num_claimed = [0] * layers_kjil.shape[3]
    for number, segment in enumerate(segments, start=1):
        if segment.value == 0:
            raise VolumeError(
                f"{path} has the segment {segment.name!r} with the label value 0, which is "
                "background; expected 1 or more. The file is damaged; save it again."
            )
        mask = layers_kjil[..., segment.layer] == segment.value
        num_claimed[segment.layer] += np.count_nonzero(mask)
        covered = merged[mask]
        if covered.any():
            other = numbered[int(covered[covered > 0][0])].name
            raise VolumeError(
                f"In {path} the segments {other!r} and {segment.name!r} overlap in "
                f"{np.count_nonzero(covered)} or more voxels; expected one label for each "
                "voxel. Remove the overlaps and save the segmentation again, or export it "
                "as a label map."
            )
        value = segment.value if keep_values else number
        merged[mask] = value
        numbered[value] = Segment(segment.name, value, 0, segment.code)
    for layer, num_voxels in enumerate(num_claimed):
        _check_all_claimed(path, layers_kjil[..., layer], layer, num_voxels, segments)
    return merged, tuple(numbered.values())


def _check_all_claimed(
    path: Path, layer_kji: np.ndarray, layer: int, num_claimed: int, segments: Sequence[Segment]
) -> None:
    """Raises VolumeError unless every voxel of a layer belongs to a segment or is background."""
    num_lost = np.count_nonzero(layer_kji) - num_claimed
    if num_lost:
        known = [0, *(segment.value for segment in segments if segment.layer == layer)]
        values = np.unique(layer_kji[~np.isin(layer_kji, known)])
        raise VolumeError(
            f"In layer {layer} of {path} {num_lost} voxels have values that belong to no "
            f"segment ({', '.join(f'{value:g}' for value in values[:10])}); expected "
            "every value to belong to a segment of the header. Save the segmentation "
            "again in Slicer, or export it as a label map."
        )


def _name_of(segment: Mapping[str, str]) -> str:
    try:
        name = json.loads(segment.get("NameAsJSON", ""))
    except (ValueError, RecursionError):
        name = None
    return name if isinstance(name, str) else segment.get("Name", segment.get("ID", ""))


def _in_ascii(name: str) -> str:
    """The name with ? for other characters, in one line."""
    return " ".join(name.encode("ascii", "replace").decode("ascii").split())


def _is_number(text: str) -> bool:
    """Whether it is a whole number that 64 bits can hold."""
    return text.strip().isdecimal() and len(text) < 19


def _code_of_tags(tags: str) -> str:
    for tag in tags.split("|"):
        key, _, entry = tag.partition(":")
        if key.strip() == "TerminologyEntry":
            return code_of_terminology_entry(entry)
    return ""
