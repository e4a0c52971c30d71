"""Names that MITK notes in the NRRD header of a segmentation: as JSON, in older versions as XML.

One image with one group of labels is read; with several groups, layers of their own, values can
mean two things.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

from AnatoMaskGANLib.volumes.errors import VolumeError
from AnatoMaskGANLib.volumes.label_name_tables import names_of_json

_logger = logging.getLogger(__name__)

_GROUPS_KEY = re.compile(r"(?:org[._])?mitk[._]multilabel[._]segmentation[._]labelgroups")
_LAYER_KEY = re.compile(r"(?:org[._]mitk[._])?layer[._]?\d+", re.IGNORECASE)


def names_of_mitk(path: Path, header: Mapping[str, str]) -> dict[int, str]:
    """Label value to name; empty for a file of another program or with several groups of labels."""
    names: dict[int, str] = {}
    for key, text in header.items():
        if _GROUPS_KEY.fullmatch(key):
            names = _of_groups(path, text)
        elif _LAYER_KEY.fullmatch(key) and "<" in text and not names:
            names = _of_xml(path, text)
    return names


def _of_groups(path: Path, text: str) -> dict[int, str]:
    try:
        groups = json.loads(text)
        if isinstance(groups, list) and len(groups) > 1:
            _logger.warning(
                "%s has %d groups of labels; their names are not read", path, len(groups)
            )
            return {}
        return names_of_json(path, groups)
    except (ValueError, RecursionError, VolumeError) as error:
        _logger.warning("%s: MITK's names in its header are damaged (%s)", path, error)
        return {}


def _of_xml(path: Path, text: str) -> dict[int, str]:
    if "<!" in text:  # entities, which could unpack to more than memory holds
        return {}
    try:
        labels = ElementTree.fromstring(text).iter("Label")
    except ElementTree.ParseError as error:
        _logger.warning("%s: MITK's names in its header are damaged (%s)", path, error)
        return {}
    names = {}
    for label in labels:
        value = label.get("value") or _property(label, "value")
        name = label.get("name") or _property(label, "name")
        if value.isdecimal() and 0 < int(value) < 10**18 and name:
            names[int(value)] = name
    return names


def _property(label: ElementTree.Element, key: str) -> str:
    """The value of <property key="name" ...><string value="liver"/></property>."""
    for entry in label.iter("property"):
        if entry.get("key") == key and len(entry):
            return entry[0].get("value", "")
    return ""
