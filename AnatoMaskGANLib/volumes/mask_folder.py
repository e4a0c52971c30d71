"""A folder with one mask a structure, named by its file, as TotalSegmentator writes it."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np

from AnatoMaskGANLib.volumes.errors import VolumeError
from AnatoMaskGANLib.volumes.files import (
    READABLE_SUFFIXES,
    SLICE_SUFFIX,
    VOXEL_FILE_SUFFIXES,
    read_label_map,
)
from AnatoMaskGANLib.volumes.label_map import LabelMap
from AnatoMaskGANLib.volumes.label_names import stem_of_volume
from AnatoMaskGANLib.volumes.label_table import is_structure_name
from AnatoMaskGANLib.volumes.volume import same_grid

_logger = logging.getLogger(__name__)

# Masks of different organs may overlap by this fraction of the smaller one: its rim.
_LARGEST_OVERLAP = 0.01

# Headers of masks that one program wrote may differ by the rounding of their places.
_SAME_PLACE_MM = 1e-2


def mask_files(folder: Path) -> list[Path]:
    """The volume files of a folder, without hidden ones and those in folders below, by name."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_file() and not path.name.startswith(".") and _is_volume(path)
    )


def is_mask_folder(folder: Path) -> bool:
    """Whether at least two files lie in a folder and most of their names are those of structures.

    Structures are what any bundled label table has, by name or alias.
    """
    files = mask_files(folder) if folder.is_dir() else []
    known = [file for file in files if is_structure_name(stem_of_volume(file.name))]
    return len(files) > 1 and 2 * len(known) >= len(files)


def read_mask_folder(folder: Path, notes: list[str] | None = None) -> LabelMap:
    """One label map of all masks, numbered from 1 in the order of their names.

    Where masks overlap a little, the first one stays, which is noted (in the log without `notes`).
    Raises VolumeError where they overlap by more than 1 % of the smaller one, where their grids
    differ, for a file that is no mask, and for a folder without any.
    """
    merged: LabelMap | None = None
    names: dict[int, str] = {}
    for value, path in enumerate(mask_files(folder), start=1):
        mask = read_label_map(path, {})
        if len(mask.values) > 1:
            raise VolumeError(
                f"{path} has the labels {', '.join(map(str, mask.values[:8]))}; expected "
                f"a mask of one value, as the other files in {folder} have. Give a folder "
                "that contains only masks, or label maps one by one."
            )
        names[value] = stem_of_volume(path.name)
        is_inside = mask.labels_kji > 0
        if merged is None:
            labels = np.zeros(mask.shape_kji, dtype=np.int32)
            merged = replace(mask, labels_kji=labels, names={}, codes={})
        if not same_grid(mask, merged, _SAME_PLACE_MM):
            raise VolumeError(
                f"{path} has another grid than the masks before it in {folder}; expected one grid. "
                "Resample the masks onto one, or move this one elsewhere."
            )
        overlap = is_inside & (merged.labels_kji > 0)
        num_shared = int(np.count_nonzero(overlap))
        if num_shared:
            other = int(np.bincount(merged.labels_kji[overlap]).argmax())
            smaller = min(np.count_nonzero(is_inside), np.count_nonzero(merged.labels_kji == other))
            if num_shared > _LARGEST_OVERLAP * smaller:
                raise VolumeError(
                    f"In {folder} the masks {names[other]} and {names[value]} overlap in "
                    f"{num_shared} voxels; expected one label for each voxel. Leave one of "
                    "them out."
                )
            note = f"{num_shared} voxels of {names[value]} belong to {names[other]} as well"
            if notes is None:
                _logger.warning("%s: %s", folder, note)
            else:
                notes.append(note)
        merged.labels_kji[is_inside & ~overlap] = value
    if merged is None:
        raise VolumeError(f"{folder} contains no mask file; expected one for each label.")
    return replace(merged, names=names)


def _is_volume(path: Path) -> bool:
    name = path.name.lower()
    is_other = name.endswith((*VOXEL_FILE_SUFFIXES, SLICE_SUFFIX))
    return name.endswith(READABLE_SUFFIXES) and not is_other
