"""The files that a volume or label map is read from: more than the one that is named."""

from __future__ import annotations

from pathlib import Path

from AnatoMaskGANLib.volumes.errors import VolumeError
from AnatoMaskGANLib.volumes.label_names import names_file_beside
from AnatoMaskGANLib.volumes.nifti_header import voxel_file_of
from AnatoMaskGANLib.volumes.text_headers import data_file_of


def files_read_with(path: Path) -> tuple[Path, ...]:
    """The file itself, the data file that its header names, and the label names beside it.

    Of a folder (a DICOM series, or mask files) all files in it with those that their headers name,
    sorted. A data file that reading refuses is not among them. Raises OSError for a file that
    cannot be opened.
    """
    if path.is_dir():
        files = [file for file in path.iterdir() if file.is_file()]
        return tuple(sorted({*files, *(data for file in files for data in _data_of(file))}))
    names = names_file_beside(path)
    return (path, *_data_of(path), *voxel_file_of(path), *([names] if names else []))


def _data_of(path: Path) -> list[Path]:
    """The detached data file of a header, if it has one that can be read."""
    try:
        data = data_file_of(path)
    except VolumeError:  # the reader says what is wrong when the file's turn comes
        return []
    return [data] if data else []
