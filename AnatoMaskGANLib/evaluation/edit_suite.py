"""The measuring of one edit of a scan, made in several ways: a row of metrics for each.

Two more rows are added for comparison: the unedited scan, which shows what doing nothing reaches,
and the known truth, which shows what a right edit reaches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from AnatoMaskGANLib.evaluation.known_warps import check_grid_of_scan
from AnatoMaskGANLib.evaluation.metrics.edit_criteria import (
    EditPlaces,
    effectiveness,
    minimality,
    realism,
    reversibility,
    share_of_changed_bits,
    truth_distance,
)
from AnatoMaskGANLib.evaluation.metrics.protocol import to_unit_range
from AnatoMaskGANLib.evaluation.report.table import Row
from AnatoMaskGANLib.volumes import LabelMap, Volume

UNEDITED = "scan unedited"
TRUTH = "known truth"

Way = Callable[[Volume, LabelMap, LabelMap], Volume]
"""Makes an edit from the scan and the label maps before and after it. Gives the edited scan on the
scan's grid."""

Judge = Callable[[Volume, LabelMap, EditPlaces], float]
"""Measures how much of an edit a segmenter finds. Takes the scan, the labels that it should have,
and the places of the edit; gives a Dice coefficient."""


@dataclass(frozen=True, eq=False)
class Edit:
    """An edit of a scan's label map, with its truth if that is known."""

    name: str
    """What is done to which structure, for a table."""
    after: LabelMap
    truth: Volume | None
    """The scan as it should be, in its own type; None if that is not known."""


@dataclass(frozen=True, eq=False)
class EvaluatedEdit:
    """An edit of a case, and the intensities in which it is measured."""

    case: str
    subject: str
    scan: Volume
    before: LabelMap
    edit: Edit
    window: tuple[float, float]
    """Intensities of the scan that become 0 and 1."""


def usual_window(scan: Volume, before: LabelMap) -> tuple[float, float]:
    """Gives the window that the scan's file has, or the 0.5th and 99.5th percentile of its labeled
    voxels. Raises ValueError for a label map that is not on the grid of the scan."""
    check_grid_of_scan(scan, before)
    if scan.window is not None:
        return scan.window
    low, high = np.percentile(scan.voxels_kji[before.labels_kji > 0], [0.5, 99.5])
    return float(low), float(high)


def measure_edit(
    evaluated: EvaluatedEdit, ways: Mapping[str, Way], judge: Judge | None = None
) -> tuple[list[Row], dict[str, Volume]]:
    """Gives the rows of all ways, and the edited scan of each.

    Raises ValueError if scan and label map are not on one grid, or if nothing was edited.
    """
    scan, before, edit = evaluated.scan, evaluated.before, evaluated.edit
    for label_map in (before, edit.after):
        check_grid_of_scan(scan, label_map)
    places = EditPlaces(before.labels_kji, edit.after.labels_kji, before.spacing_ijk_mm[::-1])
    measured = _Measured(evaluated, places, judge)
    rows = [measured.row(UNEDITED, measured.of_result(scan))]
    made = {}
    for name, way in ways.items():
        made[name] = way(scan, before, edit.after)
        rows.append(measured.row(name, measured.of_way(way, made[name])))
    if edit.truth is not None:
        rows.append(measured.row(TRUTH, measured.of_presence(edit.truth)))
    return rows, made


@dataclass(frozen=True)
class _Measured:
    """One edit, and what its metrics refer to."""

    evaluated: EvaluatedEdit
    places: EditPlaces
    judge: Judge | None

    def row(self, name: str, metrics: dict[str, float]) -> Row:
        case = f"{self.evaluated.case}, {self.evaluated.edit.name}"
        return Row(name, case, self.evaluated.subject, metrics)

    def of_way(self, way: Way, made: Volume) -> dict[str, float]:
        """All metrics of a way and of what it made."""
        scan, before = self.evaluated.scan, self.evaluated.before
        nothing = way(scan, before, before)
        back = way(made, self.evaluated.edit.after, before)
        return {
            **self.of_result(made),
            **reversibility(self._unit(scan), self._unit(back), self.places),
            "edit_unasked": share_of_changed_bits(scan.voxels_kji, nothing.voxels_kji),
            **minimality(scan.voxels_kji, made.voxels_kji, self.places),
        }

    def of_result(self, made: Volume) -> dict[str, float]:
        """The metrics of an edited scan, whoever made it."""
        unit, truth = self._unit(made), self.evaluated.edit.truth
        metrics = self.of_presence(made)
        if truth is None:
            reference, labels = self._unit(self.evaluated.scan), self.places.before
        else:
            reference, labels = self._unit(truth), self.places.after
            metrics |= truth_distance(reference, unit, self.places)
        return metrics | realism(unit, reference, labels, self.places)

    def of_presence(self, made: Volume) -> dict[str, float]:
        """Gives the figures that say whether the edit is there."""
        metrics = effectiveness(self._unit(self.evaluated.scan), self._unit(made), self.places)
        if self.judge is not None:
            metrics["edit_dice"] = self.judge(made, self.evaluated.edit.after, self.places)
        return metrics

    def _unit(self, volume: Volume) -> np.ndarray:
        return to_unit_range(volume.voxels_kji, self.evaluated.window)
