"""Results as DICOM: the options of a command that writes them, and whose series they are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from AnatoMaskGANLib.commands.errors import UsageError
from AnatoMaskGANLib.commands.result_files import is_file_name, is_series_name

if TYPE_CHECKING:
    from AnatoMaskGANLib.volumes import LabelMap, Volume
    from AnatoMaskGANLib.volumes.dicom.patient import DicomPatient


@dataclass(frozen=True, kw_only=True)
class DicomOptions:
    """How results are written as DICOM."""

    dicom: bool = False
    """Write every result as a DICOM series, a folder NAME.dcm, with the segmentation beside it as
    a DICOM segmentation object, NAME-seg.dcm. An OUTPUT whose name ends in .dcm does so for one
    result. This needs pydicom and highdicom (pip install pydicom highdicom)."""
    dicom_reference: Path | None = None
    """DICOM file, or folder with a series, whose patient, study and frame of reference the results
    get. By default they are those of an input that is DICOM, else an anonymous patient's. With the
    series that a DICOM segmentation object is of, its slices without a label are put back."""
    anonymous: bool = False
    """Write DICOM for an anonymous patient and a study of its own, also where there is a
    reference."""


def writes_dicom(options: DicomOptions, output: Path) -> bool:
    """Whether results become DICOM, with all that this needs.

    Raises UsageError for options that contradict each other, and VolumeError without the packages.
    """
    from AnatoMaskGANLib.volumes.dicom.packages import highdicom_for, pydicom_for

    is_dicom = options.dicom or is_series_name(output)
    if options.dicom and is_file_name(output) and not is_series_name(output):
        raise UsageError(
            f"The output {output} is no DICOM, but --dicom was given; expected a folder, or a name "
            "that ends in .dcm."
        )
    if not is_dicom and (options.dicom_reference is not None or options.anonymous):
        raise UsageError(
            "--dicom-reference and --anonymous are for results as DICOM; expected --dicom, or an "
            "output whose name ends in .dcm."
        )
    if options.anonymous and options.dicom_reference is not None:
        raise UsageError("Both --dicom-reference and --anonymous came; expected one of them.")
    if is_dicom:
        pydicom_for("Writing DICOM")
        highdicom_for("Writing a DICOM segmentation object")
    return is_dicom


def patient_for(options: DicomOptions, source: Path, identity: str) -> DicomPatient:
    """The patient of a result. source: what it is made from; identity: a hash of that.

    Raises VolumeError for a reference that is no DICOM.
    """
    from AnatoMaskGANLib.volumes.dicom.patient import (
        anonymous_patient,
        is_dicom_source,
        patient_of,
    )

    if options.dicom_reference is not None:
        return patient_of(options.dicom_reference)
    if is_dicom_source(source) and not options.anonymous:
        return patient_of(source)
    return anonymous_patient(identity)


def with_slices_of_reference(options: DicomOptions, label_map: LabelMap, source: Path) -> LabelMap:
    """The label map of a segmentation object on the grid of the series that was segmented, if that
    is the reference; else the map itself. Raises VolumeError for a series that cannot be read."""
    from AnatoMaskGANLib.volumes import read_volume
    from AnatoMaskGANLib.volumes.dicom.all_slices import with_all_slices
    from AnatoMaskGANLib.volumes.dicom.files import is_segmentation_file

    reference = options.dicom_reference
    if reference is None or not reference.is_dir() or not is_segmentation_file(source):
        return label_map
    return with_all_slices(label_map, source, read_volume(reference))


def dicom_recipe(options: DicomOptions, is_dicom: bool) -> dict[str, Any]:
    """The options that decide how a result is written, for the manifest."""
    reference = None if options.dicom_reference is None else str(options.dicom_reference)
    said = {"reference": reference, "anonymous": options.anonymous}
    return {"dicom": said if is_dicom else None}


def write_series(
    volume: Volume, label_map: LabelMap, target: Path, patient: DicomPatient
) -> dict[Path, str]:
    """Writes the series and, next to it, the segmentation on its grid; returns the SHA-256 of both
    as they were written."""
    from AnatoMaskGANLib.volumes import labels_on_grid_of
    from AnatoMaskGANLib.volumes.dicom.export import write_dicom

    return write_dicom(volume, target, patient, labels_on_grid_of(label_map, volume))
