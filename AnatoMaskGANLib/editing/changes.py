"""Edits of a label map in words, as on the command line: `grow liver by 5 mm`.

    grow NAME by 5 mm              shrink NAME by 5 mm
    resize NAME to 150 %           of its volume
    move NAME by 0,10,-5 mm        to the patient's right, front and top
    remove NAME                    nearest labels take its place; or: remove NAME to NAME
    add NAME at 12,-30,44 with 15 mm      a ball of this diameter about a place in RAS mm
    add NAME in NAME with 15 mm           a ball only inside that label, where it is thickest
    merge NAME + NAME into NAME
    split NAME at superior 30 into NEW    the part beyond a plane: right, anterior or superior

Several numbers with slashes between them, `resize lesion to 50/75/100/150 %`, and `move NAME by
0,10,0 mm in 5 steps` make a series. NAME is a label's name or its value.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from AnatoMaskGANLib.editing import operations
from AnatoMaskGANLib.editing.errors import EditError
from AnatoMaskGANLib.volumes import LabelMap

_NUMBER = r"[+-]?\d+(?:\.\d+)?"
_NUMBERS = rf"(?P<numbers>{_NUMBER}(?:/{_NUMBER})*)"
_PLACE = rf"(?P<place>{_NUMBER}\s*,\s*{_NUMBER}\s*,\s*{_NUMBER})"
_PATTERNS = {
    "grow": rf"grow (?P<name>.+?) by {_NUMBERS} ?mm",
    "shrink": rf"shrink (?P<name>.+?) by {_NUMBERS} ?mm",
    "resize": rf"resize (?P<name>.+?) to {_NUMBERS} ?%",
    "move": rf"move (?P<name>.+?) by {_PLACE} ?mm(?: in (?P<steps>\d+) steps)?",
    "remove": r"remove (?P<name>.+?)(?: to (?P<other>.+))?",
    "add": rf"add (?P<name>.+?) (?:at {_PLACE}|in (?P<other>.+)) with {_NUMBERS} ?mm",
    "merge": r"merge (?P<name>.+) into (?P<other>.+)",
    "split": rf"split (?P<name>.+?) at (?P<axis>right|anterior|superior) (?P<at>{_NUMBER}) "
    r"into (?P<other>.+)",
}
_AXES = ("right", "anterior", "superior")
_EXAMPLES = (
    "grow NAME by 5 mm, shrink NAME by 5 mm, resize NAME to 150 %, move NAME by 0,10,-5 mm, "
    "remove NAME, add NAME at 12,-30,44 with 15 mm, add NAME in NAME with 15 mm, "
    "merge NAME + NAME into NAME, split NAME at superior 30 into NAME"
)
_MOST_STEPS = 1000


@dataclass(frozen=True)
class Step:
    """One label map of a series."""

    name: str
    """Distinguishes the step from the others and is fit for a file's name, such as `150`. Empty for
    a single edit."""
    label_map: LabelMap


def changed_label_maps(
    label_map: LabelMap, changes: Sequence[str], fixed: Collection[str] = ()
) -> Iterator[Step]:
    """Gives the label map after edits in words, done one after the other. A series gives several
    steps.

    fixed: names or values of labels that do not yield. Only one of the edits may be a series; each
    of its steps is made from the first map. Raises EditError for words that are not an edit, for a
    name that the map does not know, and wherever the operations raise it.
    """
    if not changes:
        raise EditError(f"No edit came; expected one such as: {_EXAMPLES}.")
    names = step_names(changes)
    parsed = [_parsed(text) for text in changes]
    fixed_labels = {label_of(name, label_map.names, label_map.values) for name in fixed}
    for number, name in enumerate(names):
        changed = label_map
        for edit in parsed:
            changed = edit.applied(changed, edit.steps[number % len(edit.steps)], fixed_labels)
        yield Step(name, changed)


def step_names(changes: Sequence[str]) -> tuple[str, ...]:
    """The names of the steps that `changed_label_maps` gives. Without a series there is one empty
    name.

    Raises EditError for words that are not an edit, and for more than one series.
    """
    parsed = [_parsed(text) for text in changes]
    series = [edit for edit in parsed if len(edit.steps) > 1]
    if len(series) > 1:
        raise EditError(
            f"{len(series)} edits are a series ({'; '.join(edit.text for edit in series)}); "
            "expected one at most. Make the others in a run of their own."
        )
    return series[0].steps if series else ("",)


def label_of(text: str, names: Mapping[int, str], values: Collection[int]) -> int:
    """Gives the value of the label with this name or this value. Raises EditError if there is no
    such label or if several have the name."""
    found = [
        value
        for value in sorted(set(values))
        if names.get(value, "").casefold() == text.strip().casefold()
    ]
    if not found and text.strip().isdecimal() and int(text) in values:
        found = [int(text)]
    if len(found) == 1:
        return found[0]
    known = ", ".join(f"{value} {names.get(value, '')}".strip() for value in sorted(values)[:40])
    count = "No label has" if not found else f"{len(found)} labels have"
    raise EditError(
        f"{count} the name {text.strip()!r}; expected one of the label map's labels: {known}. "
        "Give its name or its value."
    )


@dataclass(frozen=True)
class _Edit:
    """The parts of an edit in words."""

    text: str
    kind: str
    parts: Mapping[str, str | None]
    steps: tuple[str, ...]
    """The varying number of each step of a series; one entry if the edit is not a series."""

    def applied(self, label_map: LabelMap, step: str, fixed: Collection[int]) -> LabelMap:
        """Gives the label map after one step of the edit."""
        parts = {key: value or "" for key, value in self.parts.items()}
        if self.kind == "add":
            return self._added(label_map, float(step), parts)
        if self.kind == "merge":
            names = parts["name"].split(" + ")
            labels = [self._label(name, label_map) for name in names]
            into = _new_or_known(parts["other"], label_map)
            return operations.merge(_named(label_map, into, parts["other"]), labels, into)
        label = self._label(parts["name"], label_map)
        if self.kind in ("grow", "shrink"):
            sign = 1 if self.kind == "grow" else -1
            return operations.grow(label_map, label, sign * float(step), fixed)
        if self.kind == "resize":
            return operations.resize(label_map, label, float(step), fixed)
        if self.kind == "move":
            part = int(step) / int(parts["steps"] or 1)
            by = [mm * part for mm in _numbers(parts["place"])]
            return operations.move(label_map, label, by, fixed)
        if self.kind == "split":
            new = _new_or_known(parts["other"], label_map)
            named = _named(label_map, new, parts["other"])
            axis = _AXES.index(parts["axis"])
            return operations.split(named, label, new, axis, float(parts["at"]))
        other = parts["other"]
        return operations.remove(label_map, label, self._label(other, label_map) if other else None)

    def _added(self, label_map: LabelMap, diameter_mm: float, parts: Mapping[str, str]) -> LabelMap:
        label = _new_or_known(parts["name"], label_map)
        name = "" if parts["name"].isdecimal() or label in label_map.values else parts["name"]
        if not parts["other"]:
            given = _numbers(parts["place"])
            return operations.add_ball(label_map, label, given, diameter_mm, name=name)
        host = self._label(parts["other"], label_map)
        place = operations.thickest_place_ras_mm(label_map, host)
        return operations.add_ball(label_map, label, place, diameter_mm, {host, label}, name)

    def _label(self, name: str, label_map: LabelMap) -> int:
        return label_of(name, label_map.names, label_map.values)


def _parsed(text: str) -> _Edit:
    words = " ".join(text.split())
    kind = words.partition(" ")[0].lower()
    pattern = _PATTERNS.get(kind)
    match = re.fullmatch(pattern, words, flags=re.IGNORECASE) if pattern else None
    if match is None:
        raise EditError(f"The edit is {text!r}; expected one such as: {_EXAMPLES}.")
    parts = match.groupdict()
    if parts.get("axis"):
        parts["axis"] = parts["axis"].lower()
    if parts.get("steps"):
        count = int(parts["steps"])
        if not 1 <= count <= _MOST_STEPS:
            raise EditError(
                f"The edit {text!r} has {count} steps; expected 1 to {_MOST_STEPS}. Take fewer."
            )
        return _Edit(words, kind, parts, tuple(str(step) for step in range(1, count + 1)))
    steps = tuple((parts.get("numbers") or "1").split("/"))
    if len(set(map(float, steps))) < len(steps):
        raise EditError(
            f"The series {text!r} names a number twice; expected each once. Leave one out."
        )
    return _Edit(words, kind, parts, steps)


def _numbers(text: str) -> list[float]:
    return [float(number) for number in text.split(",")]


def _new_or_known(text: str, label_map: LabelMap) -> int:
    """Gives the value of a label of the map, or a free value for a label that the map does not
    have."""
    name = text.strip()
    for value, known in sorted(label_map.names.items()):
        if known.casefold() == name.casefold():
            return value
    if name.isdecimal() and int(name) > 0:
        return int(name)
    return max([*label_map.values, *label_map.names, 0]) + 1


def _named(label_map: LabelMap, label: int, text: str) -> LabelMap:
    """Gives the map with a name for a label that has none, unless the text is the value itself."""
    name = text.strip()
    if name.isdecimal() or label in label_map.names:
        return label_map
    return replace(label_map, names={**label_map.names, label: name})
