"""The end of a run: the store's index, split and report, and what is no longer needed."""

from __future__ import annotations

import csv
import io
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from AnatoMaskGANLib.preparation.label_classes import one_sided_labels
from AnatoMaskGANLib.preparation.plan import Plan, plain, split_settings
from AnatoMaskGANLib.preparation.prepared_case import (
    CASE_FILE,
    CASES,
    PreparedCase,
    remove_half_written,
)
from AnatoMaskGANLib.preparation.settings import PreparationError
from AnatoMaskGANLib.preparation.subject_split import SPLIT_FILE, write_split
from AnatoMaskGANLib.volumes.atomic_writing import write_bytes
from AnatoMaskGANLib.volumes.case_store import SPLITS, write_index

REPORT = "report.csv"

_CASE_FOLDER = re.compile(r".+-[0-9a-f]{12}")
_ARRAY_FILES = re.compile(r"(image|labels|guidance)\.npy|case\.json")

_log = logging.getLogger(__name__)


def finish_store(
    plan: Plan, prepared: Sequence[PreparedCase], failed: Mapping[str, str]
) -> dict[str, int]:
    """Makes a store of the prepared cases; returns how many cases each split has.

    failed: case name to its error. Raises PreparationError, and leaves an earlier store as it was,
    if no case is left to train on, or if a split that should have subjects has none.
    """
    output = plan.settings.output
    _write_report(plan, prepared, failed)
    entries = sorted((case.entry for case in prepared), key=lambda entry: entry["name"])
    counts = {split: sum(entry["split"] == split for entry in entries) for split in SPLITS}
    wanted = {split for split in plan.split_of.values() if split in SPLITS}
    empty = [split for split in SPLITS if split in wanted and not counts[split]]
    if empty:
        raise PreparationError(
            f"No case of the split {' and '.join(empty)} could be prepared; expected at least one "
            f"subject in each. See {output / REPORT} for the reasons; the store was not changed."
        )
    archive_window = plan.settings.window or plan.ct_window
    units = sorted({entry["unit"] for entry in entries})
    if len(units) > 1:
        _log.warning("the cases have different units: %s", ", ".join(map(repr, units)))
    split_file = output / SPLIT_FILE
    write_split(plan.split_of, split_file, plan.absent, split_settings(plan.settings))
    write_index(
        output,
        entries,
        plan.spacing_mm,
        _window(entries),
        units[0] if len(units) == 1 else "",
        plan.classes.target.to_dict(),
        {
            "settings": plain(plan.settings),
            "source_table": plan.classes.source.to_dict(),
            "normalization": "percentiles" if archive_window is None else "window",
            "one_sided": one_sided_labels(plan.classes),
            "num_failed": len(failed),
        },
    )
    remove_half_written(output)
    _remove_unnamed(output / CASES, {Path(entry["folder"]).name for entry in entries})
    return counts


def _window(entries: Sequence[Mapping]) -> tuple[float, float]:
    """The window of all cases; with percentiles the median of the training images' windows, which
    synthetic volumes then have."""
    has_image = [entry for entry in entries if "image" in entry["parts"]]
    training = [entry for entry in has_image if entry["split"] == "train"] or has_image
    if not training:
        return (0.0, 1.0)
    low, high = np.median([entry["window"] for entry in training], axis=0)
    return float(low), float(high)


def _write_report(plan: Plan, prepared: Sequence[PreparedCase], failed: Mapping[str, str]) -> None:
    """Writes one line for every case that was found, also if it failed or was left out."""
    by_name = {case.entry["name"]: case for case in prepared}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["case", "subject", "split", "status", "slices", "rows", "columns"]
        + ["labels", "window_low", "window_high", "notes"]
    )
    for files in plan.cases:
        case = by_name.get(files.name)
        identity = [files.name, files.subject, plan.split_of[files.subject]]
        if case is None:
            writer.writerow([*identity, "failed", *[""] * 6, failed.get(files.name, "not reached")])
            continue
        values = [*case.entry["shape_kji"], len(case.entry["labels"]), *case.entry["window"]]
        writer.writerow([*identity, "prepared", *values, "; ".join(case.notes)])
    for name in plan.left_out:
        writer.writerow([name, "", "", "left out", *[""] * 7])
    path = plan.settings.output / REPORT
    write_bytes(path, ".csv", lambda: text.getvalue().encode("utf-8"))


def _remove_unnamed(folder: Path, named: set[str]) -> None:
    """Removes case folders of earlier settings, and nothing that `prepare` did not write."""
    for old in sorted(folder.iterdir()) if folder.is_dir() else []:
        if old.name in named or not old.is_dir() or not _CASE_FOLDER.fullmatch(old.name):
            continue
        remove_half_written(old)
        files = list(old.iterdir())
        if not all(file.is_file() and _ARRAY_FILES.fullmatch(file.name) for file in files):
            _log.warning("%s contains other files and is kept", old)
            continue
        # the note of the case goes first: without it the folder counts as unfinished
        for file in sorted(files, key=lambda file: file.name != CASE_FILE):
            file.unlink(missing_ok=True)
        old.rmdir()
