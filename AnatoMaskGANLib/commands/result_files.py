"""Finds out which files are volumes, and plans the file of each result."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SEGMENTATION_NAME = "seg"
SEGMENTATION_SUFFIX = ".seg.nrrd"
# Ends of names that no folder of results is meant to have; ".v2" and the like are none.
OTHER_FILE_SUFFIXES = (
    *(".hdr", ".img", ".minc", ".mnc", ".nifti", ".raw", ".vti", ".vtk", ".zraw"),
    *(".bmp", ".gif", ".jpeg", ".jpg", ".pdf", ".png", ".tif", ".tiff"),
    *(".7z", ".bz2", ".gz", ".tar", ".tgz", ".xz", ".zip", ".zst"),
    *(".csv", ".h5", ".hdf5", ".json", ".jsonl", ".mat", ".npy", ".npz", ".txt", ".yaml", ".yml"),
)
DEFAULT_SUFFIX = ".nii.gz"
SERIES_SUFFIX = ".dcm"
"""End of the name of a folder with a DICOM series."""
DEFORMED_IMAGE = f"image{DEFAULT_SUFFIX}"
DEFORMED_LABELS = f"{SEGMENTATION_NAME}{DEFAULT_SUFFIX}"


@dataclass(frozen=True)
class Job:
    """One label map and the volumes to make from it."""

    source: Path
    """File of the label map."""
    targets: Mapping[int, Path]
    """Seed of the noise -> file of the synthetic volume."""
    deformation: int | None = None
    """Number of the new anatomy that is made of the label map first; None keeps it as it is."""


def volume_suffix(path: Path) -> str | None:
    """The file's suffix in lower case (`.nii.gz`, `.seg.nrrd`), None when it is no volume file."""
    from AnatoMaskGANLib.volumes.files import READABLE_SUFFIXES, SLICE_SUFFIX

    # Longest first, so that `.nii.gz` and `.seg.nrrd` are found whole.
    suffixes = sorted((*READABLE_SUFFIXES, SEGMENTATION_SUFFIX), key=len, reverse=True)
    name = path.name.lower()
    return next((end for end in suffixes if name.endswith(end) and end != SLICE_SUFFIX), None)


def volume_stem(path: Path) -> str:
    """The file's name without the suffix of its format."""
    suffix = SERIES_SUFFIX if is_series_name(path) else volume_suffix(path)
    return path.name[: -len(suffix)] if suffix else path.name


def volume_files(folder: Path) -> list[Path]:
    """The volume files in the folder and below, also through links, without hidden ones; none for
    a folder that is not there. A pair of header and voxels is there once, as its header."""
    from AnatoMaskGANLib.volumes.files import VOXEL_FILE_SUFFIXES
    from AnatoMaskGANLib.volumes.source_files import all_files

    files = all_files(folder) if folder.is_dir() else []
    suffixes = {file: volume_suffix(file) for file in files}
    return [file for file in files if suffixes[file] not in (None, *VOXEL_FILE_SUFFIXES)]


def is_file_name(output: Path) -> bool:
    """Whether an output is meant as one result; a folder of that name stays one, but for a folder
    that is named as a DICOM series."""
    if is_series_name(output):
        return True
    is_other = output.suffix.lower() in OTHER_FILE_SUFFIXES
    return (volume_suffix(output) is not None or is_other) and not output.is_dir()


def is_series_name(path: Path) -> bool:
    """Whether the name is that of a folder with a DICOM series, or of a DICOM file."""
    return path.name.lower().endswith(SERIES_SUFFIX) and path.name.lower() != SERIES_SUFFIX


def files_beside(target: Path) -> tuple[Path, ...]:
    """The files that are written next to a result: the segmentation of a DICOM series."""
    if not is_series_name(target):
        return ()
    return (target.with_name(f"{volume_stem(target)}-{SEGMENTATION_NAME}{SERIES_SUFFIX}"),)


def plan_jobs(
    label_maps: Sequence[Path], output: Path, seeds: Sequence[int], is_dicom: bool = False
) -> list[Job]:
    """One job for each label map, with a target for every seed; is_dicom: as DICOM series.

    A single volume may get a file's name as output. Else `output` is a folder that keeps the
    folders of the label maps below the one that they share: `a/seg.nii.gz` becomes
    `output/a/seg_synthetic.nii.gz`, with `_seed<number>` behind it for several seeds.
    Raises ValueError when two results would share a file, when a result would replace a label map,
    and for a file type that cannot be written.
    """
    from AnatoMaskGANLib.volumes.files import WRITABLE_SUFFIXES

    if is_file_name(output):
        suffix = volume_suffix(output) or ""
        if suffix == SEGMENTATION_SUFFIX:
            raise ValueError(
                f"{output} has the name of a segmentation, but the result is a volume; expected "
                "another name, such as scan.nrrd."
            )
        if not suffix.endswith(WRITABLE_SUFFIXES) and not is_series_name(output):
            raise ValueError(
                f"{output} cannot be written: its file type is not supported; expected a "
                "folder or a file whose name ends with one of "
                f"{', '.join((*WRITABLE_SUFFIXES, SERIES_SUFFIX))}."
            )
        if len(label_maps) * len(seeds) > 1:
            raise ValueError(
                f"The output {output} is one file, but {len(label_maps)} label map(s) times "
                f"{len(seeds)} sample(s) were asked for. Give a folder as output."
            )
        jobs = [Job(label_maps[0], {seeds[0]: output})]
    else:
        shared = _shared_folder(label_maps)
        chosen = SERIES_SUFFIX if is_dicom else None
        jobs = []
        for path in label_maps:
            names = {seed: f"_seed{seed}" if len(seeds) > 1 else "" for seed in seeds}
            jobs.append(
                Job(path, {s: output / _target_name(path, shared, names[s], chosen) for s in seeds})
            )
    refuse_lost_files(_pairs_of(jobs), "label map")
    return jobs


def _target_name(label_map: Path, shared: Path, sample: str, chosen: str | None) -> Path:
    from AnatoMaskGANLib.volumes.files import WRITABLE_SUFFIXES

    relative = Path(os.path.abspath(label_map)).relative_to(shared)
    # A segmentation file holds segments; the synthetic volume is a plain one.
    suffix = (volume_suffix(label_map) or "").replace(SEGMENTATION_SUFFIX, ".nrrd")
    if suffix not in WRITABLE_SUFFIXES:
        suffix = DEFAULT_SUFFIX
    suffix = chosen or suffix
    return relative.with_name(f"{volume_stem(label_map)}_synthetic{sample}{suffix}")


def plan_deformed_jobs(
    label_maps: Sequence[Path], output: Path, num_deformations: int, seeds: Sequence[int]
) -> list[Job]:
    """One job for each label map and deformation; a result is a case folder with image and seg.

    `a/seg.nii.gz` becomes `output/a_deform1/image.nii.gz` next to its new label map, with
    `_seed<number>` behind the folder's name for several seeds: what `prepare folder` and
    `evaluate` read. Raises ValueError as `plan_jobs` does, and for an output that is a file's name.
    """
    if is_file_name(output):
        raise ValueError(
            f"The output {output} is one file, but every deformation makes a folder with an image "
            "and its label map. Give a folder as output."
        )
    shared = _shared_folder(label_maps)
    jobs = []
    for path in label_maps:
        is_case = volume_stem(path) == SEGMENTATION_NAME
        whole = Path(os.path.abspath(path))
        name = whole.parent.name if is_case else volume_stem(path)
        place = whole.parent.parent if is_case and whole.parent != shared else whole.parent
        for number in range(1, num_deformations + 1):
            case = f"{name}_deform{number}"
            targets = {}
            for seed in seeds:
                folder = f"{case}_seed{seed}" if len(seeds) > 1 else case
                targets[seed] = output / place.relative_to(shared) / folder / DEFORMED_IMAGE
            jobs.append(Job(path, targets, number))
    refuse_lost_files(_pairs_of(jobs), "label map")
    return jobs


def deformed_label_file(image: Path) -> Path:
    """Path of the label map of a deformed case, which lies next to its image."""
    return image.with_name(DEFORMED_LABELS)


def plan_segmentations(scans: Sequence[Path], output: Path) -> dict[Path, Path]:
    """Scan -> file of its label map: `output/scan-seg.nii.gz`.

    The output keeps the folders of the scans below the one that they share: `a/image.nrrd` becomes
    `output/a/image-seg.nii.gz`. Raises ValueError when two label maps would share a file, when one
    would replace a scan, and for an output that is a file's name.
    """
    if is_file_name(output):
        raise ValueError(
            f"The output {output} is one file, but label maps go into a folder under the names of "
            "their scans. Give a folder as output."
        )
    shared = _shared_folder(scans)
    targets = {}
    for scan in scans:
        relative = Path(os.path.abspath(scan)).relative_to(shared)
        name = f"{volume_stem(relative)}-{SEGMENTATION_NAME}{DEFAULT_SUFFIX}"
        targets[scan] = output / relative.with_name(name)
    refuse_lost_files(list(targets.items()), "scan")
    return targets


def _shared_folder(files: Sequence[Path]) -> Path:
    return Path(os.path.commonpath([os.path.dirname(os.path.abspath(path)) for path in files]))


def _pairs_of(jobs: Sequence[Job]) -> list[tuple[Path, Path]]:
    """(source, result) for all results of the jobs."""
    pairs = []
    for job in jobs:
        for target in job.targets.values():
            beside = (deformed_label_file(target),) if job.deformation else files_beside(target)
            pairs += [(job.source, file) for file in (target, *beside)]
    return pairs


def refuse_lost_files(
    pairs: Sequence[tuple[Path, Path]], kind: str, more_sources: Sequence[Path] = ()
) -> None:
    """Raises ValueError where a result would replace a source or another source's result.

    pairs: (source, result); kind: what the sources are; more_sources: files that belong to them.
    """
    files = [*(source for source, _ in pairs), *more_sources]
    sources = {key for file in files for key in _names_of_file(file)}
    makers: dict[str, Path] = {}
    for source, target in pairs:
        if not sources.isdisjoint(_names_of_file(target)):
            raise ValueError(f"The result {target} would replace a {kind}. Choose another output.")
        place = _real_path(target)
        if place in makers:
            raise ValueError(
                f"{makers[place]} and {source} would both be written to {target}. "
                "Rename one of them, or run them one after the other with two outputs."
            )
        makers[place] = source


def _names_of_file(path: Path) -> set[str | tuple[int, int]]:
    """The marks of a file: its path without links and, if it exists, its place on the disk, by
    which a file with several names is recognized."""
    names: set[str | tuple[int, int]] = {_real_path(path)}
    with contextlib.suppress(OSError):
        status = path.stat()
        if status.st_ino:  # some disks do not number their files
            names.add((status.st_dev, status.st_ino))
    return names


def _real_path(path: Path) -> str:
    # the file that is written when a name in the path is a link
    return os.path.normcase(os.path.realpath(path))


def make_folder(folder: Path) -> None:
    """Makes the folder and those above it where they are missing.

    Raises ValueError when it cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"The folder {folder} cannot be made: {error.strerror}. Choose another output."
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ValueError(f"The folder {folder} cannot be written to. Choose another output.")


def check_output(output: Path) -> None:
    """Raises ValueError for results that could not be written, before anything is computed."""
    from AnatoMaskGANLib.volumes.atomic_writing import check_can_be_written
    from AnatoMaskGANLib.volumes.dicom.export import check_dicom_can_be_written

    if is_file_name(output) and output.parent.is_dir():
        if is_series_name(output):
            check_dicom_can_be_written(output)
        else:
            check_can_be_written(output.resolve())
        return
    there = next(path for path in (output, *output.absolute().parents) if path.exists())
    if not there.is_dir():
        raise ValueError(f"{there} is a file; expected a folder. Choose another output.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ValueError(f"The folder {there} cannot be written to. Choose another output.")
