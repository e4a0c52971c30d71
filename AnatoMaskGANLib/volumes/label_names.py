"""Which file names the values of a label map: one that is given, or one that lies next to it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

from AnatoMaskGANLib.volumes.errors import VolumeError
from AnatoMaskGANLib.volumes.label_name_tables import read_name_table
from AnatoMaskGANLib.volumes.label_table import label_table_path

_logger = logging.getLogger(__name__)

NAMES_FILE = "labels.json"
"""The file that names the values of a label map; it lies next to it, or one folder up."""

# Files that name the values of every label map in their folder and in the folders of cases in it:
# ours, MAISI's, nnU-Net's, FreeSurfer's, and tables of text of other programs.
_NAMES_FOR_ALL = (
    NAMES_FILE,
    "label_dict.json",
    "dataset.json",
    "FreeSurferColorLUT.txt",
    *(f"labels.{ending}" for ending in ("tsv", "csv", "ctbl", "txt", "label", "lut")),
    "dseg.tsv",
)
# Behind the name of a label map, these make the name of the table that came with it.
_ENDINGS_FOR_ONE = (
    *(".mitklabel.json", "_labels.json", ".labels.json", ".tsv", "_dseg.tsv", ".ctbl"),
    *("_ColorTable.csv", "_ColorTable.ctbl", ".csv", ".label", ".lut"),
)
_VOLUME_ENDINGS = (
    *(".nii.gz", ".nii", ".seg.nrrd", ".nrrd", ".nhdr", ".mha", ".mhd", ".mgz", ".mgh"),
    *(".hdr.gz", ".img.gz", ".hdr", ".img"),
)
_BIDS_ROOT = "dataset_description.json"
# A BIDS table in a folder above counts for all files below; a data set is not deeper than this.
_MOST_FOLDERS_UP = 6


def read_label_names(name_or_path: str | Path) -> dict[int, str]:
    """Label value to name, of a file in a known form or a bundled label table ("freesurfer-aseg").

    Raises VolumeError if there is none or if it does not hold names for whole numbers.
    """
    return read_name_table(label_table_path(name_or_path))


def names_file_beside(path: Path) -> Path | None:
    """The file that names the values of a label map, None if there is none.

    It lies next to the file or one folder up; if the file is a link, next to the link first and
    then next to what it leads to. A table that has the name of the label map comes before one for
    all files of a folder. A table of another program that names no values is passed over with a
    warning.
    """
    places = dict.fromkeys((Path(os.path.abspath(path)), path.resolve()))
    for place in places:
        for table in (*_tables_for(place), *_tables_for_all_near(place), *_bids_tables(place)):
            if table.is_file() and (table.name == NAMES_FILE or _names_values(table)):
                return table
    return None


def _names_values(table: Path) -> bool:
    try:
        return bool(read_name_table(table))
    except VolumeError as error:
        _logger.warning("passed over: %s", error)
        return False


def stem_of_volume(name: str) -> str:
    """A file's name without the part that shows its format."""
    for ending in _VOLUME_ENDINGS:
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name


def _tables_for(place: Path) -> Iterator[Path]:
    stem = stem_of_volume(place.name)
    yield from (place.with_name(stem + ending) for ending in _ENDINGS_FOR_ONE)
    # the table has the name of the case: sub-01_ColorTable.csv and sub-01.ctbl for sub-01_dseg
    case = stem.rpartition("_")[0]
    if case:
        yield from (place.with_name(case + ending) for ending in _ENDINGS_FOR_ONE[5:])


def _tables_for_all_near(place: Path) -> Iterator[Path]:
    for folder in place.parents[:2]:
        yield from (folder / name for name in _NAMES_FOR_ALL)


def _bids_tables(place: Path) -> Iterator[Path]:
    """Tables in the folders above, up to the one of the data set, all of whose entities the file
    has: desc-aseg_dseg.tsv for sub-01_desc-aseg_dseg.nii.gz."""
    entities = set(stem_of_volume(place.name).split("_"))
    if "dseg" not in entities:
        return
    folders = place.parents[:_MOST_FOLDERS_UP]
    roots = [number for number, folder in enumerate(folders) if (folder / _BIDS_ROOT).is_file()]
    for folder in folders[: roots[0] + 1] if roots else folders[:1]:
        found = [
            table
            for table in sorted(folder.glob("*dseg.tsv"))
            if set(table.name.removesuffix(".tsv").split("_")) <= entities
        ]
        yield from sorted(found, key=lambda table: -len(table.name.split("_")))
