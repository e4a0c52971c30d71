"""Lists files to read: all below a folder, and those that are read together with one of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from AnatoMaskGANLib.volumes.errors import VolumeError
from AnatoMaskGANLib.volumes.label_names import names_file_beside
from AnatoMaskGANLib.volumes.nifti_header import voxel_file_of
from AnatoMaskGANLib.volumes.text_headers import data_file_of


def all_folders(source: Path, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """The folder and all below it, sorted, without hidden ones and links that lead back up.

    above: the folders on the way to it, without links. Raises OSError for one that cannot be read.
    """
    yield source
    above = (*above, source.resolve())
    for folder in sorted(path for path in source.iterdir() if path.is_dir()):
        if not folder.name.startswith(".") and folder.resolve() not in above:
            yield from all_folders(folder, above)


def all_files(source: Path) -> list[Path]:
    """The files in the folder and all below it, sorted, without hidden ones, which are what a
    killed process was writing.

    Raises OSError for a folder that cannot be read.
    """
    return sorted(
        file
        for folder in all_folders(source)
        for file in folder.iterdir()
        if not file.name.startswith(".") and file.is_file()
    )


def files_read_with(path: Path) -> tuple[Path, ...]:
    """The file itself, the data file that its header names, and the label names next to it.

    For a folder (a DICOM series, or mask files): all files in it with those that their headers
    name, sorted. A data file that reading refuses is not among them. Raises OSError for a file that
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
