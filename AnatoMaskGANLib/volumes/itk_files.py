"""NRRD, MetaImage and DICOM through SimpleITK.

SimpleITK counts in LPS; here, at the edge of the file, it becomes RAS and back.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK

from AnatoMaskGANLib.json_text import parse_json
from AnatoMaskGANLib.volumes.dicom.header import (
    DicomHeader,
    is_dicom,
    position_of,
    read_dicom_header,
)
from AnatoMaskGANLib.volumes.errors import VolumeError
from AnatoMaskGANLib.volumes.geometry import LPS_FROM_RAS, largest_shift_mm
from AnatoMaskGANLib.volumes.mitk_labels import names_of_mitk
from AnatoMaskGANLib.volumes.nrrd_space import place_in_nrrd_space
from AnatoMaskGANLib.volumes.origin_marks import SYNTHETIC_MARK
from AnatoMaskGANLib.volumes.stored_volume import LARGEST_FILE_VOXELS, RECORD_KEY, StoredVolume
from AnatoMaskGANLib.volumes.text_headers import check_text_header
from AnatoMaskGANLib.volumes.text_units import mm_per_unit_of

_logger = logging.getLogger(__name__)

# DICOM gives positions with a few decimals; more than this is a missing slice or a tilted gantry.
_LARGEST_SLICE_SHIFT_MM = 0.1

_ITK_READERS = {
    ".nrrd": "NrrdImageIO",
    ".nhdr": "NrrdImageIO",
    ".mha": "MetaImageIO",
    ".mhd": "MetaImageIO",
}
_DICOM_READER = "GDCMImageIO"

_POSITION_TAG = "0020|0032"
_MODALITY_TAG = "0008|0060"
_UNIT_OF_MODALITY = {"CT": "HU"}


def read_with_itk(path: Path) -> StoredVolume:
    """Array, place, record and header of one file that SimpleITK can read.

    Raises VolumeError for what cannot be read, is truncated or has not three axes.
    """
    check_text_header(path)
    kind = _ITK_READERS.get(path.suffix.lower(), _DICOM_READER)
    if kind == _DICOM_READER:
        read_dicom_header(path)
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    # no other reader is to find something in a file that is not what its name says
    reader.SetImageIO(kind)
    try:
        reader.ReadImageInformation()
        size_ijk = list(reader.GetSize())
        while len(size_ijk) > 3 and size_ijk[-1] == 1:
            size_ijk.pop()
        if len(size_ijk) != 3:
            raise VolumeError(
                f"{path} has {len(size_ijk)} dimensions ({' x '.join(map(str, size_ijk))}); "
                "expected three. Give one 3-D volume, for instance one time point of a series."
            )
        if np.prod(size_ijk, dtype=np.float64) > LARGEST_FILE_VOXELS:
            raise VolumeError(
                f"{path} promises {' x '.join(map(str, size_ijk))} voxels; expected at most "
                f"{LARGEST_FILE_VOXELS:.0e}. Its header is damaged; copy or export it again."
            )
        if reader.GetDimension() > 3:
            reader.SetExtractSize([*size_ijk, *[0] * (reader.GetDimension() - 3)])
        image = reader.Execute()
    except RuntimeError as error:
        raise VolumeError(
            f"{path} cannot be read: {_reason(error)}. Expected a complete NIfTI, NRRD, "
            "MetaImage or DICOM file. It is damaged, truncated or of another type; copy "
            "or export it again."
        ) from error
    header = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys() if key.isprintable()}
    array = SimpleITK.GetArrayFromImage(image)
    ijk_to_ras = _ijk_to_ras_of(image)
    if path.suffix.lower() in (".nrrd", ".nhdr"):
        ijk_to_ras = place_in_nrrd_space(path, ijk_to_ras)
    ijk_to_ras[:3] *= mm_per_unit_of(path)
    return StoredVolume(array, ijk_to_ras, _record_of(path, header), header)


def write_with_itk(
    array: np.ndarray,
    ijk_to_ras: np.ndarray,
    keys: Mapping[str, str],
    path: Path,
) -> None:
    """Writes NRRD, MetaImage or NIfTI, packed, and reads it back: ITK misses a full disk.

    Raises OSError if what stands on the disk is not what was to be written.
    """
    image = SimpleITK.GetImageFromArray(array)
    ijk_to_lps = LPS_FROM_RAS @ ijk_to_ras
    spacing = np.linalg.norm(ijk_to_lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(ijk_to_lps[:3, 3].tolist())
    image.SetDirection((ijk_to_lps[:3, :3] / spacing).ravel().tolist())
    for key, value in keys.items():
        if value:
            image.SetMetaData(key, value)
    try:
        SimpleITK.WriteImage(image, str(path), useCompression=True)
        written = SimpleITK.ReadImage(str(path))
    except RuntimeError as error:
        raise OSError(_reason(error)) from error
    is_whole = np.array_equal(SimpleITK.GetArrayViewFromImage(written), array)
    if not is_whole or largest_shift_mm(array.shape, _ijk_to_ras_of(written), ijk_to_ras) > 1e-3:
        raise OSError("the written file differs when it is read back; the disk may be full")


def read_dicom_series(folder: Path) -> StoredVolume:
    """The one DICOM series of a folder, of classic images with a file for each slice.

    Raises VolumeError if the folder has no series or several, or if its slices do not lie evenly
    along their normal (missing slices, a tilted gantry).
    """
    slices = _slices_of(folder)
    series = sorted({header.series for header in slices})
    if len(series) != 1:
        found = f"{len(series)} DICOM series ({', '.join(series)})" if series else "no DICOM series"
        raise VolumeError(
            f"The folder {folder} holds {found}; expected exactly one. Put the files of one "
            "series into a folder of their own."
        )
    reader = SimpleITK.ImageSeriesReader()
    reader.SetImageIO(_DICOM_READER)
    reader.SetFileNames([str(header.path) for header in slices])
    reader.MetaDataDictionaryArrayUpdateOn()
    try:
        image = reader.Execute()
    except RuntimeError as error:
        raise VolumeError(
            f"The DICOM series in {folder} cannot be read: {_reason(error)}. Expected "
            "complete slices of the same size. Export the series again."
        ) from error
    if image.GetDimension() != 3:
        raise VolumeError(
            f"The DICOM series in {folder} has {image.GetDimension()} dimensions; expected three."
        )
    _check_slices_lie_evenly(folder, reader, image)
    has_modality = reader.HasMetaDataKey(0, _MODALITY_TAG)
    modality = reader.GetMetaData(0, _MODALITY_TAG).strip() if has_modality else ""
    record: dict[str, Any] = {"unit": _UNIT_OF_MODALITY.get(modality, "")}
    if any(header.is_synthetic for header in slices):
        record["provenance"] = {SYNTHETIC_MARK: "YES"}
    noted = _record_of(folder, {RECORD_KEY: slices[0].record} if slices[0].record else {})
    return StoredVolume(
        SimpleITK.GetArrayFromImage(image), _ijk_to_ras_of(image), {**record, **noted}
    )


def _slices_of(folder: Path) -> list[DicomHeader]:
    """The slices of a folder in their order; raises VolumeError for a DICOM file that is none.

    Without its last slice a stack looks even, so that none may be passed over.
    """
    headers = []
    for path in sorted(folder.iterdir()):
        if path.name == "DICOMDIR" or not path.is_file() or not is_dicom(path):
            continue
        header = read_dicom_header(path)
        if not header.has_pixels:
            raise VolumeError(
                f"{path} is a DICOM file, but no slice of the series can be read from it. "
                "It is damaged or truncated: export it again, or move it to another "
                "folder if it is not a slice."
            )
        headers.append(header)
    have_places = all(header.place_mm is not None for header in headers)
    return sorted(
        headers,
        key=lambda header: (header.place_mm or 0.0) if have_places else header.number,
    )


def _check_slices_lie_evenly(
    folder: Path, reader: SimpleITK.ImageSeriesReader, image: SimpleITK.Image
) -> None:
    num_slices = image.GetSize()[2]
    for k in range(num_slices if len(reader.GetFileNames()) == num_slices else 0):
        if not reader.HasMetaDataKey(k, _POSITION_TAG):
            continue
        position = position_of(reader.GetMetaData(k, _POSITION_TAG))
        if not position:
            continue
        expected = image.TransformIndexToPhysicalPoint((0, 0, k))
        shift_mm = float(np.linalg.norm(np.subtract(position, expected)))
        if shift_mm > _LARGEST_SLICE_SHIFT_MM:
            raise VolumeError(
                f"Slice {k + 1} of {num_slices} of the DICOM series in {folder} lies "
                f"{shift_mm:.2f} mm from its position in an evenly spaced stack. Slices "
                "are missing, or the gantry was tilted; load the series in Slicer (with "
                "its regularization) and save the volume."
            )


def _ijk_to_ras_of(image: SimpleITK.Image) -> np.ndarray:
    ijk_to_lps = np.eye(4)
    directions = np.array(image.GetDirection()).reshape(3, 3)
    ijk_to_lps[:3, :3] = directions * np.array(image.GetSpacing())
    ijk_to_lps[:3, 3] = image.GetOrigin()
    return LPS_FROM_RAS @ ijk_to_lps


def _record_of(path: Path, header: Mapping[str, str]) -> Mapping[str, Any]:
    """What this project noted in a header, or the label names that MITK noted; else empty."""
    if RECORD_KEY not in header:
        names = names_of_mitk(path, header)
        return {"names": {str(value): name for value, name in names.items()}} if names else {}
    try:
        record = parse_json(header[RECORD_KEY])
    except ValueError:
        _logger.warning(
            "%s: the entry of this program in its header is damaged and is ignored", path
        )
        return {}
    return record if isinstance(record, dict) else {}


def _reason(error: RuntimeError) -> str:
    """What ITK says, without the places in its source and the addresses of its objects."""
    text = str(error).rpartition("ERROR:")[2].rpartition("[nrrd]")[2]
    text = re.sub(r"\(0x[0-9a-f]+\)|Reason: No such file or directory", "", text)
    return " ".join(text.split()).rstrip(".:")[:300] or "no reason given"
