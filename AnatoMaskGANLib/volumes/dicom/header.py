"""Reads what must be known about a DICOM file before GDCM reads it.

GDCM takes gigabytes or minutes for a file of 1 KB whose elements say that they are longer than the
file. So every element is passed once here and has to fit where it stands (DICOM PS3.5, 7 and A).
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from AnatoMaskGANLib.volumes.errors import VolumeError
from AnatoMaskGANLib.volumes.stored_volume import LARGEST_FILE_VOXELS

_MARK = b"DICM"
_IMPLICIT = "1.2.840.10008.1.2"
_DEFLATED_OR_BIG_ENDIAN = ("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2")
_NATIVE = (_IMPLICIT, "1.2.840.10008.1.2.1")
_LONG_FORMS = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN"} | {
    b"UR",
    b"UT",
    b"UV",
}
_SHORT_FORMS = {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS"} | {
    *(b"LO", b"LT", b"PN", b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"),
}
_UNDEFINED = 0xFFFFFFFF
_ITEM, _END_OF_ITEM, _END_OF_SEQUENCE = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_TRANSFER_SYNTAX = 0x00020010
_SERIES, _POSITION, _ORIENTATION, _NUMBER = 0x0020000E, 0x00200032, 0x00200037, 0x00200013
_ROWS, _COLUMNS, _BITS, _SAMPLES = 0x00280010, 0x00280011, 0x00280100, 0x00280002
_FRAMES, _PIXELS = 0x00280008, 0x7FE00010
_SOP_CLASS, _FRAME_GROUPS, _SYNTHETIC = 0x00080016, 0x52009230, 0x0008001C
_DEEPEST = 16
_LONGEST_RECORD = 1 << 20

CREATOR = "ANATOMASKGAN"
"""Who the private elements of this program belong to; it stands at `CREATOR_TAG`."""
CREATOR_TAG, RECORD_TAG = 0x00990010, 0x00991001
_TEXTS = (
    *(_SERIES, _POSITION, _ORIENTATION, _NUMBER, _FRAMES, _SOP_CLASS, _SYNTHETIC),
    CREATOR_TAG,
)
"""The elements that hold the creator and the record, the record as JSON in UTF-8."""
# A packed slice without contrast needs some hundred bytes; more voxels a byte than this has none.
_MOST_VOXELS_A_BYTE = 1 << 14


@dataclass(frozen=True)
class DicomHeader:
    """The elements that are needed to put the slices of a series in order."""

    path: Path
    series: str
    has_pixels: bool
    place_mm: float | None
    """Place of the first voxel along the normal of the slice; None if the file does not say it."""
    number: int
    """Instance Number, 0 if the file does not say it."""
    sop_class: str = ""
    """UID of the kind of object, "" if the file does not say it."""
    has_frame_groups: bool = False
    """Whether it is of the newer kind whose frames each say where they lie."""
    is_synthetic: bool = False
    """Whether it says that some or all of its content was made artificially (Synthetic Data)."""
    record: str = ""
    """What this program noted about a series that it wrote, as JSON; "" for other files."""


class _DamagedError(Exception):
    """An error whose text says what is wrong with a data set."""


def has_dicom_mark(path: Path) -> bool:
    """Whether the mark of DICOM files stands behind their preamble."""
    with open(path, "rb") as file:
        return file.read(132)[128:] == _MARK


def is_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM files do, with their preamble or, as very old ones, without.

    The latter are refused by `read_dicom_header`, and not passed over.
    """
    with open(path, "rb") as file:
        start = file.read(132)
    return start[128:] == _MARK or start[:4] in (b"\2\0\0\0", b"\x08\0\0\0", b"\x08\0\5\0")


def read_dicom_header(path: Path) -> DicomHeader:
    """The header of a DICOM file whose elements all fit.

    Raises VolumeError for a damaged file, for one that is packed as a whole or in big-endian order,
    and for fewer pixels than it promises.
    """
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as all_:
            return _header_of(path, all_)
    except (_DamagedError, OSError, ValueError, struct.error) as error:
        raise VolumeError(
            f"{path} cannot be read: {error}. Expected a complete DICOM file. It is "
            "damaged or of a rare kind; export it again, or convert it to NIfTI."
        ) from error


def position_of(text: str) -> tuple[float, ...]:
    """The three numbers of an Image Position; none if it does not hold them."""
    return _numbers(text, 3)


def _header_of(path: Path, content: mmap.mmap) -> DicomHeader:
    if content[128:132] != _MARK:
        raise _DamagedError("its first bytes are not those of a DICOM file")
    syntax, start = "", 132
    while content[start : start + 2] == b"\2\0":  # the file's own group, always with types
        tag, first, start = next(_elements(content, start, len(content), False, 0))
        if tag == _TRANSFER_SYNTAX:
            syntax = _text(content[first:start])
    if not syntax or syntax in _DEFLATED_OR_BIG_ENDIAN:
        raise _DamagedError(f"its transfer syntax is {syntax or 'missing'}")
    found: dict[int, tuple[int, int]] = {}
    for tag, first, last in _elements(content, start, len(content), syntax == _IMPLICIT, 0):
        if tag in found:
            raise _DamagedError(f"it contains the element {tag:08x} twice")
        found[tag] = (first, last)
    texts = {
        tag: _text(content[slice(*found[tag])])
        for tag in _TEXTS
        if tag in found and found[tag][1] - found[tag][0] < 1000
    }
    if _PIXELS in found:
        _check_pixels(content, found, texts.get(_FRAMES, ""), syntax in _NATIVE)
    position = position_of(texts.get(_POSITION, ""))
    along = _numbers(texts.get(_ORIENTATION, ""), 6)
    number = _numbers(texts.get(_NUMBER, ""), 1)
    return DicomHeader(
        path=path,
        series=texts.get(_SERIES, ""),
        has_pixels=_PIXELS in found and _ROWS in found,
        place_mm=_dot(_cross(along[:3], along[3:]), position) if along and position else None,
        number=int(number[0]) if number else 0,
        sop_class=texts.get(_SOP_CLASS, ""),
        has_frame_groups=_FRAME_GROUPS in found,
        is_synthetic=texts.get(_SYNTHETIC, "").strip(" \0") == "YES",
        record=_record(content, found) if texts.get(CREATOR_TAG) == CREATOR else "",
    )


def _record(content: mmap.mmap, found: dict[int, tuple[int, int]]) -> str:
    first, last = found.get(RECORD_TAG, (0, 0))
    is_usual = last - first <= _LONGEST_RECORD
    return content[first:last].decode("utf-8", "replace").strip("\0 ") if is_usual else ""


def _elements(
    content: mmap.mmap, start: int, end: int, is_implicit: bool, depth: int
) -> Iterator[tuple[int, int, int]]:
    """Tag, first byte and end of every element of a data set; elements of sequences are checked.

    The data set ends after the delimiter of an item where there is one.
    """
    if depth > _DEEPEST:
        raise _DamagedError("its sequences are nested too deeply")
    at = start
    while at < end:
        if end - at < 8 or not any(content[at : at + 8]):
            if any(content[at : min(end, at + 65536)]):
                raise _DamagedError("it ends within an element")
            return  # zeros behind the end
        tag = _tag_at(content, at)
        if tag in (_END_OF_ITEM, _END_OF_SEQUENCE):
            yield tag, at + 8, at + 8
            return
        # The length of an element: 32 bits behind the tag where types are implicit; else behind the
        # type, in 16 bits, or in 32 bits after two that are not used.
        form = content[at + 4 : at + 6]
        is_sequence, inside_implicit = form in (b"SQ", b"UN"), is_implicit or form == b"UN"
        if is_implicit:
            length, first = struct.unpack_from("<I", content, at + 4)[0], at + 8
            is_sequence = length == _UNDEFINED and tag != _PIXELS
        elif form in _LONG_FORMS:
            length, first = struct.unpack_from("<I", content, at + 8)[0], at + 12
        elif form in _SHORT_FORMS:
            length, first = struct.unpack_from("<H", content, at + 6)[0], at + 8
        else:
            raise _DamagedError(f"the element {tag:08x} has the unknown type {form!r}")
        if length == _UNDEFINED:
            if tag == _PIXELS:
                last = _end_of_fragments(content, first, end)
            elif is_sequence:
                last = _end_of_sequence(content, first, end, inside_implicit, depth)
            else:
                raise _DamagedError(f"the element {tag:08x} has no length")
        else:
            last = first + length
            if last > end:
                raise _DamagedError(f"the element {tag:08x} says that it has {length} bytes")
            if form == b"SQ" and not is_implicit:
                _end_of_sequence(content, first, last, False, depth)
        yield tag, first, last
        at = last


def _end_of_sequence(
    content: mmap.mmap, start: int, end: int, is_implicit: bool, depth: int
) -> int:
    """The first byte behind a sequence, whose items are checked."""
    at = start
    while at < end:
        tag, length = _tag_at(content, at), struct.unpack_from("<I", content, at + 4)[0]
        at += 8
        if tag == _END_OF_SEQUENCE:
            return at
        if tag != _ITEM:
            raise _DamagedError(f"a sequence holds the element {tag:08x}")
        last = end if length == _UNDEFINED else at + length
        if last > end:
            raise _DamagedError(f"an item says that it has {length} bytes")
        ends = [stop for _, _, stop in _elements(content, at, last, is_implicit, depth + 1)]
        at = last if length != _UNDEFINED else ends[-1] if ends else at
    return at


def _end_of_fragments(content: mmap.mmap, start: int, end: int) -> int:
    """The first byte behind packed pixels, which lie in fragments."""
    at = start
    while at + 8 <= end:
        tag, length = _tag_at(content, at), struct.unpack_from("<I", content, at + 4)[0]
        at += 8
        if tag == _END_OF_SEQUENCE:
            return at
        if tag != _ITEM or at + length > end:
            break
        at += length
    raise _DamagedError("its compressed pixels are incomplete")


def _check_pixels(
    content: mmap.mmap, found: dict[int, tuple[int, int]], frames: str, is_native: bool
) -> None:
    """Raises _DamagedError for more pixels than there can be."""
    sizes = []
    for tag, otherwise in ((_ROWS, 0), (_COLUMNS, 0), (_SAMPLES, 1), (_BITS, 16)):
        first, last = found.get(tag, (0, 0))
        if last - first not in (0, 2):
            raise _DamagedError(f"the element {tag:08x} has {last - first} bytes")
        sizes.append(struct.unpack_from("<H", content, first)[0] if last > first else otherwise)
    num_frames = _numbers(frames, 1)
    num_values = math.prod(sizes[:3]) * int(num_frames[0] if num_frames else 1)
    there = found[_PIXELS][1] - found[_PIXELS][0]
    possible = there * 8 // max(1, sizes[3]) if is_native else there * _MOST_VOXELS_A_BYTE
    if not 0 < num_values <= min(possible, LARGEST_FILE_VOXELS):
        raise _DamagedError(f"it promises {num_values} values in {there} bytes")


def _tag_at(content: mmap.mmap, at: int) -> int:
    group, element = struct.unpack_from("<HH", content, at)
    return group << 16 | element


def _text(content: bytes) -> str:
    return content.decode("ascii", "replace").strip("\0 ")


def _numbers(text: str, count: int) -> tuple[float, ...]:
    """`count` finite numbers, divided by backslashes in the text; none for any other text."""
    try:
        numbers = tuple(float(part) for part in text.split("\\"))
    except ValueError:
        return ()
    return numbers if len(numbers) == count and all(map(math.isfinite, numbers)) else ()


def _cross(a: tuple[float, ...], b: tuple[float, ...]) -> tuple[float, float, float]:
    return (
        a[1] * b[2] - a[2] * b[1],
        a[2] * b[0] - a[0] * b[2],
        a[0] * b[1] - a[1] * b[0],
    )


def _dot(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))
