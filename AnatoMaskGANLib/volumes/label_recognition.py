"""Finds the table that the values of a label map without names are from, if the map confirms one.

A value alone says nothing: 5 is the liver of TotalSegmentator, the temporal horn of FreeSurfer's
left ventricle and the white matter of the cerebellum of Learn2Reg's OASIS set. So a table counts
only if the labels have the sizes, the reach along each axis and the places to each other, left and
right among them, that the structures of these names were measured to have, and if no other table
that has names for all values fits nearly as well.
"""

from __future__ import annotations

import functools
import json
import logging
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from AnatoMaskGANLib.resources import resources_folder
from AnatoMaskGANLib.volumes.label_map import LabelMap
from AnatoMaskGANLib.volumes.label_shapes import LabelShape, shapes_of
from AnatoMaskGANLib.volumes.label_spelling import normalized_name
from AnatoMaskGANLib.volumes.label_table import LabelTable, bundled_tables, load_label_table

_logger = logging.getLogger(__name__)

MEASURED_FILE = "structures.measured.json"
"""The file next to the bundled tables that holds what Testing/measure_structures.py found."""

# Ours: people and the rules for a border differ by more than the measured ones do.
_VOLUME_FACTOR = 2.0
_FEW_SUBJECTS = 5
_SPREAD_FACTOR = 1.7
_SPREAD_MM = 2.5
# A label that the grid cuts off lies elsewhere than the whole structure.
_CUT_PLACE_FACTOR = 2.0
_LEAST_CUT_SHARE = 0.1

# The map confirms a table if at least this fraction of the measured labels fits; where only a few
# were measured, all of them have to fit.
_BORNE_OUT_SHARE = 0.8
_FEW_LABELS = 4
# The fraction of labels that fit any other table must be smaller by this much.
_MARGIN = 0.3
# Below this fraction the message calls a table the nearest one, not one that fits.
_FITTING_SHARE = 0.5

# A grid that is smaller than this along each axis holds no whole part of a body, so nothing can be
# judged in it.
_SMALLEST_JUDGED_MM = 20.0
# In such a grid a single label keeps the number that the model has for it, unless data sets of a
# few labels use that number too.
_SMALLEST_OWN_VALUE = 7

# A table without measured structures is the map's only if the map has all its labels, and as many.
_FEWEST_LABELS_OF_UNMEASURED = 8

_MOST_NAMES_SHOWN = 4
# A file with more values than this may be an image and not a segmentation.
_MANY_VALUES = 150


@dataclass(frozen=True)
class Recognition:
    """A table, or why none is taken."""

    table: LabelTable | None
    reason: str = ""
    """Why no table was found, in words for the user, with the table that fits best; "" if one was
    found."""


@dataclass(frozen=True, eq=False)
class MeasuredStructure:
    """The measured size, place and spread of a structure."""

    volume_ml: tuple[float, float]
    """Smallest and largest volume."""
    place_mm: np.ndarray
    """[3], RAS, from the middle of all structures of its kind of body part."""
    spread_mm: np.ndarray
    """[3], mean standard deviation of its voxels along right, anterior and superior."""
    tolerance_mm: float
    """How far the place may be from the measured one."""
    is_tissue: bool
    """Whether it is a tissue of the whole brain: gray and white matter have one place and nearly
    one size, so that they confirm no table and only show which one is nearest."""


@dataclass(frozen=True)
class _Fit:
    """How well the names that a table gives fit the labels of a map."""

    table: LabelTable
    num_judged: int
    num_borne_out: int
    num_structures: int
    """Number of judged labels that are no tissues."""
    misfit: float
    """Mean distance from what was measured, 0 where all fits; labels not measured count 1.5."""
    complaint: str
    """What speaks against the table: the misfit of the label that fits worst."""

    @property
    def share(self) -> float:
        """Fraction of the measured labels that fit."""
        return self.num_borne_out / self.num_judged if self.num_judged else 0.0

    @property
    def is_borne_out(self) -> bool:
        """Whether the map by itself confirms the table."""
        needed = 1.0 if self.num_judged <= _FEW_LABELS else _BORNE_OUT_SHARE
        return self.num_structures > 1 and self.share >= needed


_JUDGED: weakref.WeakKeyDictionary[LabelMap, dict[tuple[str, tuple[int, ...]], Recognition]] = (
    weakref.WeakKeyDictionary()
)


def recognized(label_map: LabelMap, own: LabelTable, values: Sequence[int]) -> Recognition:
    """The table that the values of a map without names are from, or the reason why none is found.

    own: the table of the model. values: those that the user has not decided. A map is judged, and
    reported in the log, once for each table.
    """
    key = (own.name, tuple(values))
    judged = _JUDGED.setdefault(label_map, {})
    if key not in judged:
        judged[key] = _judged(label_map, own, values)
    return judged[key]


def _judged(label_map: LabelMap, own: LabelTable, values: Sequence[int]) -> Recognition:
    if _is_sketch(label_map) or _names_are_values(own):
        is_own = set(values) <= set(own.labels)
        return _told(own, "the label map has no names") if is_own else _none(label_map, own, ())
    if _is_too_small_to_judge(label_map):
        is_sparse = len(values) == 1 and values[0] >= _SMALLEST_OWN_VALUE
        if is_sparse and values[0] in own.labels:
            return _told(own, "the label map has no names and is too small to be judged")
        return _none(label_map, own, ())
    shapes = {v: shape for v, shape in shapes_of(label_map).items() if v in values}
    tables = [own, *(load_label_table(name) for name in bundled_tables() if name != own.name)]
    fits = [_fit(table, shapes) for table in tables if set(values) <= set(table.labels)]
    found = _clearly_best(fits, values)
    if found is not None:
        return _told(found.table, f"the label map has no names, but {_counted(found)}")
    if _is_whole_of_unmeasured(own, values, fits):
        return _told(own, "the label map has no names, but all the values of")
    return _none(label_map, own, fits)


def _clearly_best(fits: Sequence[_Fit], values: Sequence[int]) -> _Fit | None:
    """The fit that the map confirms, if no other one comes near it. Where tables give all values
    the same names, it is the fit of the first one."""
    good = [fit for fit in fits if fit.is_borne_out]
    if not good:
        return None
    best = max(good, key=lambda fit: (fit.share, fit.num_judged))
    for fit in fits:
        is_other = any(
            normalized_name(fit.table.labels[v]) != normalized_name(best.table.labels[v])
            for v in values
        )
        if is_other and fit is not best and fit.share > best.share - _MARGIN:
            if fit.num_judged >= 2 and fit.misfit < 2 * best.misfit + 0.5:
                return None
    return best


def _fit(table: LabelTable, shapes: Mapping[int, LabelShape]) -> _Fit:
    pairs = [
        (value, shape, measured_structures().get(normalized_name(table.labels[value])))
        for value, shape in shapes.items()
    ]
    judged = [(v, s, known) for v, s, known in pairs if known is not None and _tells(s, known)]
    if not judged:
        return _Fit(table, 0, 0, 0, 1.5, f"nothing is known of the sizes of {table.name}")
    shift = np.median([shape.place_mm - known.place_mm for _, shape, known in judged], axis=0)
    errors = {v: _errors(shape, known, shift) for v, shape, known in judged}
    worst = max(errors, key=lambda value: max(errors[value].values()))
    borne_out = [v for v, error in errors.items() if max(error.values()) <= 1]
    misfits = [min(3.0, sum(error.values())) for error in errors.values()]
    misfits += [1.5] * (len(pairs) - len(judged))
    complaint = ""
    if max(errors[worst].values()) > 1:
        known = next(known for v, _, known in judged if v == worst)
        complaint = _complaint(table.labels[worst], worst, shapes[worst], known, errors[worst])
    num_structures = sum(not known.is_tissue for _, _, known in judged)
    misfit = float(np.mean(misfits))
    return _Fit(table, len(judged), len(borne_out), num_structures, misfit, complaint)


def _tells(shape: LabelShape, known: MeasuredStructure) -> bool:
    """Whether there is enough of a label for a judgment: not only the tip of a cut-off one."""
    return not shape.is_cut or shape.volume_ml >= _LEAST_CUT_SHARE * known.volume_ml[0]


def _errors(shape: LabelShape, known: MeasuredStructure, shift: np.ndarray) -> dict[str, float]:
    """Volume, spread and place against what was measured: up to 1 fits."""
    low, high = known.volume_ml
    too_large = np.log(max(shape.volume_ml / high, 1.0)) / np.log(_VOLUME_FACTOR)
    too_small = np.log(max(low / max(shape.volume_ml, 1e-9), 1.0)) / np.log(_VOLUME_FACTOR)
    wide = (shape.spread_mm - _SPREAD_MM) / known.spread_mm
    narrow = known.spread_mm / (shape.spread_mm + _SPREAD_MM)
    off_mm = float(np.linalg.norm(shape.place_mm - known.place_mm - shift))
    tolerance_mm = known.tolerance_mm * (_CUT_PLACE_FACTOR if shape.is_cut else 1.0)
    return {
        "volume": max(too_large, 0.0 if shape.is_cut else too_small),
        "reach": float(max(wide.max(), 0.0 if shape.is_cut else narrow.max()) / _SPREAD_FACTOR) ** 2
        if max(wide.max(), narrow.max()) > _SPREAD_FACTOR
        else 0.0,
        "place": off_mm / tolerance_mm,
    }


def _complaint(
    name: str, value: int, shape: LabelShape, known: MeasuredStructure, errors: Mapping[str, float]
) -> str:
    what = max(errors, key=lambda key: errors[key])
    if what == "volume":
        low, high = known.volume_ml
        return f"{value} has {shape.volume_ml:.3g} ml, and {name} has {low:.3g} to {high:.3g}"
    if what == "reach":
        if (shape.spread_mm > _SPREAD_FACTOR * known.spread_mm + _SPREAD_MM).any():
            return f"{value} reaches too far for {name}, perhaps over both sides of the middle"
        return f"{value} does not reach as far as {name} does"
    return f"{value} is not where {name} lies relative to the other labels"


def _told(table: LabelTable, why: str) -> Recognition:
    _logger.warning("%s; its values are read as those of the table %s", why, table.name)
    return Recognition(table)


def _none(label_map: LabelMap, own: LabelTable, fits: Sequence[_Fit]) -> Recognition:
    """Why no table is taken, and which one fits best."""
    listed = ", ".join(map(str, label_map.values[:8]))
    listed += f" and {len(label_map.values) - 8} more" if len(label_map.values) > 8 else ""
    text = f"The label map has no names, and its values ({listed}) do not show what they are. "
    ours = next((fit for fit in fits if fit.table is own), None)
    if ours is not None and ours.complaint:
        text += f"They are probably not those of the model ({ours.complaint}). "
    best = min(fits, key=lambda fit: (-fit.share, fit.misfit), default=None)
    file_of_names = 'a file of names, such as --labels names.json with {"1": "liver"}'
    if best is None:
        is_small = _is_too_small_to_judge(label_map)
        text += "It is too small to be judged. " if is_small else "No known table has all of them. "
        text += f"Give {file_of_names}"
    else:
        option = "model" if best.table is own else best.table.name
        fits_best = "fits best" if best.share >= _FITTING_SHARE else "is closest, but does not fit"
        text += (
            f"Of the known tables {best.table.name} {fits_best} ({_counted(best)}): "
            f"{_first_names(best.table, label_map.values)}. If that is right, give its name: "
            f"--labels {option}. Otherwise give {file_of_names}"
        )
    if best is None or best.table is not own:
        text += ", or --labels model if they are numbered as the model's own labels"
    text += "."
    if set(label_map.values) - set(own.labels) and not fits:
        text += " For a map of FreeSurfer give --labels freesurfer-aseg."
    if len(label_map.values) > _MANY_VALUES:
        text += " If it is an intensity image, give the segmentation instead."
    return Recognition(None, text)


def _counted(fit: _Fit) -> str:
    if not fit.num_judged:
        return "judged by its values alone"
    return (
        f"{fit.num_borne_out} of {fit.num_judged} measured labels have the size and place of "
        "their names"
    )


def _first_names(table: LabelTable, values: Sequence[int]) -> str:
    names = [f"{value} {table.labels[value]}" for value in values[:_MOST_NAMES_SHOWN]]
    return ", ".join(names) + (", ..." if len(values) > _MOST_NAMES_SHOWN else "")


def _is_sketch(label_map: LabelMap) -> bool:
    """Whether each label has one voxel: a list of segments, not a map of a body."""
    return np.count_nonzero(label_map.labels_kji) == len(label_map.values)


def _is_too_small_to_judge(label_map: LabelMap) -> bool:
    extent_mm = np.array(label_map.shape_kji[::-1]) * label_map.spacing_ijk_mm
    return bool(extent_mm.max() < _SMALLEST_JUDGED_MM)


def _names_are_values(table: LabelTable) -> bool:
    """Whether the labels are called by their values, as those of a store without names are."""
    return all(name == f"label {value}" for value, name in table.labels.items())


def _is_whole_of_unmeasured(own: LabelTable, values: Sequence[int], fits: Sequence[_Fit]) -> bool:
    """Whether a map has all labels of a table without any measured structure."""
    ours = next((fit for fit in fits if fit.table is own), None)
    is_unmeasured = ours is not None and ours.num_judged == 0
    is_whole = len(values) == len(own.labels) >= _FEWEST_LABELS_OF_UNMEASURED
    return is_unmeasured and is_whole and not any(fit.is_borne_out for fit in fits)


def _range_of(entry: Mapping[str, Any]) -> tuple[float, float]:
    """The smallest and largest volume, wider where only few people were measured."""
    low, high = entry["volume_ml"]
    factor = _VOLUME_FACTOR if entry["subjects"] < _FEW_SUBJECTS else 1.0
    return low / factor, high * factor


@functools.cache
def measured_structures() -> Mapping[str, MeasuredStructure]:
    """The measured structures by name; each stands under all its normalized names."""
    path = resources_folder() / "LabelTables" / MEASURED_FILE
    content = json.loads(path.read_text(encoding="utf-8"))
    found: dict[str, MeasuredStructure] = {}
    for group in content["groups"]:
        structures = {
            normalized_name(name): MeasuredStructure(
                volume_ml=_range_of(entry),
                place_mm=np.array(entry["place_mm"]),
                spread_mm=np.array(entry["spread_mm"]),
                tolerance_mm=group["tolerance_mm"],
                is_tissue=name in group["tissues"],
            )
            for name, entry in group["structures"].items()
        }
        found |= structures
        for table in map(load_label_table, group["tables"]):
            for spelling, value in table.spellings():
                structure = structures.get(normalized_name(table.labels[value]))
                if structure is not None:
                    found.setdefault(spelling, structure)
    return found
