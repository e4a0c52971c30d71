"""Writes a folder with a DICOM series, and next to it the segmentation that it was made from."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from AnatoMaskGANLib.volumes.atomic_writing import check_can_be_written, replacing
from AnatoMaskGANLib.volumes.dicom.header import is_dicom, read_dicom_header
from AnatoMaskGANLib.volumes.dicom.packages import highdicom_for, pydicom_for
from AnatoMaskGANLib.volumes.dicom.patient import DicomPatient
from AnatoMaskGANLib.volumes.dicom.segmentation_writing import segmentation_of
from AnatoMaskGANLib.volumes.dicom.series import series_of
from AnatoMaskGANLib.volumes.errors import VolumeError
from AnatoMaskGANLib.volumes.file_hash import result_sha256
from AnatoMaskGANLib.volumes.label_map import LabelMap
from AnatoMaskGANLib.volumes.volume import Volume, same_grid

DICOM_SUFFIX = ".dcm"


def write_dicom(
    volume: Volume, folder: Path, patient: DicomPatient, label_map: LabelMap | None = None
) -> dict[Path, str]:
    """Writes a series into a folder of its own, and the label map next to it as `NAME-seg.dcm`.

    Returns the SHA-256 of both (`result_sha256`) as they were written.
    The folder is the old one or the whole new one at any moment. Only a folder that is empty or
    holds a series of this program is replaced. Raises VolumeError for another one, for a label map
    on another grid, and as `series_of` and `segmentation_of`.
    """
    check_dicom_can_be_written(folder, label_map is not None)
    if label_map is not None and not same_grid(label_map, volume):
        raise VolumeError(
            "The label map is not on the grid of the volume; expected the one that the volume was "
            "made from. Resample it, or write the series alone."
        )
    slices = series_of(volume, patient)
    segmentation = None if label_map is None else segmentation_of(label_map, slices)
    with _replacing_folder(folder) as temporary:
        digits = len(str(len(slices)))
        for number, data_set in enumerate(slices, start=1):
            data_set.save_as(
                temporary / f"{number:0{digits}d}{DICOM_SUFFIX}", enforce_file_format=True
            )
        written = {folder: result_sha256(temporary)}
    if segmentation is not None:
        beside = segmentation_file(folder)
        with replacing(beside, DICOM_SUFFIX) as temporary:
            segmentation.save_as(temporary)
            written[beside] = result_sha256(temporary)
    return written


def segmentation_file(folder: Path) -> Path:
    """Path of the segmentation of a series: `scan-seg.dcm` next to `scan.dcm`."""
    is_named = folder.name.lower().endswith(DICOM_SUFFIX)
    stem = folder.name[: -len(DICOM_SUFFIX)] if is_named else folder.name
    return folder.with_name(f"{stem}-seg{DICOM_SUFFIX}")


def check_dicom_can_be_written(folder: Path, with_segmentation: bool = True) -> None:
    """Raises VolumeError where a package is missing, or where the result would replace something
    that this program did not write."""
    pydicom_for("Writing DICOM")
    if with_segmentation:
        highdicom_for("Writing a DICOM segmentation object")
    if not folder.is_dir():
        check_can_be_written(folder.resolve())
        if folder.exists():
            raise VolumeError(
                f"{folder} is a file; a DICOM series is written as a folder. Choose another output."
            )
        return
    for path in folder.iterdir():
        if not (path.is_file() and is_dicom(path) and read_dicom_header(path).record):
            raise VolumeError(
                f"The folder {folder} holds {path.name}, which this program did not write; "
                "expected an empty folder or a series of this program. Choose another output."
            )


@contextmanager
def _replacing_folder(folder: Path) -> Iterator[Path]:
    """An empty folder next to `folder`, which takes its place when all went well."""
    target = folder.resolve()
    try:
        for abandoned in target.parent.glob(f".{target.name}-*.part"):
            shutil.rmtree(abandoned, ignore_errors=True)
        temporary = target.with_name(f".{target.name}-{secrets.token_hex(6)}.part")
        temporary.mkdir()
        try:
            yield temporary
            for path in temporary.iterdir():
                with open(path, "rb+") as written:
                    os.fsync(written.fileno())
            if target.exists():
                shutil.rmtree(target)
            os.replace(temporary, target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise VolumeError(
            f"{folder} could not be written: {error.strerror or error}. Free some space or choose "
            "another place."
        ) from error
