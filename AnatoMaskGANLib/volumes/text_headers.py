"""What ITK passes over in NRRD and MetaImage files: places that are NaN, damaged packed data."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Mapping
from pathlib import Path

from .errors import VolumeError
from .nifti_header import LARGEST_DEFLATE_RATIO

# Header lines that say where the volume lies.
_PLACE_KEYS = {
    "offset",
    "position",
    "origin",
    "elementspacing",
    "transformmatrix",
    "orientation",
    "rotation",
    "space origin",
    "space directions",
}
_NOT_A_NUMBER = re.compile(r"\b(nan|inf|infinity)\b", re.IGNORECASE)
_LONGEST_HEADER = 1 << 22
_LONGEST_FIELD = 1000
_LONGEST_NAME = 256
_CHUNK = 1 << 20


def check_text_header(path: Path) -> None:
    """Raises VolumeError for a NaN in the geometry, an overlong field and damaged packed data.

    ITK takes 0 for the first. It writes beyond its memory where a number has thousands of digits
    or a MetaImage too many dimensions, and of one with torn packed data gives whatever it has.
    """
    suffix = path.suffix.lower()
    if suffix not in (".nrrd", ".nhdr", ".mha", ".mhd"):
        return
    lines, size_of_header = _header_of(path)
    for key, text in lines:
        if key in _PLACE_KEYS and _NOT_A_NUMBER.search(text):
            raise VolumeError(
                f"{path} has {key!r}: {text} in its header; expected finite numbers. Repair the "
                "header or export the file again."
            )
        # "key:=value" of NRRD and unknown keys of MetaImage are notes, which may be long
        is_note = text.startswith("=") if suffix in (".nrrd", ".nhdr") else key not in _PLACE_KEYS
        if len(text) > _LONGEST_FIELD and not is_note:
            raise VolumeError(
                f"{path} has {len(text)} characters in the field {key!r:.40} of its header; "
                f"expected at most {_LONGEST_FIELD}. It is damaged; export it again."
            )
        if key == "ndims" and text not in ("2", "3", "4"):
            raise VolumeError(
                f"{path} has NDims = {text[:20]} in its header; expected 3. It is damaged or no "
                "volume; export it again."
            )
    header = dict(lines)
    _check_size(path, header, size_of_header)
    if suffix in (".mha", ".mhd") and header.get("compresseddata", "").lower() == "true":
        data_file = header.get("elementdatafile", "LOCAL")
        if data_file == "LOCAL":
            _check_deflated(path, size_of_header)
        elif (
            len(data_file) < _LONGEST_NAME and (path.parent / data_file).is_file()
        ):  # ITK itself says what is missing
            _check_deflated(path.parent / data_file, 0)


def _header_of(path: Path) -> tuple[list[tuple[str, str]], int]:
    """Keys in lower case and values of the lines up to the data, and the length of them all."""
    separator = "=" if path.suffix[1:2].lower() == "m" else ":"
    lines: list[tuple[str, str]] = []
    size = 0
    with open(path, "rb") as file:
        while size < _LONGEST_HEADER:
            line = file.readline(_LONGEST_HEADER)
            size += len(line)
            text = line.decode("utf-8", "replace").strip()
            if not text:
                break
            key, found, value = text.partition(separator)
            key = key.strip().lower()
            if found:
                lines.append((key, value.strip()))
            elif len(text) > _LONGEST_FIELD:  # the reader's message about it overruns as well
                lines.append((key[:20], text))
            if key == "elementdatafile":
                break
    return lines, size


def _check_size(path: Path, header: Mapping[str, str], size_of_header: int) -> None:
    """Raises VolumeError for more voxels than the rest of the file can hold: ITK takes the memory
    first."""
    packing = header.get("encoding", "raw").lower()
    is_elsewhere = header.get("elementdatafile", "LOCAL") != "LOCAL"
    if is_elsewhere or "data file" in header or "datafile" in header or packing.startswith("bz"):
        return
    is_packed = packing.startswith("gz") or header.get("compresseddata", "").lower() == "true"
    # as ITK does, whatever else stands behind the digits
    sizes = re.findall(r"\d{1,18}", header.get("sizes", header.get("dimsize", "")))
    if not sizes:
        return  # ITK says what is wrong
    num_voxels = math.prod(map(int, sizes))
    num_bytes = path.stat().st_size - size_of_header
    if num_voxels > max(0, num_bytes) * (LARGEST_DEFLATE_RATIO if is_packed else 1):
        raise VolumeError(
            f"{path} cannot be read: its header promises {' x '.join(sizes)} voxels, but only "
            f"{num_bytes} bytes follow. It is damaged or truncated; copy or export it again."
        )


def _check_deflated(path: Path, offset: int) -> None:
    decoder = zlib.decompressobj(wbits=47)  # zlib or gzip, whichever it is
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            while not decoder.eof:
                packed = decoder.unconsumed_tail or file.read(_CHUNK)
                if not packed:
                    raise EOFError("the data ends too early")
                decoder.decompress(packed, _CHUNK)
    except (OSError, EOFError, zlib.error) as error:
        raise VolumeError(
            f"{path} cannot be read: {error}. Expected whole packed data. The file is damaged or "
            "truncated; copy or export it again."
        ) from error
