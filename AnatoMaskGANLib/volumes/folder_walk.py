"""The folders of an archive, through links, without what is hidden."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


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
