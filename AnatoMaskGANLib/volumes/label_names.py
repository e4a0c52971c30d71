"""Names of label values from a JSON file: {"1": "Left-Cerebral-White-Matter", ...}."""

from __future__ import annotations

import json
from pathlib import Path

from AnatoMaskGANLib.volumes.errors import VolumeError
from AnatoMaskGANLib.volumes.label_table import label_table_path

_LONGEST_VALUE = 19  # digits of a 64-bit number

NAMES_FILE = "labels.json"
"""The file beside a label map, or one folder up beside its case, that names its values."""


def read_label_names(name_or_path: str | Path) -> dict[int, str]:
    """Label value to name, of a JSON file or a bundled label table ("freesurfer-aseg").

    Raises VolumeError if there is none or if it does not hold names for whole numbers.
    """
    path = label_table_path(name_or_path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise VolumeError(
            f"The label names {path} cannot be read: {error}. Expected a JSON file like "
            '{"1": "liver", "2": "spleen"}.'
        ) from error
    names: dict[int, str] = {}
    entries = content.get("labels") if isinstance(content, dict) else None
    if isinstance(entries, dict):  # a label table
        content = entries
    if not isinstance(content, dict):
        raise VolumeError(
            f"The label names {path} hold a {type(content).__name__}; expected an object like "
            '{"1": "liver", "2": "spleen"}.'
        )
    for key, name in content.items():
        is_value = key.strip().isdecimal() and len(key) <= _LONGEST_VALUE
        if not (is_value and isinstance(name, str) and name.strip()):
            raise VolumeError(
                f"The label names {path} have the entry {key!r:.99}: {name!r:.99}; "
                'expected a whole number and a name, such as "1": "liver".'
            )
        names[int(key)] = name
    return names


def names_file_beside(path: Path) -> Path | None:
    """The `labels.json` in the folder of a label map or one above; None if there is none."""
    for folder in path.resolve().parents[:2]:
        if (folder / NAMES_FILE).is_file():
            return folder / NAMES_FILE
    return None
