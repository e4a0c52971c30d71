"""The extensions of a NIfTI header: this project's record, and label names of other programs.

Names are written by Connectome Workbench and TotalSegmentator (a Caret label table, XML) and by
AFNI (a table of values and names inside its own XML).
"""

from __future__ import annotations

import html
import logging
import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from AnatoMaskGANLib.json_text import parse_json
from AnatoMaskGANLib.volumes.nifti_header import NiftiHeader
from AnatoMaskGANLib.volumes.stored_volume import RECORD_KEY

_logger = logging.getLogger(__name__)

_SIZE_OF_HEADER = {1: 348, 2: 540}
_AFNI_PAIR = re.compile(r'"(\d{1,18})"\s+"([^"]*)"')
# Names that tables have for voxels without a label.
_NO_NAMES = ("", "???")


def record_of_nifti(path: Path, header: NiftiHeader, content: bytes) -> Mapping[str, Any]:
    """What this project noted in the file, or the names that another program noted; else empty."""
    texts = list(_extensions(header, content))
    for text in texts:
        if RECORD_KEY in text and "<" not in text[:1]:
            try:
                record = parse_json(text)[RECORD_KEY]
            except (ValueError, TypeError, KeyError, RecursionError):
                _logger.warning(
                    "%s: the entry of this program in its header is damaged and is ignored", path
                )
                return {}
            return record if isinstance(record, dict) else {}
    names: dict[int, str] = {}
    for text in texts:
        names |= _names_in(path, text)
    return {"names": {str(value): name for value, name in names.items()}} if names else {}


def _extensions(header: NiftiHeader, content: bytes) -> Iterator[str]:
    """The texts of all extensions; one of a damaged size ends them."""
    place = _SIZE_OF_HEADER[header.version]
    if header.is_pair or content[place : place + 1] in (b"", b"\0"):
        return
    place += 4
    while place + 8 <= header.bytes_before_voxels:
        size, _ = struct.unpack_from(header.byte_order + "ii", content, place)
        if size < 8 or place + size > header.bytes_before_voxels:
            return
        yield content[place + 8 : place + size].decode("utf-8", "replace").strip("\0 \n\r\t")
        place += size


def _names_in(path: Path, text: str) -> dict[int, str]:
    if "VALUE_LABEL_DTABLE" in text:
        return {
            int(value): name
            for value, name in _AFNI_PAIR.findall(html.unescape(text).replace('\\"', '"'))
            if int(value) > 0 and name not in _NO_NAMES
        }
    # no table declares entities, which could unpack to more than memory holds
    if "LabelTable" not in text or "<!" in text.replace("<![CDATA[", ""):
        return {}
    try:
        tables = ElementTree.fromstring(text).iter("LabelTable")
        labels = [label for table in list(tables)[:1] for label in table.iter("Label")]
    except ElementTree.ParseError as error:
        _logger.warning("%s: the label table in its header is damaged (%s)", path, error)
        return {}
    names = {}
    for label in labels:
        key, name = label.get("Key", ""), (label.text or "").strip()
        if key.isdecimal() and 0 < int(key) < 10**18 and name not in _NO_NAMES:
            names[int(key)] = name
    return names
