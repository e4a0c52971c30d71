"""The labels that the model learns: a table, a subset of it, and labels that become one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from AnatoMaskGANLib.json_text import parse_json
from AnatoMaskGANLib.preparation.settings import PreparationError
from AnatoMaskGANLib.volumes import (
    LabelMap,
    LabelTable,
    UnmatchedLabelsError,
    apply_matches,
    load_label_table,
    match_labels,
)
from AnatoMaskGANLib.volumes.label_names import read_label_names
from AnatoMaskGANLib.volumes.label_spelling import normalized_name, side_of

# Classes are stored as the table numbers them, unless its largest value would waste classes.
_LARGEST_KEPT_VALUE = 255


@dataclass(frozen=True, eq=False)
class LabelClasses:
    """The classes of a store that the labels of a table become."""

    source: LabelTable
    """The table that the label maps of the archive are matched to."""
    target: LabelTable
    """The classes, as the store and the model name them."""
    class_of: Mapping[int, int]
    """Value of the source table to class; values that are not in it become background."""

    def apply(self, label_map: LabelMap, unmatched: str = "stop") -> LabelMap:
        """The map with classes for labels.

        Labels are matched by code, name and alias, in a map without names by value. Raises
        PreparationError for labels outside the table, unless unmatched is "background", and if no
        chosen label is in the map.
        """
        label_map = self._named(label_map)
        matches = match_labels(label_map, self.source)
        try:
            matched = apply_matches(label_map, matches, unmatched)
        except UnmatchedLabelsError as error:
            raise PreparationError(self._outside(error)) from error
        lookup = np.zeros(max(self.source.labels) + 1, dtype=np.int32)
        for value, chosen in self.class_of.items():
            lookup[value] = chosen
        classes = replace(matched, labels_kji=lookup[matched.labels_kji], names=self.target.labels)
        if not classes.values:
            raise PreparationError(
                f"None of the chosen labels ({', '.join(self.target.labels.values())}) is "
                "in the label map; expected at least one. Choose others, or leave the "
                "case out."
            )
        return classes

    def _outside(self, error: UnmatchedLabelsError) -> str:
        outside = [
            str(match.value)
            if match.name in ("", name_of_value(match.value))
            else f"{match.value} {match.name}"
            for match in error.unmatched
        ]
        return (
            f"The label map has the labels {', '.join(outside[:10])}"
            f"{' and others' if len(outside) > 10 else ''}, which the table {self.source.name!r} "
            "does not have; expected only its labels. Give a --table that has them, or "
            "--unmatched background."
        )

    def _named(self, label_map: LabelMap) -> LabelMap:
        """A map without names with those of the table, so that only values outside it stay
        unmatched."""
        if any(value in label_map.names or value in label_map.codes for value in label_map.values):
            return label_map
        names = {v: name for v, name in self.source.labels.items() if v in label_map.values}
        return replace(label_map, names=names)


def choose_classes(
    table: LabelTable,
    labels: Sequence[int | str] = (),
    merge: Mapping[str, Sequence[int | str]] | None = None,
) -> LabelClasses:
    """The classes of a table: all of it, or the chosen labels and merged groups.

    labels and the members of merge are values or names of the table; labels may also name groups.
    Chosen classes are numbered from 1 in their order; a group that is not chosen by name takes the
    place of its first member. Raises PreparationError for a label that is not in the table, or that
    is asked for twice.
    """
    table = _with_swaps(table)
    groups = _groups_of(table, merge or {})
    if not labels and not groups and max(table.labels) <= _LARGEST_KEPT_VALUE:
        return LabelClasses(table, table, {value: value for value in table.labels})
    chosen = _chosen(table, labels or list(table.labels), groups)
    if labels and len(chosen) < len(labels):
        raise PreparationError(f"labels names a label twice ({labels}); expected each label once.")
    class_of = {v: number for number, members in enumerate(chosen.values(), 1) for v in members}
    return LabelClasses(table, _renumbered(table, chosen, class_of), class_of)


def _groups_of(table: LabelTable, merge: Mapping[str, Sequence[int | str]]) -> dict[str, list[int]]:
    """Name of a merged label to the values of its members in the table.

    Raises PreparationError for a label in two groups, and for a group with the name of a label that
    is not in it.
    """
    groups = {name: [_find(table, member) for member in members] for name, members in merge.items()}
    values = [value for members in groups.values() for value in members]
    if len(set(values)) < len(values):
        raise PreparationError(
            f"merge has a label in two places ({merge}); expected each label in one place."
        )
    value_of = dict(table.spellings())
    for name, members in groups.items():
        value = value_of.get(normalized_name(name))
        if value is not None and value not in members:
            raise PreparationError(
                f"merge makes a label {name!r}, which already is label {value} of the "
                "table; expected a new name."
            )
    return groups


def _chosen(
    table: LabelTable, labels: Sequence[int | str], groups: Mapping[str, list[int]]
) -> dict[str, list[int]]:
    """Name of a class to the values in the table that become it, in the order of the labels.

    A member of a group stands for the whole group; a label that comes twice is in it once.
    """
    group_of = {value: name for name, members in groups.items() for value in members}
    chosen: dict[str, list[int]] = {}
    for label in labels:
        if label in groups:
            chosen[str(label)] = groups[str(label)]
        else:
            value = _find(table, label)
            name = group_of.get(value, table.labels[value])
            chosen[name] = groups.get(name, [value])
    return chosen


def one_sided_labels(classes: LabelClasses) -> list[str]:
    """Chosen labels of one side whose partner is background: a flipped image would not match."""
    swaps = classes.source.swaps
    return [
        classes.source.labels[value]
        for value in classes.class_of
        if value in swaps and swaps[value] not in classes.class_of
    ]


def read_table(name_or_path: str) -> LabelTable:
    """A bundled label table, the one in a JSON file, or label names {"1": "liver"} as a table.

    Raises VolumeError for a file that is neither.
    """
    path = Path(name_or_path)
    if path.is_file():
        try:
            content = parse_json(path.read_bytes())
        except (OSError, ValueError):
            content = None  # load_label_table says what is wrong
        if isinstance(content, dict) and "labels" not in content:
            return LabelTable(path.stem, read_label_names(path))
    return load_label_table(name_or_path)


def table_of_names(name: str, cases: Iterable[Mapping[int, str]]) -> LabelTable:
    """One table of the labels {value: name} of many cases.

    Values are kept if each name has one value everywhere; else names are numbered in the order in
    which they come. Raises PreparationError if there is no label at all.
    """
    names: dict[str, str] = {}
    values: dict[str, set[int]] = {}
    for case in cases:
        for value, label in sorted(case.items()):
            if value < 1:
                continue
            key = normalized_name(label) or label
            names.setdefault(key, label)
            values.setdefault(key, set()).add(value)
    if not names:
        raise PreparationError(
            "No case has a label, so there is no table of labels; expected at least one readable "
            "label map, or --table."
        )
    all_values = [value for found in values.values() for value in found]
    if len(all_values) == len(names) == len(set(all_values)):
        labels = {next(iter(values[key])): label for key, label in names.items()}
    else:
        labels = dict(enumerate(names.values(), start=1))
    return LabelTable(name, dict(sorted(labels.items())))


def name_of_value(value: int) -> str:
    """The name of a label that no file names."""
    return f"label {value}"


def all_named(label_map: LabelMap) -> LabelMap:
    """The map with a name for each of its values, as `table_of_names` gets them."""
    missing = [value for value in label_map.values if not label_map.names.get(value)]
    names = {value: name_of_value(value) for value in missing}
    return replace(label_map, names={**label_map.names, **names}) if names else label_map


def check_named_alike(names_of: Mapping[str, Mapping[int, str]]) -> None:
    """Raises PreparationError if a value has a name in some cases and none in others, because then
    nobody has said whether it means the same in all of them.

    names_of: case name to its labels {value: name}.
    """
    named: dict[int, tuple[str, str]] = {}
    for case, names in names_of.items():
        for value, name in names.items():
            if name != name_of_value(value):
                named.setdefault(value, (case, name))
    for case, names in names_of.items():
        both = [value for value in sorted(names) if names[value] == name_of_value(value)]
        both = [value for value in both if value in named]
        if both:
            listed = ", ".join(f"{value}: {named[value][1]}" for value in both[:10])
            raise PreparationError(
                f"The label map of case {case} has no names for values that other cases "
                f"name (such as {named[both[0]][0]}: {listed}); expected names in all "
                "label maps or in none. Give --table, a JSON file of values and names for "
                "label maps without names, or put such a file, labels.json, next to the "
                "label map."
            )


def _with_swaps(table: LabelTable) -> LabelTable:
    """The table with left-right partners; found by their names where it has none."""
    if table.swaps:
        return table
    by_name = {normalized_name(name): value for value, name in table.labels.items()}
    swaps = {}
    for value, name in table.labels.items():
        side = side_of(name)
        if side:
            other = {"left": "right", "right": "left"}[side]
            partner = by_name.get(other + normalized_name(name).removeprefix(side))
            if partner is not None:
                swaps[value] = partner
    return replace(table, swaps=swaps)


def _renumbered(
    table: LabelTable, chosen: Mapping[str, list[int]], class_of: Mapping[int, int]
) -> LabelTable:
    labels: dict[int, str] = {}
    codes: dict[int, str] = {}
    aliases: dict[int, tuple[str, ...]] = {}
    swaps: dict[int, int] = {}
    for number, (name, members) in enumerate(chosen.items(), start=1):
        labels[number] = name
        if len(members) == 1 and name == table.labels[members[0]]:
            value = members[0]
            codes |= {number: table.codes[value]} if value in table.codes else {}
            aliases |= {number: table.aliases[value]} if value in table.aliases else {}
        partners = {class_of.get(table.swaps.get(value, value), 0) for value in members}
        if len(partners) == 1 and partners <= set(class_of.values()) - {number}:
            swaps[number] = partners.pop()
    swaps = {one: other for one, other in swaps.items() if swaps.get(other) == one}
    return LabelTable(table.name, labels, codes, aliases, swaps, table.description)


def _find(table: LabelTable, label: int | str) -> int:
    """The value of a label given by value or name."""
    if isinstance(label, int) or label.strip().isdecimal():
        if int(label) in table.labels:
            return int(label)
    else:
        spellings = dict(table.spellings())
        exact = [value for value, name in table.labels.items() if name == label]
        if exact or normalized_name(label) in spellings:
            return exact[0] if exact else spellings[normalized_name(label)]
    known = [f"{value} {name}" for value, name in table.labels.items()]
    names = {name: text for text, name in zip(known, table.labels.values(), strict=True)}
    close = [names[name] for name in difflib.get_close_matches(str(label), names, n=3)]
    raise PreparationError(
        f"The table {table.name!r} has no label {label!r}; expected "
        f"{'one such as ' if close else 'one of '}{', '.join(close or known)}."
    )
