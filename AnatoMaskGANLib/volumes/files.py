"""Label maps and volumes in files: NIfTI, NRRD, MetaImage; for reading MGH and DICOM as well."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from AnatoMaskGANLib.volumes import itk_files, nifti_files
from AnatoMaskGANLib.volumes.atomic_writing import replacing
from AnatoMaskGANLib.volumes.dicom.files import read_dicom_file, read_dicom_folder
from AnatoMaskGANLib.volumes.dicom.header import has_dicom_mark
from AnatoMaskGANLib.volumes.errors import VolumeError
from AnatoMaskGANLib.volumes.file_hash import file_sha256
from AnatoMaskGANLib.volumes.geometry import without_rounding_shear
from AnatoMaskGANLib.volumes.label_map import LabelMap, in_smallest_type
from AnatoMaskGANLib.volumes.label_names import (
    names_file_beside,
    read_label_names,
    stem_of_volume,
)
from AnatoMaskGANLib.volumes.label_table import is_structure_name
from AnatoMaskGANLib.volumes.slicer_segments import (
    check_segments,
    have_values_of_their_own,
    keys_of,
    merged_layers,
    segments_of,
)
from AnatoMaskGANLib.volumes.stored_volume import (
    RECORD_KEY,
    SCALING_KEY,
    StoredVolume,
    record_of,
)
from AnatoMaskGANLib.volumes.volume import Volume
from AnatoMaskGANLib.volumes.whole_numbers import labels_of

_logger = logging.getLogger(__name__)

_Container = TypeVar("_Container", LabelMap, Volume)

_NIFTI_SUFFIXES = (".nii", ".nii.gz")
_PAIR_SUFFIXES = (".hdr", ".hdr.gz", ".img", ".img.gz")
_MGH_SUFFIXES = (".mgh", ".mgz")
_ITK_SUFFIXES = (".nrrd", ".nhdr", ".mha", ".mhd", ".dcm")
READABLE_SUFFIXES = _NIFTI_SUFFIXES + _MGH_SUFFIXES + _ITK_SUFFIXES + _PAIR_SUFFIXES
# These halves of pairs hold only voxels; in a folder, their headers stand for them.
VOXEL_FILE_SUFFIXES = (".img", ".img.gz")
# One file of a DICOM series is one slice, not a label map.
SLICE_SUFFIX = ".dcm"
# Each of these types is a single file, so that replacing it is one step.
WRITABLE_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha")

_METAIMAGE_SUFFIX = ".mha"
# ITK refuses to read more in one field than 2^15 bytes with its name.
_LONGEST_METAIMAGE_NOTE = 32_000


def read_label_map(
    path: str | Path, table: str | Path | Mapping[int, str] | None = None
) -> LabelMap:
    """The label map of a NIfTI, NRRD (also .seg.nrrd), MetaImage or MGH file, or a DICOM SEG.

    Names come from `table` (a file in a form of `label_name_tables.py`, the name of a bundled
    table, or value to name), else from the file itself, else from a file next to it (see
    `label_names.py`). Raises VolumeError for a missing, unreadable or truncated file, for fewer or
    more than three dimensions, for an invalid geometry, and for an intensity image: fractional,
    negative or more than 1000 different values.
    """
    path = Path(path)
    stored = _read(path)
    names, codes = _noted_names(stored.record)
    array = stored.array
    num_layers = array.shape[3] if array.ndim == 4 else 1
    segments = segments_of(stored.header, num_layers)
    check_segments(path, segments, num_layers)
    has_names = any(segment.name for segment in segments) if segments else bool(names)
    by_value = table if table is not None or has_names else names_file_beside(path)
    if array.ndim == 4 and segments:
        if by_value is not None and not have_values_of_their_own(segments):
            given = "names by value" if isinstance(by_value, Mapping) else by_value
            raise VolumeError(
                f"{path} has segments with the same label value in different layers, which "
                f"{given} cannot tell apart; expected a different value for each. Use the names "
                "in the file, or export the segmentation as a label map."
            )
        array, segments = merged_layers(path, array, segments)
    if segments:
        names = {segment.value: segment.name for segment in segments if segment.name}
        codes = {segment.value: segment.code for segment in segments if segment.code}
    if isinstance(by_value, Mapping):
        names = dict(by_value)
    elif by_value is not None:
        names = read_label_names(by_value)
    if table is not None:
        codes = {}
    scaling = stored.header.get(SCALING_KEY, "")
    label_map = _of_file(
        path,
        lambda: LabelMap(labels_of(path, array, scaling), stored.ijk_to_ras, names, codes),
    )
    stem = stem_of_volume(path.name)
    if not names and not codes and len(label_map.values) == 1 and is_structure_name(stem):
        _logger.info("%s: its one label is named by the file, %s", path, stem)
        return replace(label_map, names={label_map.values[0]: stem})
    return label_map


def read_volume(path: str | Path) -> Volume:
    """The volume of a file, or of a folder with one DICOM series.

    Integers stay integers, other numbers become float32. Raises VolumeError as `read_label_map`,
    and for a DICOM segmentation object.
    """
    path = Path(path)
    stored = _read(path)
    if stored.is_segmentation:
        raise VolumeError(
            f"{path} is a DICOM segmentation object; expected a scan. Give the series of images "
            "that was segmented."
        )
    window, unit, provenance = _noted_origin(stored.record)
    return _of_file(path, lambda: Volume(stored.array, stored.ijk_to_ras, window, unit, provenance))


def write_label_map(label_map: LabelMap, path: str | Path) -> str:
    """Writes labels, place, names and codes; the file is whole or as it was.

    Returns the SHA-256 of what was written.
    Raises VolumeError for an unknown file type and for a path that cannot be written.
    """
    labels = in_smallest_type(label_map.labels_kji)
    record = {
        "names": {str(value): name for value, name in label_map.names.items()},
        "codes": {str(value): code for value, code in label_map.codes.items()},
    }
    record = {key: entry for key, entry in record.items() if entry}
    is_metaimage = Path(path).suffix.lower() == _METAIMAGE_SUFFIX
    keys = keys_of(label_map.names, label_map.codes, only_ascii=is_metaimage)
    return _write(labels, label_map.ijk_to_ras, record, keys, path)


def write_volume(volume: Volume, path: str | Path) -> str:
    """Writes voxels, place, window, unit and provenance; the file is whole or as it was.

    Returns the SHA-256 of what was written.
    Raises VolumeError for an unknown file type and for a path that cannot be written.
    """
    record = record_of(volume)
    keys = {RECORD_KEY: json.dumps(record)} if record else {}
    return _write(volume.voxels_kji, volume.ijk_to_ras, record, keys, path)


def _read(path: Path) -> StoredVolume:
    """What a file holds; a shear of its axes that is only rounding is removed."""
    stored = _read_as_it_is(path)
    place, shift_mm = without_rounding_shear(stored.array.shape, stored.ijk_to_ras)
    if not shift_mm:
        return stored
    _logger.warning(
        "%s: its axes are not quite perpendicular, as numbers rounded in a header make them; made "
        "perpendicular, which moves voxels by up to %.2g mm",
        *(path, shift_mm),
    )
    return replace(stored, ijk_to_ras=place)


def _read_as_it_is(path: Path) -> StoredVolume:
    if path.is_dir():
        return read_dicom_folder(path)
    if not path.exists():
        raise VolumeError(f"{path} does not exist. Check the path.")
    if _is_dicom_by_content(path):
        return read_dicom_file(path)
    suffix = _suffix_of(path, READABLE_SUFFIXES, "read")
    if not os.access(path, os.R_OK):
        raise VolumeError(f"{path} cannot be read: no permission. Change the permissions.")
    if path.stat().st_size == 0:
        raise VolumeError(f"{path} is empty (0 bytes). Copy or export it again.")
    nibabel = nifti_files.nibabel_if_installed()
    if suffix in _MGH_SUFFIXES:
        if nibabel is None:
            raise VolumeError(
                f"{path} needs the package nibabel. Install it, or convert the file to NIfTI."
            )
        return nifti_files.read_mgh(path, nibabel)
    if suffix in _NIFTI_SUFFIXES + _PAIR_SUFFIXES:
        if nibabel is None:
            return nifti_files.read_nifti_alone(path)
        return nifti_files.read_nifti(path, nibabel)
    if suffix == SLICE_SUFFIX:
        return read_dicom_file(path)
    return itk_files.read_with_itk(path)


def _is_dicom_by_content(path: Path) -> bool:
    """Whether a file whose name does not show its type has the mark of DICOM, as archives of
    scanners write them."""
    if path.name.lower().endswith(READABLE_SUFFIXES) or not os.access(path, os.R_OK):
        return False
    return path.is_file() and has_dicom_mark(path)


def _write(
    array: np.ndarray,
    ijk_to_ras: np.ndarray,
    record: Mapping[str, Any],
    keys: Mapping[str, str],
    path: str | Path,
) -> str:
    path = Path(path)
    suffix = _suffix_of(path, WRITABLE_SUFFIXES, "written")
    nibabel = nifti_files.nibabel_if_installed()
    if suffix in _NIFTI_SUFFIXES and nibabel is not None:
        is_compressed = suffix == ".nii.gz"
        with replacing(path, suffix) as temporary:
            content = nifti_files.nifti_bytes(array, ijk_to_ras, record, nibabel, is_compressed)
            temporary.write_bytes(content)
        return hashlib.sha256(content).hexdigest()
    if suffix in _NIFTI_SUFFIXES and record:
        _logger.warning(
            "Without the package nibabel the header of %s holds only a short note, not the names "
            "or the whole provenance",
            path,
        )
        keys = {"ITK_FileNotes": nifti_files.short_description(record)}
    if suffix == _METAIMAGE_SUFFIX:
        _check_notes_fit(path, keys)
    with replacing(path, suffix) as temporary:
        itk_files.write_with_itk(array, ijk_to_ras, keys, temporary)
        return file_sha256(temporary)


def _check_notes_fit(path: Path, keys: Mapping[str, str]) -> None:
    """Raises VolumeError for a note that no reader of MetaImage files would take."""
    for key, text in keys.items():
        if len(text) > _LONGEST_METAIMAGE_NOTE:
            raise VolumeError(
                f"{path} would have {len(text)} characters in the entry {key} of its "
                "header (names or provenance); a MetaImage file can have at most "
                f"{_LONGEST_METAIMAGE_NOTE}. Write NRRD (.nrrd) or NIfTI (.nii.gz) "
                "instead."
            )


def _suffix_of(path: Path, suffixes: tuple[str, ...], verb: str) -> str:
    name = path.name.lower()
    for suffix in sorted(suffixes, key=len, reverse=True):
        if name.endswith(suffix) and name != suffix:
            return suffix
    raise VolumeError(
        f"{path} cannot be {verb}: its file type is not supported; expected a name that "
        f"ends with one of {', '.join(suffixes)}."
    )


def _noted_names(record: Mapping[str, Any]) -> tuple[dict[int, str], dict[int, str]]:
    """Names and codes of a record; what is not spelled as this project spells it is left out."""

    def of(key: str) -> dict[int, str]:
        entries = record.get(key)
        if not isinstance(entries, dict):
            return {}
        # 18 digits are what 64 bits hold
        return {
            int(v): str(name)
            for v, name in entries.items()
            if str(v).isdecimal() and len(str(v)) <= 18
        }

    return of("names"), of("codes")


def _noted_origin(
    record: Mapping[str, Any],
) -> tuple[tuple[float, float] | None, str, dict[str, str]]:
    """Window, unit and provenance of a record; what is not spelled as expected is left out."""
    unit, provenance = record.get("unit"), record.get("provenance")
    return (
        _window_of(record.get("window")),
        unit if isinstance(unit, str) else "",
        provenance if isinstance(provenance, dict) else {},
    )


def _window_of(noted: Any) -> tuple[float, float] | None:
    """A noted window; None for anything but two ascending numbers that float32 can hold."""
    if not isinstance(noted, list) or len(noted) != 2:
        return None
    low, high = noted
    if not (isinstance(low, int | float) and isinstance(high, int | float)):
        return None
    largest = float(np.finfo(np.float32).max)
    is_window = abs(low) < largest and abs(high) < largest and low < high
    return (float(low), float(high)) if is_window else None


def _of_file(path: Path, make: Callable[[], _Container]) -> _Container:
    """Returns what `make` returns; its errors are raised with the path in front."""
    try:
        return make()
    except VolumeError as error:
        raise VolumeError(f"{path}: {error}") from error
