"""Plans what a run of `prepare` will do, before any array is written."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from AnatoMaskGANLib.config import settings_to_dict
from AnatoMaskGANLib.preparation import case_folders
from AnatoMaskGANLib.preparation.archives import ARCHIVES, CaseFiles
from AnatoMaskGANLib.preparation.label_classes import (
    LabelClasses,
    check_named_alike,
    choose_classes,
    one_sided_labels,
    read_table,
    table_of_names,
)
from AnatoMaskGANLib.preparation.reading import mask_files, names_in, spacing_ras_mm
from AnatoMaskGANLib.preparation.settings import PreparationError, PreparationSettings
from AnatoMaskGANLib.preparation.subject_split import (
    LEFT_OUT,
    SPLIT_FILE,
    check_split,
    read_earlier_split,
    read_split,
    split_subjects,
)
from AnatoMaskGANLib.volumes import LabelTable, VolumeError, read_label_map, read_volume
from AnatoMaskGANLib.volumes.case_store import INDEX, StoreError, read_index

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Plan:
    """The cases of a run and what every one of them becomes."""

    settings: PreparationSettings
    cases: tuple[CaseFiles, ...]
    left_out: tuple[str, ...]
    """Names of cases that were found and are not used."""
    split_of: dict[str, str]
    """Subject to split."""
    absent: dict[str, str]
    """Subjects of earlier runs that are not there now, with the splits that they come back to."""
    classes: LabelClasses
    spacing_mm: tuple[float, float, float]
    slips: dict[int, int]
    """Label value that the archive is known to hold by mistake -> the value that is meant."""
    ct_window: tuple[float, float] | None
    """The archive's window for its CT."""

    @property
    def has_table_of_files(self) -> bool:
        """Whether the table is made of the names in the files, and was not given by somebody."""
        return self.settings.table is None and self.settings.layout not in ARCHIVES

    def window_for(self, files: CaseFiles) -> tuple[float, float] | None:
        """The intensities that become 0 and 1 in a case; None for percentiles."""
        if self.settings.window is not None:
            return self.settings.window
        return None if files.modality == "mr" else self.ct_window


def make_plan(settings: PreparationSettings) -> Plan:
    """Finds the cases, and settles classes, spacing and split.

    A store that is continued with the same settings keeps its classes, spacing and split. Raises
    PreparationError, StoreError or VolumeError with what to do.
    """
    earlier = _earlier_index(settings)
    cases, left_out = _find_cases(settings)
    assigned, absent = _split(settings, cases, earlier)
    used = tuple(case for case in cases if assigned[case.subject] != LEFT_OUT)
    left_out += [case.name for case in cases if assigned[case.subject] == LEFT_OUT]
    archive = ARCHIVES.get(settings.layout)
    if earlier is not None and earlier["preparation"].get("settings") == plain(settings):
        table = LabelTable.from_dict(earlier["preparation"]["source_table"])
        spacing = tuple(earlier["spacing_ijk_mm"])
    else:
        table = _table(settings, used)
        spacing = settings.spacing_mm or (archive and archive.spacing_mm) or _median_spacing(used)
    classes = choose_classes(table, settings.labels, settings.merge)
    for name in one_sided_labels(classes):
        _log.warning(
            "the label %s is kept but its partner on the other side is not: train with flip: false",
            name,
        )
    return Plan(
        settings,
        used,
        tuple(left_out),
        assigned,
        absent,
        classes,
        spacing,
        dict(archive.slips) if archive else {},
        archive.ct_window if archive else None,
    )


def plain(settings: PreparationSettings) -> dict[str, Any]:
    """The settings for JSON, without the places of source and store, which may be moved."""
    values = settings_to_dict(settings)
    del values["source"], values["output"]
    if settings.marked == "train":
        del values["marked"]  # older stores do not have it
    return values | {"split_file": str(settings.split_file) if settings.split_file else None}


def _earlier_index(settings: PreparationSettings) -> dict[str, Any] | None:
    """The index of the store that is continued; None for a new one.

    Raises StoreError for a store of another version, PreparationError for a wrong folder.
    """
    if not settings.source.is_dir():
        raise PreparationError(
            f"{settings.source} is not a folder; expected the folder of the unpacked archive."
        )
    settings.output.mkdir(parents=True, exist_ok=True)
    if not (settings.output / INDEX).exists():
        return None
    try:
        return read_index(settings.output)
    except StoreError as error:
        raise StoreError(
            f"{error}. anatomaskgan prepare does not overwrite it: give a "
            f"new folder, or remove {settings.output / INDEX}."
        ) from error


def _find_cases(settings: PreparationSettings) -> tuple[list[CaseFiles], list[str]]:
    """The cases to prepare, and the names of the test cases that are left out."""
    archive = ARCHIVES.get(settings.layout)
    has_patterns = settings.images is not None or settings.label_files is not None
    if archive is not None:
        found, expected = archive.find(settings.source), archive.expected
    elif has_patterns:
        found = case_folders.find_by_patterns(
            settings.source, settings.images, settings.label_files
        )
        expected = f"files like {settings.images} and {settings.label_files}"
    else:
        found, expected = case_folders.find_case_folders(settings.source), case_folders.EXPECTED
    if not found:
        raise PreparationError(
            f"{settings.source} contains no case of the layout {settings.layout}; "
            f"expected {expected}."
        )
    names = [case.name for case in found]
    for name in names:
        if names.count(name) > 1:
            raise PreparationError(
                f"{settings.source} holds {names.count(name)} cases named {name}; expected one. "
                "Rename them, or give the folder of one data set."
            )
    found = [case_folders.with_subject(case, settings.subject_pattern) for case in found]
    if settings.subject_pattern is None and not has_patterns and archive is None:
        _warn_of_neighbors(settings, found)
    is_left_out = [case.is_test and settings.incomplete == "stop" for case in found]
    kept = [case for case, is_out in zip(found, is_left_out, strict=True) if not is_out]
    if not kept:
        raise PreparationError(
            f"{settings.source} holds {len(found)} test cases without labels and no other "
            "cases; expected cases with labels. Give the training part as well, or "
            "--incomplete keep."
        )
    return kept, [case.name for case, is_out in zip(found, is_left_out, strict=True) if is_out]


def _warn_of_neighbors(settings: PreparationSettings, found: Sequence[CaseFiles]) -> None:
    pair = case_folders.neighbors_of_two_subjects(settings.source, found)
    if pair is not None:
        _log.warning(
            "%s and %s are treated as two subjects and may get into different splits: "
            "give --subject-pattern if they are scans of the same subject",
            pair[0].name,
            pair[1].name,
        )


def split_settings(settings: PreparationSettings) -> dict[str, Any]:
    """The settings that a split depends on, besides the subjects, for JSON."""
    values = plain(settings)
    return {key: values[key] for key in ("split", "split_seed", "split_file")}


def _split(
    settings: PreparationSettings, cases: Sequence[CaseFiles], earlier: dict[str, Any] | None
) -> tuple[dict[str, str], dict[str, str]]:
    """Subject to split: of the subjects that are there, and of earlier ones that are not."""
    subjects = {case.subject for case in cases}
    if settings.split_file is not None:
        assigned = read_split(settings.split_file)
        check_split(assigned, subjects, settings.split_file)
        return assigned, {}
    written = settings.output / SPLIT_FILE
    known: dict[str, str] = {}
    if written.exists():
        before = earlier["preparation"].get("settings", {}) if earlier else {}
        found = read_earlier_split(written, split_settings(settings), before)
        if found is None:
            _log.warning("the split is drawn again, because its settings have changed")
        known = found or {}
    assigned = split_subjects(subjects, settings.split, settings.split_seed, known)
    return assigned, {s: split for s, split in known.items() if s not in assigned}


def _table(settings: PreparationSettings, cases: Sequence[CaseFiles]) -> LabelTable:
    if settings.table is not None:
        return read_table(settings.table)
    if settings.layout in ARCHIVES:
        return read_table(ARCHIVES[settings.layout].table)
    found = {}
    for case in cases:
        try:
            found[case.name] = names_in(case)
        except VolumeError as error:  # the case itself will be reported when its turn comes
            _log.debug("no label names from %s: %s", case.name, error)
    check_named_alike(found)
    return table_of_names(settings.source.name or "labels", found.values())


def _median_spacing(cases: Sequence[CaseFiles]) -> tuple[float, float, float]:
    """The median of the cases' voxel sizes along right, anterior and superior, to four digits."""
    spacings = []
    for case in cases:
        try:
            spacings += _spacings_of(case)
        except VolumeError as error:
            _log.debug("no spacing from %s: %s", case.name, error)
    if not spacings:
        raise PreparationError("No case can be read; expected at least one readable image.")
    median = np.median(np.array(spacings), axis=0)
    i, j, k = (float(f"{mm:.4g}") for mm in median)
    return i, j, k


def _spacings_of(case: CaseFiles) -> list[tuple[float, float, float]]:
    """The voxel size of a case's label map, or of its image where it has no label map."""
    if case.labels is not None:
        file = mask_files(case.labels)[0] if case.labels.is_dir() else case.labels
        return [spacing_ras_mm(read_label_map(file))]
    return [spacing_ras_mm(read_volume(case.image))] if case.image is not None else []
