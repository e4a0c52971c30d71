"""The data that the text header of an NRRD or MetaImage file describes: their place and number.

ITK takes memory for what a header promises before it looks for the data, opens any file that a
header names, and returns a part where packed data are torn. So this is checked before ITK reads.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from AnatoMaskGANLib.volumes.errors import VolumeError
from AnatoMaskGANLib.volumes.packed_size import check_unpacked_size

# Fields that say what data there is; said twice, the first one or the last one may count.
_DATA_KEYS = (
    {"type", "dimension", "sizes", "encoding", "data file", "datafile", "byte skip", "byteskip"}
    | {"line skip", "lineskip", "ndims", "dimsize", "elementtype", "elementnumberofchannels"}
    | {"compresseddata", "compresseddatasize", "elementdatafile", "headersize"}
)
_LOCAL = ("local", "")
_LONGEST_NAME = 256
_MOST_SIZES = 16
"""The most dimensions that an NRRD file may have; no MetaImage file has more."""


def check_data(path: Path, lines: Sequence[tuple[str, str]], size_of_header: int) -> None:
    """Raises VolumeError for data that lie outside the header's folder, are fewer than promised, or
    are torn where they are packed.

    lines: keys in lower case and values of the header. What a header leaves out, or says in an
    unknown way, ITK itself refuses.
    """
    header: dict[str, str] = {}
    for key, text in lines:
        if key in _DATA_KEYS and key in header:
            raise VolumeError(
                f"{path} has the entry {key!r} twice in its header; expected it once. It "
                "is damaged; export it again."
            )
        header[key] = text
    detached = named_data_file(path, header)
    data_file, offset = (path, size_of_header) if detached is None else (detached, 0)
    # As ITK does, take the digits whatever else stands behind them.
    sizes = re.findall(r"\d{1,18}", header.get("sizes", header.get("dimsize", "")))
    if not sizes or not data_file.is_file():
        return  # ITK says what is wrong
    if len(sizes) > _MOST_SIZES:
        raise VolumeError(
            f"{path} has {len(sizes)} sizes in its header; expected three. It is damaged; export "
            "it again."
        )
    num_values = math.prod(map(int, sizes)) * _number(header.get("elementnumberofchannels"), 1)
    packing = header.get("encoding", "raw").lower()
    is_packed = packing.startswith("gz") or header.get("compresseddata", "")[:1] in ("T", "t", "1")
    there = data_file.stat().st_size - offset
    is_text = packing in ("txt", "text", "ascii") or header.get("binarydata", "")[:1] in ("F", "f")
    size_of_value = 1 if is_text else _bytes_of(header.get("type", header.get("elementtype", "")))
    if is_packed:
        said = _number(header.get("compresseddatasize"), 0)
        num_packed = said if said > 0 and "elementdatafile" in header else None
        check_unpacked_size(data_file, offset, num_values * size_of_value, num_packed)
        _check_packed(path, header, there)
        if "elementdatafile" in header and detached is None and num_packed is None:
            raise VolumeError(
                f"{path} has packed data behind its header, but no CompressedDataSize that says "
                "how many bytes they are, without which ITK reads other bytes of its memory; "
                "expected it. Save the file again with Slicer or SimpleITK, or add the line to its "
                "header."
            )
    elif num_values * size_of_value > max(0, there - _skipped(header)):
        raise VolumeError(
            f"{path} cannot be read: its header promises {' x '.join(sizes)} voxels, but only "
            f"{there} bytes follow. It is damaged or truncated; copy or export it again."
        )


def named_data_file(path: Path, header: Mapping[str, str]) -> Path | None:
    """The data file that a header names, in the header's folder or below; None if the data follow
    the header.

    header: values by their keys in lower case. Raises VolumeError for a name that leads elsewhere,
    for several names, and for a file that is not there.
    """
    named = header.get("elementdatafile", header.get("data file", header.get("datafile", "LOCAL")))
    return None if named.lower() in _LOCAL else _beside(path, named)


def _beside(path: Path, named: str) -> Path:
    if named.upper().startswith("LIST") or "%" in named:
        raise VolumeError(
            f"{path} names several data files ({named[:80]}); expected one. Save it as a "
            "single file, such as .nrrd."
        )
    folder = path.parent.resolve()
    is_name = 0 < len(named) < _LONGEST_NAME and "\0" not in named
    data_file = (folder / named).resolve() if is_name else folder
    if not is_name or folder not in data_file.parents:
        raise VolumeError(
            f"{path} names the data file {named[:80]!r}; expected one in its own folder. "
            "Put header and data into one folder, or save both as a single file, such as "
            ".nrrd."
        )
    if not data_file.is_file():
        raise VolumeError(
            f"{path} cannot be read: its data file {named} does not exist. Put it next to "
            "the header."
        )
    return data_file


def _check_packed(path: Path, header: dict[str, str], there: int) -> None:
    """Raises VolumeError where ITK would look for packed data elsewhere than `check_data`."""
    for key in ("line skip", "lineskip", "headersize"):
        if _number(header.get(key), 0) != 0:
            raise VolumeError(
                f"{path} has {key!r}: {header[key][:20]} in its header, and its data are "
                "compressed; expected compressed data without a part to skip. Save it as "
                "a single file, such as .nrrd."
            )
    said = _number(header.get("compresseddatasize"), 0)
    if said > there:
        raise VolumeError(
            f"{path} cannot be read: its header promises {said} bytes of compressed data, "
            f"but only {there} follow. It is damaged or truncated; copy or export it "
            "again."
        )


def _skipped(header: dict[str, str]) -> int:
    """Bytes before the first value of data that are not packed."""
    keys = ("headersize", "byte skip", "byteskip")
    return max(0, *(_number(header.get(key), 0) for key in keys))


def _number(text: str | None, otherwise: int) -> int:
    """The whole number that a text begins with; `otherwise` if it begins with none."""
    found = re.match(r"[+-]?\d{1,18}", text or "")
    return int(found[0]) if found else otherwise


def _bytes_of(name: str) -> int:
    """The fewest bytes that a value of an NRRD or MetaImage type has."""
    name = name.lower()
    if "long long" in name or "longlong" in name or "64" in name or "double" in name:
        return 8
    if "long_long" in name:
        return 8
    if "short" in name or "16" in name:
        return 2
    if "char" in name or re.search(r"int8(_t)?$", name):
        return 1
    return 4 if re.search(r"int|float|long|32", name) else 1
