"""The label maps that a batch works on: the files of its inputs, without its own results."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from pathlib import Path

from AnatoMaskGANLib.commands.manifest import MANIFEST_PATTERN, read_records
from AnatoMaskGANLib.commands.result_files import (
    SEGMENTATION_NAME,
    deformed_label_file,
    volume_files,
    volume_stem,
)

_log = logging.getLogger(__name__)


def find_label_maps(inputs: Iterable[Path], output: Path, deforms: bool = False) -> list[Path]:
    """The files of the inputs, each once; folders are searched.

    A folder stands for the files named `seg` in it, at any depth; if there are none, for all its
    volume files. A file that does not exist stays in the list, so that reading it gives the error.
    Files in an output folder below an input count as results and are left out. So are the files
    that the manifest of another output folder names, but its deformed label maps only if new ones
    are made (`deforms`). Raises ValueError for a folder without any volume file.
    """
    found: dict[Path, None] = {}
    for path in inputs:
        found.update(dict.fromkeys(_files_in(path, output, deforms) if path.is_dir() else [path]))
    return list(found)


def _files_in(folder: Path, output: Path, deforms: bool) -> list[Path]:
    results = _results_in(folder, output, deforms)
    volumes = [file for file in volume_files(folder) if file not in results]
    if not volumes:
        raise ValueError(
            f"The folder {folder} contains no volume file (results in the output folder "
            "are not counted). Expected label maps (NIfTI, NRRD or MetaImage files) in it "
            "or in its subfolders."
        )
    segmentations = [file for file in volumes if volume_stem(file) == SEGMENTATION_NAME]
    return segmentations or volumes


def _results_in(folder: Path, output: Path, deforms: bool) -> set[Path]:
    """The volume files of the folder that are results of earlier runs with this output."""
    if not output.is_dir():
        return set()
    top, ours = folder.resolve(), output.resolve()
    if top in ours.parents:
        results = {file for file in volume_files(folder) if ours in file.resolve().parents}
        if results:
            _log.info(
                "%d files in %s are left out, because they are results of this program",
                len(results),
                output,
            )
        return results
    if ours != top and ours not in top.parents:
        return set()
    made_paths = set()
    for manifest in output.glob(MANIFEST_PATTERN):
        for record in read_records(manifest):
            target = output / str(record.get("target"))
            made_paths.add(os.path.realpath(target))
            if deforms and record.get("deformation") is not None:
                made_paths.add(os.path.realpath(deformed_label_file(target)))
    return {file for file in volume_files(folder) if os.path.realpath(file) in made_paths}
