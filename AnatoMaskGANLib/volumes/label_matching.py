"""From the labels of a map to those that a model knows; nothing is dropped in silence."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from AnatoMaskGANLib.volumes.errors import VolumeError
from AnatoMaskGANLib.volumes.label_map import LabelMap, in_smallest_type
from AnatoMaskGANLib.volumes.label_spelling import normalized_name, side_of
from AnatoMaskGANLib.volumes.label_table import LabelTable
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
    """The rule that matched it: "code", "name", "alias", "user" or "value"; else "unmatched"."""
    model_name: str = ""
    """The name in the model's table, "" if `model_value` is None."""


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
            "Give each the name of a label of the model, map them with a table, or choose "
            "to treat them as background."
        )
        if not any(match.name for match in unmatched):
            advice = (
                'The label map has no names for them: give a JSON file such as {"1": '
                '"liver"}, or the bundled names freesurfer-aseg for a map of FreeSurfer. '
                "If it is an intensity image, give the segmentation instead."
            )
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

    Rules in turn: `user` (name or value of the map to name or value of the table, None for
    background), terminology code, name, alias; and for a map without any names and codes the
    value, if all of its values are in the table. Raises VolumeError if no voxel has a label, and
    for a decision of the user that names no label of the table.
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
    if not any(value in label_map.names or value in label_map.codes for value in values):
        return _matched_by_value(values, table, decisions)
    return tuple(_matched(value, label_map, table, spellings, decisions) for value in values)


def apply_matches(
    label_map: LabelMap, matches: Sequence[LabelMatch], unmatched: str = "stop"
) -> LabelMap:
    """The map with the values and names of the model's table.

    unmatched: "stop" raises UnmatchedLabelsError for labels without a match; "background" drops
    them, unless none would be left. Raises VolumeError if nothing but background remains.
    """
    if unmatched not in ("stop", "background"):
        raise ValueError(f"unmatched is {unmatched!r}; expected 'stop' or 'background'")
    by_value = {match.value: match for match in matches}
    used = [
        by_value.get(value, LabelMatch(value, "", None, "unmatched")) for value in label_map.values
    ]
    open_ones = [match for match in used if match.rule == "unmatched"]
    known = [match for match in used if match.model_value is not None]
    if open_ones and (unmatched == "stop" or not known):
        raise UnmatchedLabelsError(open_ones, len(used))
    if not known:
        raise VolumeError(
            "Every label of the map would become background; expected at least one that "
            "the model knows. Map at least one label."
        )
    new_values = np.array([0, *(match.model_value or 0 for match in used)], dtype=np.int64)
    new_values = in_smallest_type(new_values)
    largest = used[-1].value
    if largest < 1 << 20:
        lookup = np.zeros(largest + 1, dtype=new_values.dtype)
        lookup[[match.value for match in used]] = new_values[1:]
        labels = lookup[label_map.labels_kji]
    else:  # a few large values, as the Allen atlas has
        old_values = np.array([0, *label_map.values], dtype=np.int64)
        labels = new_values[np.searchsorted(old_values, label_map.labels_kji)]
    names = {match.model_value: match.model_name for match in known if match.model_value}
    return replace(label_map, labels_kji=labels, names=names, codes={})


def _matched_by_value(
    values: Sequence[int], table: LabelTable, decisions: Mapping[str, int | None]
) -> tuple[LabelMatch, ...]:
    undecided = [value for value in values if str(value) not in decisions]
    are_of_table = set(undecided) <= set(table.labels)
    if undecided and are_of_table:
        _logger.warning(
            "the label map has no names; its values are taken as values of the table %s", table.name
        )
    matches = []
    for value in values:
        if str(value) in decisions:
            matches.append(_by_user(value, "", decisions[str(value)], table))
        elif are_of_table:
            matches.append(LabelMatch(value, "", value, "value", table.labels[value]))
        else:
            matches.append(LabelMatch(value, "", None, "unmatched"))
    return tuple(matches)


def _by_user(value: int, name: str, target: int | None, table: LabelTable) -> LabelMatch:
    return LabelMatch(value, name, target, "user", "" if target is None else table.labels[target])


def _matched(
    value: int,
    label_map: LabelMap,
    table: LabelTable,
    spellings: Mapping[str, int],
    decisions: Mapping[str, int | None],
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
    if found is None:
        return LabelMatch(value, name, None, "unmatched")
    return LabelMatch(value, name, found, rule, table.labels[found])


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
) -> int | None:
    """The table's value that a decision of the user names; None for background."""
    if target is None or target == 0:
        return None
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
