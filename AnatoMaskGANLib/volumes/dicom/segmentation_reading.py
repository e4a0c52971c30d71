"""A DICOM segmentation object (SEG) as a label map: its segments with names and codes.

Read with pydicom and the frames' own places, since many programs write objects that stricter
readers refuse. The label of a segment is its number.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from AnatoMaskGANLib.volumes.dicom.frames import FrameStack, functional_group, stack_of
from AnatoMaskGANLib.volumes.dicom.reading import damage_in_words, frames_of, open_data_set
from AnatoMaskGANLib.volumes.errors import VolumeError
from AnatoMaskGANLib.volumes.stored_volume import LARGEST_FILE_VOXELS, StoredVolume
from AnatoMaskGANLib.volumes.terminology import TISSUE, is_code

_logger = logging.getLogger(__name__)

BINARY, FRACTIONAL, LABELMAP = "BINARY", "FRACTIONAL", "LABELMAP"

# Segments may overlap by this fraction of the smaller one, its rim, as masks in a folder may.
_LARGEST_OVERLAP = 0.01
_OLD_SNOMED = ("SRT", "SNM3", "99SDM")


def read_segmentation(path: Path) -> StoredVolume:
    """Labels (segment numbers), place, names and codes of a segmentation object.

    A voxel of a fractional object belongs to the segment with the largest fraction of at least
    one half. Raises VolumeError for a kind of object that is not known, for frames that are on no
    grid or of no segment, and for segments that overlap by more than 1 % of the smaller one.
    """
    data_set = open_data_set(path)
    with damage_in_words(path):
        kind = str(getattr(data_set, "SegmentationType", ""))
        if kind not in (BINARY, FRACTIONAL, LABELMAP):
            raise VolumeError(
                f"{path} is a DICOM segmentation of the type {kind or 'none'}; expected "
                f"{BINARY}, {FRACTIONAL} or {LABELMAP}. Export the segmentation again."
            )
        segments = {int(item.SegmentNumber): item for item in data_set.SegmentSequence}
        segments.pop(0, None)  # background, which an object of the type LABELMAP may describe
        num_frames = int(getattr(data_set, "NumberOfFrames", 1))
        stack = stack_of(path, data_set, num_frames)
        shape = (stack.num_slices, int(data_set.Rows), int(data_set.Columns))
        if np.prod(shape, dtype=np.float64) > LARGEST_FILE_VOXELS:
            raise VolumeError(
                f"{path} promises {' x '.join(map(str, shape))} voxels; expected at most "
                f"{LARGEST_FILE_VOXELS:.0e}. It is damaged; export it again."
            )
        if kind == LABELMAP:
            labels = _of_label_map(path, data_set, stack, shape)
        else:
            labels = _Masks(path, data_set, stack, shape).merged(kind == FRACTIONAL)
        _check_segments(path, labels, segments)
        record = {
            "names": {str(n): _name_of(item) for n, item in segments.items() if _name_of(item)},
            "codes": {str(n): _code_of(item) for n, item in segments.items() if _code_of(item)},
        }
    return StoredVolume(labels, stack.ijk_to_ras, record, is_segmentation=True)


def _of_label_map(
    path: Path, data_set: Any, stack: FrameStack, shape: tuple[int, int, int]
) -> np.ndarray:
    if len(set(stack.slice_of_frame)) < len(stack.slice_of_frame):
        raise VolumeError(
            f"{path} has several label frames in the same place; expected one for each slice. "
            "Export the segmentation again."
        )
    labels = np.zeros(shape, dtype=np.uint16)
    for k, frame in zip(stack.slice_of_frame, frames_of(data_set), strict=True):
        labels[k] = frame
    padding = getattr(data_set, "PixelPaddingValue", 0)
    if padding:
        labels[labels == int(padding)] = 0
    return labels


class _Masks:
    """Frames with a segment each, and the label map that they make together."""

    def __init__(
        self, path: Path, data_set: Any, stack: FrameStack, shape: tuple[int, int, int]
    ) -> None:
        self._path, self._data_set, self._stack = path, data_set, stack
        self._labels = np.zeros(shape, dtype=np.uint16)
        self._sizes: Counter[int] = Counter()
        self._shared: Counter[tuple[int, int]] = Counter()

    def merged(self, is_fractional: bool) -> np.ndarray:
        """One label for each voxel; where segments overlap a little, the larger fraction, or else
        the first frame of the file."""
        largest = float(getattr(self._data_set, "MaximumFractionalValue", 255) or 255)
        least = largest / 2 if is_fractional else 0.5
        best = np.zeros_like(self._labels, dtype=np.uint8) if is_fractional else None
        frames = zip(self._stack.slice_of_frame, frames_of(self._data_set), strict=True)
        for number, (k, frame) in enumerate(frames):
            group = functional_group(self._data_set, number, "SegmentIdentificationSequence")
            segment = int(group.ReferencedSegmentNumber)
            is_inside = frame >= least
            there = self._labels[k]
            self._sizes[segment] += int(np.count_nonzero(is_inside))
            for other, count in Counter(there[is_inside & (there > 0)].tolist()).items():
                if other != segment:
                    self._shared[other, segment] += count
            if best is None:
                there[is_inside & (there == 0)] = segment
            else:
                is_better = is_inside & (frame > best[k])
                there[is_better] = segment
                best[k][is_better] = frame[is_better]
        self._judge_overlaps()
        return self._labels

    def _judge_overlaps(self) -> None:
        for (first, second), count in self._shared.items():
            if count > _LARGEST_OVERLAP * min(self._sizes[first], self._sizes[second]):
                raise VolumeError(
                    f"In {self._path} the segments {first} and {second} overlap in {count} "
                    "voxels; expected one label for each voxel. Remove the overlaps in Slicer, or "
                    "export the segments that you need only."
                )
            _logger.warning(
                "%s: %d voxels of segment %d belong to segment %d as well",
                *(self._path, count, second, first),
            )


def _check_segments(path: Path, labels: np.ndarray, segments: Mapping[int, Any]) -> None:
    """Raises VolumeError for voxels of a segment that the object does not describe."""
    strange = sorted(set(np.unique(labels).tolist()) - {0, *segments})
    if strange:
        raise VolumeError(
            f"{path} has voxels of the segments {', '.join(map(str, strange[:10]))}, which it does "
            f"not describe; expected only {', '.join(map(str, list(segments)[:10])) or 'none'}. "
            "Export the segmentation again."
        )


def _name_of(segment: Any) -> str:
    """The segment's label, else its description, else what its code means."""
    kinds = getattr(segment, "SegmentedPropertyTypeCodeSequence", None) or ()
    meanings = [getattr(kind, "CodeMeaning", "") for kind in kinds[:1]]
    texts = [getattr(segment, "SegmentLabel", ""), getattr(segment, "SegmentDescription", "")]
    named = [str(text).strip() for text in (*texts, *meanings) if text]
    return named[0] if named else ""


def _code_of(segment: Any) -> str:
    """The structure's code with its side. As in Slicer's entries, a region is the structure only
    where the type says no more than "tissue"; that alone is no code."""
    kinds = getattr(segment, "SegmentedPropertyTypeCodeSequence", None) or ()
    code = _structure(kinds, "SegmentedPropertyTypeModifierCodeSequence")
    if code.partition("+")[0] in ("", TISSUE):
        regions = getattr(segment, "AnatomicRegionSequence", None) or ()
        code = _structure(regions, "AnatomicRegionModifierSequence")
    return "" if code == TISSUE else code


def _structure(items: Any, modifiers: str) -> str:
    """ "SCT:64033007+SCT:7771000" of a code sequence with its modifiers; "" without a code."""
    if not items:
        return ""
    code = _spelled(items[0])
    sides = getattr(items[0], modifiers, None) or ()
    side = _spelled(sides[0]) if sides else ""
    return f"{code}+{side}" if code and side else code


def _spelled(item: Any) -> str:
    """ "SCT:12738006" of a code; a code of SNOMED's old spelling as today's where that is known."""
    from pydicom.sr.coding import snomed_mapping

    value = str(getattr(item, "CodeValue", "") or getattr(item, "LongCodeValue", "")).strip()
    scheme = str(getattr(item, "CodingSchemeDesignator", "")).strip()
    if scheme in _OLD_SNOMED and value in snomed_mapping["SRT"]:
        scheme, value = "SCT", str(snomed_mapping["SRT"][value])
    code = f"{scheme}:{value}"
    return code if is_code(code) else ""
