"""The patient and study of a DICOM result: those of a reference, or made-up ones."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from AnatoMaskGANLib.volumes.dicom.header import is_dicom, read_dicom_header
from AnatoMaskGANLib.volumes.dicom.packages import pydicom_for
from AnatoMaskGANLib.volumes.dicom.reading import damage_in_words
from AnatoMaskGANLib.volumes.errors import VolumeError

_KEPT = (
    *("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex"),
    *("PatientAge", "PatientSize", "PatientWeight", "PatientIdentityRemoved"),
    *("DeidentificationMethod", "DeidentificationMethodCodeSequence"),
    *("StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "StudyDescription"),
    *("AccessionNumber", "ReferringPhysicianName"),
    *("FrameOfReferenceUID", "PositionReferenceIndicator"),
)
# Elements that every series has to hold; they are empty where nothing is known.
_NEEDED = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime"),
    *("StudyID", "AccessionNumber", "ReferringPhysicianName", "PositionReferenceIndicator"),
)


@dataclass(frozen=True)
class DicomPatient:
    """What a series says about patient, study and frame of reference."""

    elements: Mapping[str, Any]
    """Keyword of DICOM to value, among them both UIDs."""
    modality: str = ""
    """Modality of the reference, such as MR; "" without one."""


def patient_of(reference: Path) -> DicomPatient:
    """The patient, study and frame of reference of a DICOM file, or of the first in a folder.

    Raises VolumeError for a reference that is no DICOM or cannot be read, and without pydicom.
    """
    path = _first_dicom_file(reference)
    read_dicom_header(path)
    pydicom = pydicom_for(f"The DICOM reference {reference}")
    with damage_in_words(path):
        data_set = pydicom.dcmread(path, stop_before_pixels=True)
        elements = {key: data_set.get(key) for key in _KEPT if key in data_set}
        modality = str(data_set.get("Modality", ""))
    if not elements.get("StudyInstanceUID"):
        elements["StudyInstanceUID"] = pydicom.uid.generate_uid(prefix=None)
    if not elements.get("FrameOfReferenceUID"):
        elements["FrameOfReferenceUID"] = pydicom.uid.generate_uid(prefix=None)
    return DicomPatient(dict.fromkeys(_NEEDED, "") | elements, modality)


def anonymous_patient(identity: str, modality: str = "") -> DicomPatient:
    """A patient who says that there is none; the same identity (such as a hash) gives the same
    patient, study and frame of reference, so that all that is made of one label map lies together.
    """
    name = hashlib.sha256(identity.encode()).hexdigest()[:16].upper()
    uids = {
        key: f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, f'{key} {identity}').int}"
        for key in ("StudyInstanceUID", "FrameOfReferenceUID")
    }
    elements = {
        "PatientName": "Anonymous^AnatoMaskGAN",
        "PatientID": f"ANON-{name}",
        "PatientIdentityRemoved": "YES",
        "DeidentificationMethod": "AnatoMaskGAN: no patient or study was named",
        **uids,
    }
    return DicomPatient(dict.fromkeys(_NEEDED, "") | elements, modality)


def is_dicom_source(path: Path) -> bool:
    """Whether a file, or a file in a folder, is of DICOM, so that it names a patient."""
    try:
        _first_dicom_file(path)
    except (OSError, VolumeError):
        return False
    return True


def _first_dicom_file(reference: Path) -> Path:
    files = sorted(reference.iterdir()) if reference.is_dir() else [reference]
    for path in files:
        if path.is_file() and path.name != "DICOMDIR" and is_dicom(path):
            return path
    raise VolumeError(
        f"{reference} holds no DICOM file; expected a DICOM file or a folder with a series, whose "
        "patient the result is to belong to. Give one, or have an anonymous patient written."
    )
