"""Checks text headers of NRRD and MetaImage files for errors that ITK ignores, such as NaN."""

from __future__ import annotations

import re
from pathlib import Path

from AnatoMaskGANLib.volumes.errors import VolumeError
from AnatoMaskGANLib.volumes.header_data import check_data, named_data_file

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
_SUFFIXES = (".nrrd", ".nhdr", ".mha", ".mhd")


def check_text_header(path: Path) -> None:
    """Raises VolumeError for a NaN in the geometry, an overlong field, and data as `check_data`.

    ITK takes 0 for the first. It writes beyond its memory where a number has thousands of digits
    or a MetaImage too many dimensions.
    """
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
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
                f"{path} has NDims = {text[:20]} in its header; expected 3. It is damaged "
                "or not a volume; export it again."
            )
    check_data(path, lines, size_of_header)


def data_file_of(path: Path) -> Path | None:
    """The detached data file that the header of an NRRD or MetaImage file names; None if there is
    none.

    Raises VolumeError for a name that reading refuses, OSError for a file that cannot be opened.
    """
    if path.suffix.lower() not in _SUFFIXES:
        return None
    return named_data_file(path, header_of(path))


def header_of(path: Path) -> dict[str, str]:
    """Keys in lower case and values of the header of an NRRD or MetaImage file.

    Raises OSError for a file that cannot be opened.
    """
    lines, _ = _header_of(path)
    return dict(lines)


def _header_of(path: Path) -> tuple[list[tuple[str, str]], int]:
    """Keys in lower case and values of the lines up to the data, and the length of them all."""
    is_metaimage = path.suffix[1:2].lower() == "m"  # its header goes on after an empty line
    separators = "=:" if is_metaimage else ":"
    lines: list[tuple[str, str]] = []
    size = 0
    with open(path, "rb") as file:
        while size < _LONGEST_HEADER:
            line = file.readline(_LONGEST_HEADER)
            size += len(line)
            text = line.decode("utf-8", "replace").strip()
            if not line or (not text and not is_metaimage):
                break
            found = min((text.find(s) for s in separators if s in text), default=-1)
            key, value = text[:found], text[found + 1 :]
            key = key.strip().lower()
            if found >= 0:
                lines.append((key, value.strip()))
            elif len(text) > _LONGEST_FIELD:  # the reader's message about it overruns as well
                lines.append((text[:20], text))
            if key == "elementdatafile":
                break
    return lines, size
