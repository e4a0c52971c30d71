"""The labels that a model knows: values, names, terminology codes, aliases and swap partners.

Tables are JSON files in Resources/LabelTables, and stand inside every model:

    {"name": "...", "labels": {"1": "Left-Kidney", "2": "Right-Kidney"},
     "codes": {"1": "SCT:64033007+SCT:7771000"}, "aliases": {"1": ["left ren"]},
     "swaps": {"1": 2, "2": 1},
     "relatives": {"kidneys": ["Left-Kidney", "Right-Kidney"], "kidney stone": ["surrounding"]}}

Aliases are other names of a label. Relatives are names of structures that are no label of the
table, with what replaces them: the nearest of some labels, the tissue around them, or background.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from AnatoMaskGANLib.json_text import parse_json
from AnatoMaskGANLib.resources import resources_folder
from AnatoMaskGANLib.volumes.errors import VolumeError
from AnatoMaskGANLib.volumes.label_spelling import normalized_name
from AnatoMaskGANLib.volumes.terminology import is_code

_KEYS = ("name", "description", "labels", "codes", "aliases", "swaps", "relatives", "more_values")

SURROUNDING, BACKGROUND = "surrounding", "background"
"""What a relative may become instead of a label: the tissue around it, or background."""


_ALONE = ((SURROUNDING,), (BACKGROUND,))


@dataclass(frozen=True)
class LabelTable:
    """The label classes of a model.

    Raises VolumeError if two labels share a name, alias or code, or if an entry is of no label.
    """

    name: str
    labels: Mapping[int, str]
    """Value to name, values from 1; 0 is background."""
    codes: Mapping[int, str] = field(default_factory=dict)
    """Value to terminology code, "SCT:64033007+SCT:7771000"."""
    aliases: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    """Value to other names; one that ends in "*" stands for all that begin with it."""
    swaps: Mapping[int, int] = field(default_factory=dict)
    """Value to the value of the other side, which replaces it in a map flipped left to right."""
    description: str = ""
    """What the labels are and where they come from."""
    relatives: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Name of a structure that is no label ("*" at its end as for aliases) to names of labels: each
    of its voxels becomes the nearest one. Or to "surrounding" or "background" alone."""
    more_values: Mapping[int, str] = field(default_factory=dict)
    """Other values that label maps use for a label, to its name; they are no classes of a model."""

    def __post_init__(self) -> None:
        if not self.labels:
            raise self._error("no labels", "at least one")
        for value, name in self.labels.items():
            if value < 1:
                raise self._error(f"the value {value} for {name!r}", "values from 1")
        for kind in ("codes", "aliases", "swaps"):
            for value in getattr(self, kind):
                if value not in self.labels:
                    raise self._error(f"{kind} for the value {value}", "only values of its labels")
        for value, code in self.codes.items():
            if not is_code(code):
                raise self._error(
                    f"the code {code!r} for {self.labels[value]!r}", "one like SCT:10200004"
                )
        for value, partner in self.swaps.items():
            if self.swaps.get(partner) != value or partner == value:
                raise self._error(f"{value} swapped with {partner} but not back", "pairs")
        names = set(self.labels.values())
        for relative, targets in self.relatives.items():
            if not targets or (set(targets) - names and targets not in _ALONE):
                raise self._error(
                    f"{', '.join(targets)!r} for the relative {relative!r}",
                    "names of its labels, or surrounding or background alone",
                )
        for value, name in self.more_values.items():
            if value in self.labels or name not in names:
                raise self._error(
                    f"the further value {value} for {name!r}", "a new value for one of its labels"
                )
        self._check_unique(self.spellings())
        self._check_unique([(code, value) for value, code in self.codes.items()])

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> LabelTable:
        """The table of a JSON object; VolumeError for a wrong key or a value of the wrong type."""
        unknown = [key for key in content if key not in _KEYS]
        if unknown:
            raise VolumeError(
                f"The label table has the key {unknown[0]!r}; expected only {', '.join(_KEYS)}."
            )
        try:
            return cls(
                name=_text(content["name"]),
                labels={v: _text(name) for v, name in _by_value(content["labels"])},
                codes={v: _text(code) for v, code in _by_value(content.get("codes", {}))},
                aliases={
                    v: tuple(_text(alias) for alias in _list(names))
                    for v, names in _by_value(content.get("aliases", {}))
                },
                swaps={v: int(other) for v, other in _by_value(content.get("swaps", {}))},
                description=str(content.get("description", "")),
                relatives={
                    _text(name): tuple(_text(target) for target in _list(targets))
                    for name, targets in content.get("relatives", {}).items()
                },
                more_values={v: _text(n) for v, n in _by_value(content.get("more_values", {}))},
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            if isinstance(error, VolumeError):
                raise
            raise VolumeError(
                f"The label table is damaged ({type(error).__name__}: {error}); expected an "
                'object like {"name": "abdomen", "labels": {"1": "liver"}}.'
            ) from error

    def to_dict(self) -> dict[str, Any]:
        """The JSON object that `from_dict` reads."""
        relatives = {name: list(targets) for name, targets in self.relatives.items()}
        more_values = {str(value): name for value, name in self.more_values.items()}
        return {
            "name": self.name,
            "description": self.description,
            "labels": {str(value): name for value, name in self.labels.items()},
            "codes": {str(value): code for value, code in self.codes.items()},
            "aliases": {str(value): list(names) for value, names in self.aliases.items()},
            "swaps": {str(value): other for value, other in self.swaps.items()},
            **({"relatives": relatives} if relatives else {}),
            **({"more_values": more_values} if more_values else {}),
        }

    def spellings(self) -> list[tuple[str, int]]:
        """All normalized names and aliases with their values; "*" at the end is kept."""
        spellings = [(normalized_name(name), value) for value, name in self.labels.items()]
        for value, aliases in self.aliases.items():
            for alias in aliases:
                ending = " *" if alias.endswith("*") else ""
                spellings.append((normalized_name(alias) + ending, value))
        return spellings

    def relative_of(self, name: str) -> tuple[str, ...]:
        """What replaces a structure that is no label: labels, or "surrounding" or "background"
        alone; empty if the table does not say."""
        normalized = normalized_name(name)
        beginnings = {name: t for name, t in self.relatives.items() if name.endswith("*")}
        for relative, targets in self.relatives.items():
            if relative not in beginnings and normalized == normalized_name(relative):
                return targets
        for relative, targets in beginnings.items():
            if normalized.startswith(normalized_name(relative) + " "):
                return targets
        return ()

    def _check_unique(self, keys: list[tuple[str, int]]) -> None:
        seen: dict[str, int] = {}
        for key, value in keys:
            if seen.setdefault(key, value) != value:
                raise self._error(f"{key!r} for both {seen[key]} and {value}", "one label for each")

    def _error(self, came: str, expected: str) -> VolumeError:
        return VolumeError(f"The label table {self.name!r} has {came}; expected {expected}.")


def load_label_table(name_or_path: str | Path) -> LabelTable:
    """A bundled table by its name ("freesurfer-brain"), or the one in a JSON file.

    Raises VolumeError if there is none of this name, or if the file is damaged.
    """
    path = label_table_path(name_or_path)
    try:
        content = parse_json(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise VolumeError(
            f"The label table {path} cannot be read: {error}. Expected a JSON file."
        ) from error
    if not isinstance(content, dict):
        raise VolumeError(
            f"The label table {path} holds a {type(content).__name__}; expected a JSON object."
        )
    try:
        return LabelTable.from_dict(content)
    except VolumeError as error:
        raise VolumeError(f"{path}: {error}") from error


def label_table_of_model(content: Mapping[str, Any]) -> LabelTable:
    """The table that stands in a model, with the aliases, codes and relatives of the bundled one.

    Only a bundled table of the same name that calls the model's values alike counts, so that what
    is added to a table in Resources reaches the models that were trained with it.
    """
    own = LabelTable.from_dict(content)
    if own.name not in bundled_tables():
        return own
    bundled = load_label_table(own.name)
    if any(bundled.labels.get(value) != name for value, name in own.labels.items()):
        return own
    names = set(own.labels.values())
    return replace(
        own,
        codes={**{v: c for v, c in bundled.codes.items() if v in own.labels}, **own.codes},
        aliases={v: names for v, names in bundled.aliases.items() if v in own.labels},
        relatives={
            **own.relatives,
            **{n: t for n, t in bundled.relatives.items() if set(t) <= names or t in _ALONE},
        },
    )


def bundled_tables() -> dict[str, Path]:
    """Name to file of the tables that come with the program."""
    folder = resources_folder() / "LabelTables"
    return {file.stem: file for file in sorted(folder.glob("*.json")) if "." not in file.stem}


def is_structure_name(name: str) -> bool:
    """Whether a bundled label table has a structure of that name, or of that other name."""
    return normalized_name(name) in _structure_names()


@functools.cache
def _structure_names() -> frozenset[str]:
    tables = map(load_label_table, bundled_tables())
    return frozenset(name for table in tables for name, _ in table.spellings())


def label_table_path(name_or_path: str | Path) -> Path:
    """The file of a bundled table by its name, or the path itself.

    Raises VolumeError if there is neither, with the names of the bundled tables.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    bundled = bundled_tables()
    if str(name_or_path) not in bundled:
        raise VolumeError(
            f"There is no label table {str(name_or_path)!r}; expected the path of a JSON file or "
            f"one of the bundled tables: {', '.join(bundled)}."
        )
    return bundled[str(name_or_path)]


def _by_value(entries: Mapping[Any, Any]) -> list[tuple[int, Any]]:
    """The entries by their whole numbers; ValueError for one that is written in two ways."""
    by_value = [(int(key), entry) for key, entry in entries.items()]
    values = [value for value, _ in by_value]
    twice = next((value for value in values if values.count(value) > 1), None)
    if twice is not None:
        raise ValueError(f"the value {twice} comes twice, spelled in two ways")
    return by_value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise TypeError(f"{value!r} is not a text")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise TypeError(f"{value!r} is not a list")
    return list(value)
