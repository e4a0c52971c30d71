"""Label value to name, out of the files in which programs keep it: JSON and tables of text.

JSON: {"1": "liver"} or {"liver": 1} (MAISI's label_dict.json), either also under "labels" (a label
table, nnU-Net's dataset.json), a list of objects with value and name, dcmqi's "segmentAttributes"
and MITK's label groups. Text: FreeSurfer's color LUT, Slicer's .ctbl, ITK-SNAP's descriptions,
Connectome Workbench's lists, and tables with a line of column names (BIDS .tsv, Slicer's .csv).
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from AnatoMaskGANLib.json_text import parse_json
from AnatoMaskGANLib.volumes.errors import VolumeError

_LONGEST_VALUE = 19  # digits of a 64-bit number
_LARGEST_FILE = 64 << 20

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

EXPECTED = (
    'a JSON file like {"1": "liver"} or {"liver": 1}, a color table (FreeSurfer, Slicer, ITK-SNAP) '
    "or a .tsv or .csv table with columns such as index and name"
)

# The names that programs give the columns, in lower case and with letters only.
_VALUE_COLUMNS = (
    "labelvalue",
    "index",
    "value",
    "labelid",
    "id",
    "no",
    "key",
    "label",
    "intensity",
)
_NAME_COLUMNS = (
    "name",
    "labelname",
    "structure",
    "structurename",
    "region",
    "segmentname",
    "label",
)
_VALUE_KEYS = ("value", "labelID", "label_id", "id", "index", "label")
_NAME_KEYS = ("name", "SegmentLabel", "SegmentDescription", "label_name", "label")

# ITK-SNAP: value, color, visibility and the name in quotes; other lists: value and name.
_ITK_SNAP_LINE = re.compile(r'(\d+)(?:\s+[\d.]+){6}\s+"([^"]*)"')
_PLAIN_LINE = re.compile(r"(\d+)[\s:=,;]+(\S.*)")
_LONGEST_LINE = 10_000


def read_name_table(path: Path) -> dict[int, str]:
    """Label value to name of a file in any of the known forms; 0 and its name are left out.

    Raises VolumeError for a file that cannot be read or is of no known form, and for a value with
    two names.
    """
    text = _text_of(path)
    if path.suffix.lower() == ".json" or text.lstrip()[:1] in ("{", "["):
        return _of_json(path, text)
    names = _without_background(path, _pairs_of_text(path, text))
    if not names:
        raise VolumeError(
            f"The label names {path} have no line with a value and a name; expected {EXPECTED}."
        )
    return names


def names_of_json(path: Path, content: Any) -> dict[int, str]:
    """Label value to name of a JSON value in any of the known forms.

    path: for messages. Raises VolumeError as `read_name_table`.
    """
    return _without_background(path, _pairs_of_json(path, content))


def _text_of(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            content = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise VolumeError(
            f"The label names {path} cannot be read: {error}. Expected {EXPECTED}."
        ) from error
    if len(content) > _LARGEST_FILE:
        raise VolumeError(f"The label names {path} are larger than any table; expected {EXPECTED}.")
    for mark, encoding in _BYTE_ORDER_MARKS:
        if content.startswith(mark):
            return content.decode(encoding, "replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _of_json(path: Path, text: str) -> dict[int, str]:
    try:
        content = parse_json(text)
    except (ValueError, RecursionError) as error:
        raise VolumeError(
            f"The label names {path} cannot be read: {error}. Expected {EXPECTED}."
        ) from error
    names = names_of_json(path, content)
    if not (isinstance(content, Mapping) and "more_values" in content):
        _check_one_value_each(path, names)
    return names


def _check_one_value_each(path: Path, names: Mapping[int, str]) -> None:
    """Raises VolumeError for two values with one name, which does not show which value is meant."""
    values: dict[str, int] = {}
    for value, name in names.items():
        if values.setdefault(name.strip().lower(), value) != value:
            raise VolumeError(
                f"The label names {path} call both {values[name.strip().lower()]} and {value} "
                f"{name!r:.99}; expected a name of its own for each. If both are the same "
                'structure, put the second one into "more_values" of a label table.'
            )


def _pairs_of_json(path: Path, content: Any) -> Iterator[tuple[int, str]]:
    if isinstance(content, Mapping):
        more_values = content.get("more_values")  # only a label table has it
        if isinstance(more_values, Mapping) and "labels" in content:
            for key, entry in more_values.items():
                yield from _pair_of(path, key, entry)
        inner = next(
            (content[key] for key in ("labels", "segmentAttributes") if key in content), None
        )
        if isinstance(inner, Mapping | list):
            content = inner
    if isinstance(content, list):
        yield from _pairs_of_list(path, content)
    elif isinstance(content, Mapping):
        for key, entry in content.items():
            yield from _pair_of(path, key, entry)
    else:
        raise VolumeError(
            f"The label names {path} hold a {type(content).__name__}; expected {EXPECTED}."
        )


def _pair_of(path: Path, key: str, entry: Any) -> Iterator[tuple[int, str]]:
    """The pair of an entry either way round; none for a region of several values."""
    if isinstance(entry, list) and entry and all(isinstance(value, int) for value in entry):
        # nnU-Net's regions: a name for several values, which names none of them unless it is alone
        entry = entry[0] if len(entry) == 1 else None
        if entry is None:
            return
    if _is_value(key) and isinstance(entry, str) and entry.strip():
        yield int(key), entry
    elif _is_value(entry) and key.strip() and not _is_value(key):
        yield int(entry), key
    elif _is_value(key) and isinstance(entry, Mapping) and _name_in(entry):
        yield int(key), _name_in(entry)
    else:
        raise VolumeError(
            f"The label names {path} have the entry {key!r:.99}: {entry!r:.99}; expected a whole "
            'number and a name, like "1": "liver" or "liver": 1.'
        )


def _pairs_of_list(path: Path, entries: Sequence[Any]) -> Iterator[tuple[int, str]]:
    for entry in entries:
        if isinstance(entry, list):  # dcmqi keeps a list for each file, MITK one for each group
            yield from _pairs_of_list(path, entry)
            continue
        if isinstance(entry, Mapping) and isinstance(entry.get("labels"), list):
            yield from _pairs_of_list(path, entry["labels"])
            continue
        is_object = isinstance(entry, Mapping)
        value = next(
            (entry[key] for key in _VALUE_KEYS if is_object and _is_value(entry.get(key))), None
        )
        name = _name_in(entry) if is_object else ""
        if value is None or not name:
            raise VolumeError(
                f"The label names {path} have the entry {entry!r:.99}; expected an object with a "
                'whole number and a name, like {"value": 1, "name": "liver"}.'
            )
        yield int(value), name


def _name_in(entry: Mapping[str, Any]) -> str:
    for key in _NAME_KEYS:
        name = entry.get(key)
        if isinstance(name, str) and name.strip() and not _is_value(name):
            return name
    return ""


def _is_value(text: Any) -> bool:
    """Whether it is a whole number that is not negative, as a number or as text."""
    if isinstance(text, bool):
        return False
    if isinstance(text, int):
        return 0 <= text < 10**_LONGEST_VALUE
    return isinstance(text, str) and text.strip().isdecimal() and len(text) <= _LONGEST_VALUE


def _pairs_of_text(path: Path, text: str) -> Iterator[tuple[int, str]]:
    lines = [line for line in text.splitlines() if line.strip()]
    rows = _rows_of_columns(lines)
    if rows is not None:
        yield from rows
        return
    above = ""
    for line in map(str.strip, lines):
        if line.startswith(("#", "//")) or len(line) > _LONGEST_LINE:
            continue
        words = line.split()
        if above and len(words) == 5 and all(map(str.isdecimal, words)):
            # Connectome Workbench: value and color below the name
            value, name, above = words[0], above, ""
        else:
            value, name = _pair_of_line(line, words)
            above = "" if value else line
        if value and len(value) <= _LONGEST_VALUE:
            yield int(value), name


def _pair_of_line(line: str, words: Sequence[str]) -> tuple[str, str]:
    """Value and name in a line; two empty texts if there are none."""
    quoted = _ITK_SNAP_LINE.fullmatch(line)
    if quoted is not None:
        return quoted[1], quoted[2]
    if words and words[0].isdecimal():
        num_colors = 0
        while num_colors < min(4, len(words) - 1) and words[-1 - num_colors].isdecimal():
            num_colors += 1
        name = words[1 : len(words) - num_colors]
        if num_colors >= 3 and name:
            return words[0], " ".join(name).strip("\"'")
    plain = _PLAIN_LINE.fullmatch(line)
    return (plain[1], plain[2].strip("\"'")) if plain is not None else ("", "")


def _rows_of_columns(lines: Sequence[str]) -> list[tuple[int, str]] | None:
    """Value and name of a table that names its columns; None for a file that does not."""
    if not lines:
        return None
    separator = "\t" if "\t" in lines[0] else ";" if ";" in lines[0] else ","
    header = [re.sub("[^a-z]", "", cell.lower()) for cell in lines[0].split(separator)]
    if len(header) < 2 or re.search(r"\d", lines[0].split(separator)[0]):
        return None
    value_column = next((header.index(key) for key in _VALUE_COLUMNS if key in header), None)
    name_column = next(
        (header.index(k) for k in _NAME_COLUMNS if k in header and header.index(k) != value_column),
        None,
    )
    if value_column is None or name_column is None:
        return None
    pairs = []
    try:
        for row in csv.reader(lines[1:], delimiter=separator):
            if len(row) > max(value_column, name_column) and _is_value(row[value_column]):
                pairs.append((int(row[value_column]), row[name_column].strip()))
    except csv.Error:  # a quote without end
        return None
    return pairs


def _without_background(path: Path, pairs: Iterator[tuple[int, str]]) -> dict[int, str]:
    names: dict[int, str] = {}
    for value, name in pairs:
        if value == 0 or not name:
            continue
        if names.setdefault(value, name) != name:
            raise VolumeError(
                f"The label names {path} call the value {value} both {names[value]!r} and "
                f"{name!r}; expected one name for each. Remove one of the two."
            )
    return names
