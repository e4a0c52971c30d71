"""Matches the labels of a map with those that a model knows; no label is dropped in silence."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from AnatoMaskGANLib.volumes.errors import VolumeError
from AnatoMaskGANLib.volumes.label_map import LabelMap, in_smallest_type
from AnatoMaskGANLib.volumes.label_recognition import recognized
from AnatoMaskGANLib.volumes.label_spelling import normalized_name, side_of
from AnatoMaskGANLib.volumes.label_table import BACKGROUND, SURROUNDING, LabelTable
from AnatoMaskGANLib.volumes.terminology import LEFT, RIGHT, without_modifier

_logger = logging.getLogger(__name__)

# The most labels that an error names.
_MOST_NAMED = 12


@dataclass(frozen=True)
class LabelMatch:
    """A label of the map, and the label of the model that it is."""

    value: int
    """The value in the map."""
    name: str
    """The name in the map, "" if it has none."""
    model_value: int | None
    """The value in the model's table; None for background and for what is unmatched."""
    rule: str
    """The rule that found the match: "code", "name", "alias", "relative", "user" or "value";
    "unmatched" if none did."""
    model_name: str = ""
    """The name in the model's table, "" if `model_value` is None."""
    nearest: tuple[int, ...] = ()
    """Values of the model's table: each voxel becomes the one of them that is nearest to it. The
    first is `model_value`. Empty where all voxels become `model_value`."""
    as_surrounding: bool = False
    """Whether the voxels become the nearest label that is in the map, the tissue around them."""
    note: str = ""
    """Why the values of a map without names are not taken for labels."""

    def target(self) -> str:
        """What the label becomes, for a record: "13", "1 or 20, the nearest", "background"."""
        if self.as_surrounding:
            return "as the tissue around it"
        if self.nearest:
            return f"{' or '.join(map(str, self.nearest))}, the nearest"
        return "background" if self.model_value is None else str(self.model_value)


# What can be done with labels that a model does not know.
STOP = "stop"
UNMATCHED_CHOICES = (STOP, SURROUNDING, BACKGROUND)

_NO_NAMES = (
    'The label map has no names for them: give a file of names such as {"1": "liver"}, or the name '
    "of a bundled table, such as freesurfer-aseg for a map of FreeSurfer. If it is an intensity "
    "image, give the segmentation instead."
)


class UnmatchedLabelsError(VolumeError):
    """Labels that the model does not know and for which nobody has decided."""

    def __init__(self, unmatched: Sequence[LabelMatch], num_labels: int) -> None:
        self.unmatched = tuple(unmatched)
        listed = [f"{match.value} {match.name}".strip() for match in unmatched[:_MOST_NAMED]]
        if len(unmatched) > _MOST_NAMED:
            listed.append(f"and {len(unmatched) - _MOST_NAMED} more")
        knows = (
            f"knows none of the {num_labels}"
            if len(unmatched) == num_labels
            else f"does not know {len(unmatched)} of the {num_labels}"
        )
        advice = (
            "Give each the name of a label of the model in a file of label names (--labels), or "
            "choose what becomes of them: the tissue around them (--unmatched surrounding), or "
            "background, a hole of air (--unmatched background)."
        )
        if not any(match.name for match in unmatched):
            advice = next((match.note for match in unmatched if match.note), _NO_NAMES)
        super().__init__(
            f"The model {knows} labels of the map: {', '.join(listed)}; "
            f"expected only labels that it knows. {advice}"
        )


def match_labels(
    label_map: LabelMap,
    table: LabelTable,
    user: Mapping[str, str | int | None] | None = None,
) -> tuple[LabelMatch, ...]:
    """A match for every label that the map has voxels of, in the order of values.

    Rules in their order: `user` (name or value of the map to name or value of the table, None for
    background, "surrounding" for the tissue around it), terminology code, name, alias, relative.
    A map without any names and codes gets those of the table that its sizes, sides and places
    confirm (see `label_recognition.py`), and stays unmatched where they confirm none. Raises
    VolumeError if no voxel has a label, and for a decision of the user that names no label of the
    table.
    """
    if not label_map.values:
        raise VolumeError(
            "The label map has no label: all of its voxels are background (0). Expected "
            "at least one labeled voxel; paint or export the segmentation first."
        )
    spellings = dict(table.spellings())
    decisions = {
        str(key): _decided(target, table, spellings) for key, target in (user or {}).items()
    }
    values = label_map.values
    rule, notes = "", dict[int, str]()
    if not any(value in label_map.names or value in label_map.codes for value in values):
        undecided = [value for value in values if str(value) not in decisions]
        found = recognized(label_map, table, undecided) if undecided else None
        known = None if found is None else found.table
        if known is not None and known.name == table.name:
            rule = "value"
        elif known is not None:
            label_map = replace(label_map, names=known.labels)
        elif found is not None:
            notes = dict.fromkeys(undecided, found.reason)
    return tuple(
        _by_value(value, table)
        if rule == "value" and str(value) not in decisions
        else _matched(value, label_map, table, spellings, decisions, notes.get(value, ""))
        for value in values
    )


def with_unmatched(matches: Sequence[LabelMatch], unmatched: str = STOP) -> tuple[LabelMatch, ...]:
    """The matches with the decision for labels that the model does not know.

    unmatched: "stop" keeps them open, "background" makes them background, "surrounding" the tissue
    around them. Where no label at all is known, all stay open.
    """
    if unmatched not in UNMATCHED_CHOICES:
        raise ValueError(f"unmatched is {unmatched!r}; expected one of {UNMATCHED_CHOICES}")
    if unmatched != SURROUNDING or not any(match.model_value is not None for match in matches):
        return tuple(matches)
    return tuple(
        replace(match, as_surrounding=True) if match.rule == "unmatched" else match
        for match in matches
    )


def apply_matches(
    label_map: LabelMap, matches: Sequence[LabelMatch], unmatched: str = STOP
) -> LabelMap:
    """The map with the values and names of the model's table.

    unmatched: "stop" raises UnmatchedLabelsError for labels without a match; "background" drops
    them and "surrounding" gives each of their voxels the nearest known label, unless none would be
    left. Raises VolumeError if nothing but background remains.
    """
    by_value = {match.value: match for match in with_unmatched(matches, unmatched)}
    used = [
        by_value.get(value, LabelMatch(value, "", None, "unmatched")) for value in label_map.values
    ]
    open_ones = [m for m in used if m.rule == "unmatched" and not m.as_surrounding]
    known = [match for match in used if match.model_value is not None]
    if open_ones and (unmatched == STOP or not known):
        raise UnmatchedLabelsError(open_ones, len(used))
    if not known:
        raise VolumeError(
            "Every label of the map would become background; expected at least one that "
            "the model knows. Map at least one label."
        )
    whole = {m.value: m.model_value or 0 for m in used if not (m.nearest or m.as_surrounding)}
    labels = _with_values(label_map, whole)
    names = {match.model_value: match.model_name for match in known if match.model_value}
    applied = replace(label_map, labels_kji=labels, names=names, codes={})
    by_place = [match for match in used if match.nearest or match.as_surrounding]
    if not by_place:
        return applied
    return _with_nearest(label_map, applied, by_place)


def _with_values(label_map: LabelMap, new_values: Mapping[int, int]) -> np.ndarray:
    """The labels with new values, in the smallest type; those that have none become 0."""
    old = [0, *label_map.values]
    new = in_smallest_type(np.array([new_values.get(v, 0) for v in old], dtype=np.int64))
    if old[-1] < 1 << 20:
        lookup = np.zeros(old[-1] + 1, dtype=new.dtype)
        lookup[old] = new
        return lookup[label_map.labels_kji]
    # a few large values, as the Allen atlas has
    return new[np.searchsorted(np.array(old, dtype=np.int64), label_map.labels_kji)]


def _with_nearest(
    label_map: LabelMap, applied: LabelMap, by_place: Sequence[LabelMatch]
) -> LabelMap:
    """The map with the labels whose voxels become the nearest of some, or what is around them.

    Nearest are labels that every voxel of theirs has by itself. Of two labels that the map does
    not have each gets its side.
    """
    from AnatoMaskGANLib.volumes.nearest_labels import nearest_label, sided_label

    labels = applied.labels_kji.astype(np.int64)
    for match in by_place:
        if match.as_surrounding:
            continue
        is_open = label_map.labels_kji == match.value
        sources = set(applied.values) & set(match.nearest)
        labels[is_open] = (
            nearest_label(applied, is_open, sources)
            if sources
            else sided_label(label_map, is_open, *match.nearest[:2])
        )
    known = replace(applied, labels_kji=in_smallest_type(labels))
    for match in by_place:
        if match.as_surrounding:
            is_open = label_map.labels_kji == match.value
            labels[is_open] = nearest_label(known, is_open, known.values)
    return replace(applied, labels_kji=in_smallest_type(labels))


def _by_value(value: int, table: LabelTable) -> LabelMatch:
    return LabelMatch(value, "", value, "value", table.labels[value])


def _by_user(value: int, name: str, target: int | str | None, table: LabelTable) -> LabelMatch:
    if target == SURROUNDING:
        return LabelMatch(value, name, None, "user", as_surrounding=True)
    assert not isinstance(target, str)
    return LabelMatch(value, name, target, "user", "" if target is None else table.labels[target])


def _by_relative(value: int, name: str, table: LabelTable) -> LabelMatch | None:
    """What a name that is no label becomes according to the table; None if it does not say."""
    if normalized_name(name) in (SURROUNDING, BACKGROUND):
        targets: tuple[str, ...] = (normalized_name(name),)
    else:
        targets = table.relative_of(name)
    if not targets:
        return None
    if targets == (SURROUNDING,):
        return LabelMatch(value, name, None, "relative", as_surrounding=True)
    if targets == (BACKGROUND,):
        return LabelMatch(value, name, None, "relative")
    value_of = {label: number for number, label in table.labels.items()}
    numbers = tuple(value_of[target] for target in targets)
    nearest = numbers if len(numbers) > 1 else ()
    return LabelMatch(value, name, numbers[0], "relative", targets[0], nearest)


def _matched(
    value: int,
    label_map: LabelMap,
    table: LabelTable,
    spellings: Mapping[str, int],
    decisions: Mapping[str, int | str | None],
    note: str = "",
) -> LabelMatch:
    name = label_map.names.get(value, "")
    code = label_map.codes.get(value, "")
    for key in (name, str(value)):
        if key in decisions:
            return _by_user(value, name, decisions[key], table)
    if _sides_disagree(name, code):
        _logger.warning(
            "label %d: the name %r and the code %s name different sides", value, name, code
        )
        return LabelMatch(value, name, None, "unmatched")
    found, rule = _by_code(name, code, table), "code"
    if found is None:
        found, rule = _by_name(name, table, spellings)
    if found is not None:
        return LabelMatch(value, name, found, rule, table.labels[found])
    relative = _by_relative(value, name, table) if name else None
    return relative or LabelMatch(value, name, None, "unmatched", note=note)


def _by_code(name: str, code: str, table: LabelTable) -> int | None:
    """The value found by the whole code, or by the structure's code and the side in the name."""
    if not code:
        return None
    side = {"left": f"+{LEFT}", "right": f"+{RIGHT}"}.get(side_of(name), "")
    wanted = {code} if code != without_modifier(code) else {code, code + side}
    found = [value for value, known in table.codes.items() if known in wanted]
    return found[0] if len(found) == 1 else None


def _by_name(name: str, table: LabelTable, spellings: Mapping[str, int]) -> tuple[int | None, str]:
    normalized = normalized_name(name)
    if not normalized:
        return None, ""
    if normalized in spellings:
        value = spellings[normalized]
        is_own_name = normalized == normalized_name(table.labels[value])
        return value, "name" if is_own_name else "alias"
    for spelling, value in spellings.items():
        if spelling.endswith(" *") and normalized.startswith(spelling[:-1]):
            return value, "alias"
    return None, ""


def _sides_disagree(name: str, code: str) -> bool:
    side_by_code = {LEFT: "left", RIGHT: "right"}.get(code.partition("+")[2], "")
    return bool(side_of(name) and side_by_code and side_of(name) != side_by_code)


def _decided(
    target: str | int | None, table: LabelTable, spellings: Mapping[str, int]
) -> int | str | None:
    """The table's value that a decision of the user names; None for background, "surrounding" for
    the tissue around it."""
    if target is None or target == 0:
        return None
    if target == SURROUNDING and SURROUNDING not in table.labels.values():
        return SURROUNDING
    if isinstance(target, int) and target in table.labels:
        return target
    if isinstance(target, str):
        exact = [value for value, name in table.labels.items() if name == target]
        if exact or normalized_name(target) in spellings:
            return exact[0] if exact else spellings[normalized_name(target)]
    known = list(table.labels.values())
    close = difflib.get_close_matches(str(target), known, n=3)
    raise VolumeError(
        f"The model has no label {target!r} to map to; expected one of its labels, "
        f"{'such as' if close else 'which are'} {', '.join(close or known)}."
    )
