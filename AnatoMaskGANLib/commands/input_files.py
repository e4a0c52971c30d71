"""The label maps that a batch works on: the files of its inputs, without its own results."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable
from pathlib import Path

from AnatoMaskGANLib.commands.manifest import MANIFEST_PATTERN, read_records
from AnatoMaskGANLib.commands.result_files import (
    SEGMENTATION_NAME,
    SEGMENTATION_SUFFIX,
    deformed_label_file,
    volume_files,
    volume_stem,
    volume_suffix,
)

_log = logging.getLogger(__name__)

# Endings in the names of label maps that lie next to scans: BIDS, Slicer, nnU-Net's copies.
_SEGMENTATION_ENDING = re.compile(
    r"[-_.](?:seg|dseg|label|labels|labelmap|segmentation)(?:[-_]\d+)?$", re.IGNORECASE
)


def find_label_maps(inputs: Iterable[Path], output: Path, deforms: bool = False) -> list[Path]:
    """The files of the inputs, each once; folders are searched.

    A folder stands for the files named `seg` in it and the segmentations that Slicer saves
    (.seg.nrrd), at any depth; when there is none, for the files whose names end in a word such as
    `_dseg` or `-label`, else for all its volume files, and without any for its DICOM segmentation
    objects. A folder that holds one mask for each structure (see `volumes/mask_folder.py`) stays a
    folder, which is one label map. A file that does not exist stays in the list, so that reading it
    gives the error. Files in an output folder below an input count as results and are left out, as
    are files that the manifest of another output folder names; of these, deformed label maps are
    left out only where new ones are made (`deforms`).
    Raises ValueError for a folder without any volume file.
    """
    found: dict[Path, None] = {}
    for path in inputs:
        found.update(dict.fromkeys(_files_in(path, output, deforms) if path.is_dir() else [path]))
    return list(found)


def _files_in(folder: Path, output: Path, deforms: bool) -> list[Path]:
    results = _results_in(folder, output, deforms)
    volumes = [file for file in volume_files(folder) if file not in results]
    if not volumes:
        volumes = _segmentation_objects(folder, output)
        if volumes:
            return volumes
        raise ValueError(
            f"The folder {folder} contains no volume file (results in the output folder "
            "are not counted). Expected label maps (NIfTI, NRRD, MetaImage or DICOM segmentation "
            "files) in it or in its subfolders."
        )
    for is_segmentation in (_is_named_segmentation, _ends_like_segmentation):
        segmentations = [file for file in volumes if is_segmentation(file)]
        if segmentations:
            _tell_left_out(folder, volumes, segmentations)
            return segmentations
    return _with_mask_folders(volumes)


def _segmentation_objects(folder: Path, output: Path) -> list[Path]:
    """The DICOM segmentation objects in the folder and below, but for those in the output."""
    from AnatoMaskGANLib.volumes.dicom.files import is_segmentation_file
    from AnatoMaskGANLib.volumes.source_files import all_files

    ours = output.resolve()
    return [
        file
        for file in all_files(folder)
        if volume_suffix(file) is None
        and ours not in file.resolve().parents
        and is_segmentation_file(file)
    ]


def _is_named_segmentation(file: Path) -> bool:
    return volume_stem(file) == SEGMENTATION_NAME or volume_suffix(file) == SEGMENTATION_SUFFIX


def _ends_like_segmentation(file: Path) -> bool:
    return _SEGMENTATION_ENDING.search(volume_stem(file)) is not None


def _tell_left_out(folder: Path, volumes: list[Path], taken: list[Path]) -> None:
    if len(taken) < len(volumes):
        _log.info(
            "%s: %d files are taken for label maps by their names (such as %s); %d others are left "
            "out",
            *(folder, len(taken), taken[0].name, len(volumes) - len(taken)),
        )


def _with_mask_folders(volumes: list[Path]) -> list[Path]:
    """The files, with a folder of masks in place of its files."""
    from AnatoMaskGANLib.volumes.mask_folder import is_mask_folder

    folders = {folder: is_mask_folder(folder) for folder in {file.parent for file in volumes}}
    places = [file.parent if folders[file.parent] else file for file in volumes]
    return list(dict.fromkeys(places))


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
