"""A volume as a classic series: one MR or CT image for each slice.

What the modules of the two kinds of images need is in PS3.3, A.3 and A.4. An image does not say
more about an acquisition than that there was none.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import numpy as np

from AnatoMaskGANLib import __version__
from AnatoMaskGANLib.volumes.dicom.header import CREATOR, RECORD_TAG
from AnatoMaskGANLib.volumes.dicom.marks import PROGRAM, Marks, marks_of
from AnatoMaskGANLib.volumes.dicom.packages import pydicom_for
from AnatoMaskGANLib.volumes.dicom.patient import DicomPatient
from AnatoMaskGANLib.volumes.dicom.stored_pixels import StoredPixels, stored_pixels
from AnatoMaskGANLib.volumes.errors import VolumeError
from AnatoMaskGANLib.volumes.geometry import LPS_FROM_RAS
from AnatoMaskGANLib.volumes.stored_volume import record_of
from AnatoMaskGANLib.volumes.volume import Volume

SERIES_NUMBER = 9001
"""Number of a written series: beyond those of scanners, so that none is hidden by it."""

_MOST_ROWS = 65535


def series_of(volume: Volume, patient: DicomPatient) -> list[Any]:
    """pydicom's data sets of the slices, in the order of k, with new UIDs.

    Volumes in HU become CT images, others MR images. Raises VolumeError for an edited scan of
    another modality, for values that are no numbers, and without pydicom.
    """
    pydicom = pydicom_for("Writing DICOM")
    modality = "CT" if volume.unit == "HU" else "MR"
    if marks_of(volume.provenance).is_edited and patient.modality not in (modality, "SEG", ""):
        raise VolumeError(
            f"The edited scan is {'in HU' if modality == 'CT' else 'not in HU'} and would become "
            f"{modality} images, but its reference is of the modality {patient.modality}; expected "
            "CT in HU or MR. Write NIfTI, or choose an anonymous patient."
        )
    if max(volume.shape_kji[1:]) > _MOST_ROWS:
        raise VolumeError(
            f"A slice has {volume.shape_kji[2]} x {volume.shape_kji[1]} voxels; DICOM expects at "
            f"most {_MOST_ROWS} along an axis. Write NIfTI, or resample the volume."
        )
    marks = marks_of(volume.provenance)
    pixels = stored_pixels(volume)
    shared = pydicom.Dataset()
    _say_who_and_when(shared, patient, marks)
    _say_how_it_was_made(shared, volume, marks)
    _say_what_it_is(shared, volume, modality, pixels)
    return [_slice(shared, volume, pixels, k) for k in range(volume.shape_kji[0])]


def _say_who_and_when(shared: Any, patient: DicomPatient, marks: Marks) -> None:
    from pydicom.uid import generate_uid

    now = datetime.now()
    shared.SpecificCharacterSet = "ISO_IR 192"
    for keyword, value in patient.elements.items():
        setattr(shared, keyword, value)
    shared.SeriesInstanceUID = generate_uid(prefix=None)
    shared.SeriesNumber = SERIES_NUMBER
    shared.SeriesDescription = marks.series_description
    for what in ("Series", "Content", "InstanceCreation"):
        setattr(shared, f"{what}Date", now.strftime("%Y%m%d"))
        setattr(shared, f"{what}Time", now.strftime("%H%M%S"))


def _say_how_it_was_made(shared: Any, volume: Volume, marks: Marks) -> None:
    from pydicom.dataset import Dataset

    if marks.is_synthetic:
        shared.SyntheticData = "YES"
    shared.Manufacturer = shared.ManufacturerModelName = PROGRAM
    shared.SoftwareVersions = __version__
    shared.DerivationDescription = marks.derivation
    shared.ImageComments = marks.notice
    purpose = Dataset()
    purpose.CodeValue, purpose.CodeMeaning = marks.purpose
    purpose.CodingSchemeDesignator = "DCM"
    equipment = Dataset()
    equipment.PurposeOfReferenceCodeSequence = [purpose]
    equipment.Manufacturer = equipment.ManufacturerModelName = PROGRAM
    equipment.SoftwareVersions = __version__
    equipment.ContributionDescription = marks.derivation
    shared.ContributingEquipmentSequence = [equipment]
    block = shared.private_block(RECORD_TAG >> 16, CREATOR, create=True)
    block.add_new(RECORD_TAG & 0xFF, "UT", json.dumps(record_of(volume)))


def _say_what_it_is(shared: Any, volume: Volume, modality: str, pixels: StoredPixels) -> None:
    from pydicom.uid import CTImageStorage, MRImageStorage

    shared.Modality = modality
    shared.PatientPosition = shared.Laterality = ""
    shared.AcquisitionNumber = ""
    if modality == "CT":
        shared.SOPClassUID = CTImageStorage
        shared.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
        shared.KVP = ""
        shared.RescaleType = "HU"
    else:
        shared.SOPClassUID = MRImageStorage
        shared.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
        # research mode, no variant: nothing was scanned
        shared.ScanningSequence, shared.SequenceVariant = "RM", "NONE"
        shared.ScanOptions = shared.RepetitionTime = shared.EchoTime = shared.EchoTrainLength = ""
        shared.MRAcquisitionType = "3D"
    _, rows, columns = volume.shape_kji
    shared.Rows, shared.Columns = rows, columns
    shared.SamplesPerPixel, shared.PhotometricInterpretation = 1, "MONOCHROME2"
    shared.BitsAllocated = shared.BitsStored = 16
    shared.HighBit = 15
    shared.PixelRepresentation = 1 if pixels.values_kji.dtype == np.int16 else 0
    shared.LossyImageCompression = "00"
    shared.RescaleSlope, shared.RescaleIntercept = _number(pixels.slope), _number(pixels.intercept)
    low, high = volume.window or _usual_range(volume)
    shared.WindowCenter, shared.WindowWidth = _number((low + high) / 2), _number(high - low)
    if high - low < 1:
        shared.VOILUTFunction = "LINEAR_EXACT"  # else a width is 1 at least
    i_mm, j_mm, k_mm = volume.spacing_ijk_mm
    shared.PixelSpacing = [_number(j_mm), _number(i_mm)]
    shared.SliceThickness = shared.SpacingBetweenSlices = _number(k_mm)
    directions = (LPS_FROM_RAS @ volume.ijk_to_ras)[:3, :3] / volume.spacing_ijk_mm
    shared.ImageOrientationPatient = [_number(part) for part in directions[:, :2].T.ravel()]


def _slice(shared: Any, volume: Volume, pixels: StoredPixels, k: int) -> Any:
    """The data set of one slice."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = shared.SOPClassUID
    meta.MediaStorageSOPInstanceUID = generate_uid(prefix=None)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data_set = FileDataset("", dict(shared.items()), preamble=b"\0" * 128, file_meta=meta)
    data_set.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    data_set.InstanceNumber = k + 1
    position = (LPS_FROM_RAS @ volume.ijk_to_ras @ (0, 0, k, 1))[:3]
    data_set.ImagePositionPatient = [_number(part) for part in position]
    little_endian = pixels.values_kji.dtype.newbyteorder("<")
    data_set.PixelData = pixels.values_kji[k].astype(little_endian).tobytes()
    return data_set


def _number(value: float) -> str:
    """A number as a decimal string of at most 16 characters."""
    from pydicom.valuerep import format_number_as_ds

    return format_number_as_ds(float(value) + 0.0)


def _usual_range(volume: Volume) -> tuple[float, float]:
    """The range in which all but the darkest and brightest 0.5 % of the voxels lie."""
    low, high = np.percentile(volume.voxels_kji, (0.5, 99.5))
    return (float(low), float(high)) if low < high else (float(low), float(low) + 1)
