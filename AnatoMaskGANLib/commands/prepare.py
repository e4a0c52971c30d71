"""`anatomaskgan prepare`: makes a case store for training from an archive of images and labels."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from AnatoMaskGANLib.commands.batch import OnProgress, run_batch
from AnatoMaskGANLib.preparation.settings import PreparationSettings

if TYPE_CHECKING:
    from AnatoMaskGANLib.preparation.archives import CaseFiles
    from AnatoMaskGANLib.preparation.prepared_case import PreparedCase

_log = logging.getLogger(__name__)


def prepare(settings: PreparationSettings) -> int:
    """Returns 0 if every case was prepared and 1 if one failed; prints the folder of the store.

    Each case is reported as it is done; the same command goes on where an earlier one stopped.
    """
    from AnatoMaskGANLib.preparation.one_writer import one_writer

    with one_writer(settings.output):
        exit_code = _fill_store(settings)
    print(settings.output)
    return exit_code


def _fill_store(settings: PreparationSettings) -> int:
    from AnatoMaskGANLib.preparation.plan import make_plan
    from AnatoMaskGANLib.preparation.prepared_case import prepare_case
    from AnatoMaskGANLib.preparation.store_index import finish_store

    plan = make_plan(settings)
    _log.info(
        "%d cases, %d classes, voxels of %s mm",
        len(plan.cases),
        len(plan.classes.target.labels),
        " x ".join(f"{mm:g}" for mm in plan.spacing_mm),
    )
    if plan.left_out:
        _log.info("left out: %s", ", ".join(plan.left_out))
    prepared: list[PreparedCase] = []

    def run_case(case: CaseFiles, on_progress: OnProgress) -> None:
        prepared.append(prepare_case(plan, case, on_progress))
        _log.info("%s: %s", case.name, describe(prepared[-1]))

    result = run_batch(plan.cases, lambda case: case.name, run_case)
    _log.info("%s", result.summary())
    counts = finish_store(plan, prepared, result.failed)
    _log.info("%s", ", ".join(f"{count} {split}" for split, count in counts.items()))
    return result.exit_code


def describe(case: PreparedCase) -> str:
    """The case in one line: size, labels, split, and notes for people."""
    entry = case.entry
    parts = [
        " x ".join(str(size) for size in reversed(entry["shape_kji"])) + " voxels",
        f"{len(entry['labels'])} labels" if "labels" in entry["parts"] else "no labels",
        "" if "image" in entry["parts"] else "no image",
        entry["split"],
        "unchanged" if case.was_done else "",
        *(f"NOTE {note}" for note in case.notes),
    ]
    return ", ".join(part for part in parts if part)
