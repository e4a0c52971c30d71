"""One case: read, checked, brought to the store's grid and written, once for the same inputs.

The folder of a case in the store carries a fingerprint of its files and of all settings that make
its arrays. A case that has a whole folder of its fingerprint is done; one with other files or
settings gets a new folder next to the old one, which the store's index names until it is replaced.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from AnatoMaskGANLib.json_text import parse_json
from AnatoMaskGANLib.preparation.archives import CaseFiles
from AnatoMaskGANLib.preparation.background import BODY_THRESHOLD_HU, body_mask
from AnatoMaskGANLib.preparation.fingerprint import fingerprint
from AnatoMaskGANLib.preparation.intensities import check_window, percentile_window
from AnatoMaskGANLib.preparation.label_classes import all_named
from AnatoMaskGANLib.preparation.plan import Plan
from AnatoMaskGANLib.preparation.reading import ReadCase, read_case, sides_look_exchanged
from AnatoMaskGANLib.preparation.settings import PreparationError
from AnatoMaskGANLib.preparation.superpixels import superpixel_guidance
from AnatoMaskGANLib.volumes import LabelMap, Volume, to_model_grid, volume_to_model_grid
from AnatoMaskGANLib.volumes.atomic_writing import write_bytes
from AnatoMaskGANLib.volumes.case_store import StoreError, open_case, write_case
from AnatoMaskGANLib.volumes.origin_marks import origin_of

CASES = "cases"
CASE_FILE = "case.json"

# The temporary names of `atomic_writing`.
_HALF_WRITTEN = re.compile(r"\.[a-z]+\.(npy|json|csv)\.[0-9a-f]{12}\.(npy|json|csv)")

_log = logging.getLogger(__name__)

OnProgress = Callable[[float, str], None]
"""Is called with the fraction that is done, in [0,1], and what is being done."""


@dataclass(frozen=True)
class PreparedCase:
    """A case that stands whole in the store."""

    entry: Mapping[str, Any]
    """Its entry in the store's index."""
    notes: tuple[str, ...]
    """Notes that a person should read about the case."""
    was_done: bool
    """Whether an earlier run had prepared it from the same files with the same settings."""


def prepare_case(
    plan: Plan, files: CaseFiles, on_progress: OnProgress | None = None
) -> PreparedCase:
    """Prepares one case, or finds it prepared.

    Raises VolumeError for files that cannot be read or written, PreparationError for a case that
    fails a check or has labels outside the table.
    """
    report = on_progress or (lambda fraction, text: None)
    _check_complete(plan, files)
    report(0.0, "reading")
    made_of = fingerprint(plan, files)
    case_folder = f"{CASES}/{files.name}-{made_of[:12]}"
    done = _finished_case(plan.settings.output, case_folder)
    if done is not None:
        _check_origin(plan, files, str(done["entry"].get("origin", "")))
        return _with_split(done, plan, files, was_done=True)
    remove_half_written(plan.settings.output / case_folder)
    case = read_case(files, plan.settings.grid_tolerance_mm)
    if fingerprint(plan, files) != made_of:
        raise PreparationError(
            f"The files of {files.name} changed while they were read. Run the command again."
        )
    origin = "" if case.volume is None else origin_of(case.volume)
    _check_origin(plan, files, origin)
    if origin:
        case.notes.append(f"the image is {origin}")
    report(0.3, "resampling")
    arrays = _arrays(plan, files, case, report)
    entry = write_case(
        plan.settings.output,
        files.name,
        arrays.image,
        arrays.labels,
        arrays.window,
        arrays.guidance,
        case_folder,
    )
    labels = [] if arrays.labels is None else [int(v) for v in np.unique(arrays.labels) if v]
    entry |= {
        "labels": labels,
        "ijk_to_ras": arrays.ijk_to_ras.tolist(),
        "unit": _unit(plan, files, case),
        **({"origin": origin} if origin else {}),
        "files": {
            kind: path.relative_to(plan.settings.source).as_posix()
            for kind, path in (("image", files.image), ("labels", files.labels))
            if path is not None
        },
    }
    noted = {"entry": entry, "notes": case.notes}
    path = plan.settings.output / case_folder / CASE_FILE
    write_bytes(path, ".json", lambda: json.dumps(noted, indent=1).encode())
    return _with_split(noted, plan, files, was_done=False)


def _check_origin(plan: Plan, files: CaseFiles, origin: str) -> None:
    """Raises PreparationError for an image that is no scan, where the settings do not take it."""
    split, marked = plan.split_of[files.subject], plan.settings.marked
    if not origin or marked == "keep" or (marked == "train" and split == "train"):
        return
    raise PreparationError(
        f"{files.image} is {origin}, and would be measured on as a scan ({split}). Move its "
        "subject to the training split, leave the case out, or give --marked keep."
        if marked == "train"
        else f"{files.image} is {origin}. Leave the case out, or give --marked train or keep."
    )


def remove_half_written(folder: Path) -> None:
    """Removes what a killed run was writing in a folder of the store."""
    for file in folder.glob(".*") if folder.is_dir() else []:
        if file.is_file() and _HALF_WRITTEN.fullmatch(file.name):
            file.unlink(missing_ok=True)


@dataclass(frozen=True, eq=False)
class _Arrays:
    """Arrays to write: image in its unit, labels as classes, guidance in [0,1]; [K,J,I] each."""

    image: np.ndarray | None
    labels: np.ndarray | None
    guidance: np.ndarray | None
    window: tuple[float, float]
    ijk_to_ras: np.ndarray


def _arrays(plan: Plan, files: CaseFiles, case: ReadCase, report: OnProgress) -> _Arrays:
    settings = plan.settings
    labels = None
    if case.label_map is not None:
        grid = _classes_on_grid(plan, case, case.label_map)
        labels = grid.labels_kji
        if case.volume is None:
            return _Arrays(None, labels, None, (0.0, 1.0), grid.ijk_to_ras)
    elif case.volume is not None:
        empty = np.zeros(case.volume.shape_kji, dtype=np.uint8)
        grid = to_model_grid(LabelMap(empty, case.volume.ijk_to_ras), plan.spacing_mm)
    else:
        raise PreparationError(
            f"The case {files.name} has neither an image nor labels; expected one of them. Leave "
            "the case out."
        )
    volume = volume_to_model_grid(case.volume, grid)
    image = volume.voxels_kji.astype(np.float32)
    inside = None
    if settings.remove_background:
        report(0.4, "removing the background")
        threshold = settings.body_threshold
        if threshold is None and _unit(plan, files, case) == "HU":
            threshold = BODY_THRESHOLD_HU
        inside = body_mask(image, plan.spacing_mm, threshold)
        _note_labels_outside(case, inside, labels)
        if labels is not None:
            inside |= labels > 0
    window = plan.window_for(files)
    if window is None:
        window = percentile_window(image if inside is None else image[inside], settings.percentiles)
    else:
        check_window(image, window)
    if inside is not None:
        image[~inside] = window[0]
    guidance = None
    if settings.guidance == "superpixels":
        report(0.5, "superpixels")
        guidance = superpixel_guidance(
            (image - window[0]) / (window[1] - window[0]),
            plan.spacing_mm,
            settings.num_superpixels,
            settings.compactness,
            settings.superpixel_step,
            settings.superpixel_mode == "slice",
        )
    report(0.9, "writing")
    return _Arrays(image, labels, guidance, window, grid.ijk_to_ras)


def _classes_on_grid(plan: Plan, case: ReadCase, label_map: LabelMap) -> LabelMap:
    """The label map of a case on the store's grid, with the store's classes for labels.

    Changes that a person should know about are added to the notes of the case.
    """
    label_map = _without_slips(plan, case, label_map)
    if plan.has_table_of_files:  # that table has names like "label 7" for values without a name
        label_map = all_named(label_map)
    classes = plan.classes.apply(label_map, plan.settings.unmatched)
    if plan.settings.unmatched == "background":
        num_lost = np.count_nonzero(label_map.labels_kji) - np.count_nonzero(classes.labels_kji)
        if num_lost and not plan.settings.labels:
            case.notes.append(f"{num_lost} voxels have labels outside the table: background")
    grid = to_model_grid(classes, plan.spacing_mm)
    lost = [classes.names[value] for value in sorted(set(classes.values) - set(grid.values))]
    if lost:
        case.notes.append(f"too small for the store's voxels: {', '.join(lost)}")
    if sides_look_exchanged(grid, plan.classes.target.swaps):
        case.notes.append(
            "left and right seem to be exchanged: the image is mirrored, or its header is wrong"
        )
    return grid


def _without_slips(plan: Plan, case: ReadCase, label_map: LabelMap) -> LabelMap:
    """The label map with the archive's known mistakes mended, which is noted."""
    found = {wrong: right for wrong, right in plan.slips.items() if wrong in label_map.values}
    if not found:
        return label_map
    labels = label_map.labels_kji.copy()
    for wrong, right in found.items():
        num_voxels = np.count_nonzero(labels == wrong)
        case.notes.append(f"{num_voxels} voxels with the value {wrong} are read as {right}")
        labels[labels == wrong] = right
    return replace(label_map, labels_kji=labels)


def _note_labels_outside(case: ReadCase, inside: np.ndarray, labels: np.ndarray | None) -> None:
    if labels is None:
        return
    fraction = float(np.mean(~inside[labels > 0])) if labels.any() else 0.0
    if fraction > 0:
        case.notes.append(
            f"{fraction:.1%} of the labeled voxels were outside the body and are kept"
        )


def _unit(plan: Plan, files: CaseFiles, case: ReadCase) -> str:
    if plan.settings.unit is not None:
        return plan.settings.unit
    if plan.ct_window is not None and files.modality != "mr":
        return "HU"
    volume: Volume | None = case.volume
    return volume.unit if volume is not None else ""


def _check_complete(plan: Plan, files: CaseFiles) -> None:
    if plan.settings.incomplete == "keep":
        return
    for path, what in ((files.image, "image"), (files.labels, "label map")):
        if path is None:
            other = files.labels or files.image
            raise PreparationError(
                f"{other} has no {what}; expected a pair. Add it, remove the file, or "
                "give --incomplete keep to store it for semi-supervised or unpaired "
                "training."
            )


def _finished_case(store: Path, case_folder: str) -> dict[str, Any] | None:
    """The notes of an earlier run about the case; None if they are missing or incomplete."""
    path = store / case_folder / CASE_FILE
    if not path.is_file():
        return None
    try:
        noted = parse_json(path.read_bytes())
        open_case(store, noted["entry"] | {"subject": "", "split": "train"})
        return noted | {"notes": [str(note) for note in noted["notes"]]}
    except (OSError, StoreError, ValueError, KeyError, TypeError) as error:
        _log.warning("%s is incomplete and is made again: %s", path.parent, error)
        return None


def _with_split(
    noted: Mapping[str, Any], plan: Plan, files: CaseFiles, was_done: bool
) -> PreparedCase:
    """A case as its file notes it, with the subject and split of this run."""
    entry = noted["entry"] | {"subject": files.subject, "split": plan.split_of[files.subject]}
    return PreparedCase(entry, tuple(noted["notes"]), was_done)
