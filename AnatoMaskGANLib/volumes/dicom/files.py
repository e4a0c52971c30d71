"""DICOM in: which reader a file or a folder needs, and what cannot be read."""

from __future__ import annotations

from pathlib import Path

from AnatoMaskGANLib.volumes import itk_files
from AnatoMaskGANLib.volumes.dicom.header import DicomHeader, is_dicom, read_dicom_header
from AnatoMaskGANLib.volumes.dicom.multiframe_reading import read_multiframe
from AnatoMaskGANLib.volumes.dicom.segmentation_reading import read_segmentation
from AnatoMaskGANLib.volumes.errors import VolumeError
from AnatoMaskGANLib.volumes.stored_volume import StoredVolume

# The two kinds of segmentation objects with pixels (PS3.4, B.5).
_SEGMENTATIONS = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
_NOT_READ = {
    "1.2.840.10008.5.1.4.1.1.481.3": "an RT structure set, which holds contours",
    "1.2.840.10008.5.1.4.1.1.66.5": "a surface segmentation, which holds meshes",
}


def is_segmentation_file(path: Path) -> bool:
    """Whether a file is a DICOM segmentation object; False for a damaged one and for a folder."""
    try:
        return (
            path.is_file()
            and is_dicom(path)
            and read_dicom_header(path).sop_class in _SEGMENTATIONS
        )
    except (OSError, VolumeError):
        return False


def read_dicom_file(path: Path) -> StoredVolume:
    """Reads a segmentation object, an Enhanced image or a single slice.

    Raises VolumeError for what cannot be read and for kinds of objects without voxels.
    """
    return _read(path, read_dicom_header(path))


def read_dicom_folder(folder: Path) -> StoredVolume:
    """The one series of a folder: classic images with a file for each slice, or one object that
    holds all of them. Raises VolumeError as `read_dicom_file` and `read_dicom_series`."""
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and is_dicom(path)]
    files = [path for path in files if path.name != "DICOMDIR"]
    if len(files) == 1:
        return _read_alone(folder, files[0])
    objects = [path.name for path in files if is_segmentation_file(path)]
    if objects:
        raise VolumeError(
            f"The folder {folder} holds {len(files)} DICOM files, among them the segmentation "
            f"objects {', '.join(objects[:5])}; expected one series or one object. Give the file "
            "of the object."
        )
    return itk_files.read_dicom_series(folder)


def _read_alone(folder: Path, path: Path) -> StoredVolume:
    """The one file of a folder; a classic image is a series of one slice."""
    header = read_dicom_header(path)
    is_object = header.sop_class in (*_SEGMENTATIONS, *_NOT_READ) or header.has_frame_groups
    return _read(path, header) if is_object else itk_files.read_dicom_series(folder)


def _read(path: Path, header: DicomHeader) -> StoredVolume:
    if header.sop_class in _SEGMENTATIONS:
        return read_segmentation(path)
    if header.sop_class in _NOT_READ:
        raise VolumeError(
            f"{path} is {_NOT_READ[header.sop_class]}; expected a segmentation of voxels. Convert "
            "it: load it in Slicer (with the extension SlicerRT) and export the segmentation as a "
            "label map or as a DICOM segmentation object, or use plastimatch convert."
        )
    if header.has_frame_groups:
        return read_multiframe(path)
    return itk_files.read_with_itk(path)
