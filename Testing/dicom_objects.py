"""DICOM objects as other programs write them: made by hand with pydicom, or by highdicom."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    SegmentationStorage,
    generate_uid,
)

# Rows run to the left and up, columns to the back and up: an oblique, anisotropic grid in LPS.
ROW = np.array([np.cos(0.3), 0.0, np.sin(0.3)])
COLUMN = np.cross([-np.sin(0.3) * np.cos(0.2), np.sin(0.2), np.cos(0.3) * np.cos(0.2)], ROW)
NORMAL = np.cross(ROW, COLUMN)
ORIGIN_LPS = np.array([-40.5, -80.25, 33.0])
ROW_MM, COLUMN_MM, SLICE_MM = 0.7, 1.1, 2.5
"""Distances of voxels along a row, along a column and of slices."""


def ras_of(i: int, j: int, k: int) -> np.ndarray:
    """Where a voxel lies, by hand."""
    lps = ORIGIN_LPS + i * ROW_MM * ROW + j * COLUMN_MM * COLUMN + k * SLICE_MM * NORMAL
    return lps * (-1, -1, 1)


def item(**values: Any) -> Dataset:
    """A data set of these elements."""
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def code(value: str, scheme: str, meaning: str, **more: Any) -> list[Dataset]:
    """A code sequence of one item."""
    return [item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning, **more)]


def _numbers(values: Sequence[float]) -> list[float]:
    return [round(float(value), 8) for value in values]


def _file(sop_class: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = sop_class, ExplicitVRLittleEndian
    meta.MediaStorageSOPInstanceUID = generate_uid()
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    made.SOPClassUID, made.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    made.StudyInstanceUID, made.SeriesInstanceUID = "1.2.3.1", "1.2.3.2"
    made.FrameOfReferenceUID = "1.2.3.3"
    made.PatientName, made.PatientID, made.StudyID = "Mügge^Änne", "p-7", "s-1"
    made.SpecificCharacterSet = "ISO_IR 192"
    made.PatientBirthDate, made.PatientSex = "19700102", "F"
    made.StudyDate, made.StudyTime, made.AccessionNumber = "20250102", "101112", "a-9"
    made.ReferringPhysicianName = "Nobody"
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    return made


def ct_slices(voxels_kji: np.ndarray) -> list[FileDataset]:
    """A classic CT series of these HU on the grid above."""
    slices = []
    for k, pixels in enumerate(voxels_kji):
        made = _file(CTImageStorage)
        made.Modality, made.InstanceNumber, made.SeriesNumber = "CT", k + 1, 1
        made.ImagePositionPatient = _numbers(ORIGIN_LPS + k * SLICE_MM * NORMAL)
        made.ImageOrientationPatient = _numbers((*ROW, *COLUMN))
        made.PixelSpacing, made.SliceThickness = [COLUMN_MM, ROW_MM], SLICE_MM
        made.Rows, made.Columns = pixels.shape
        made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 0
        made.RescaleIntercept, made.RescaleSlope = -1024, 1
        made.PixelData = (pixels + 1024).astype("<u2").tobytes()
        slices.append(made)
    return slices


def write_all(data_sets: Sequence[FileDataset], folder: Path) -> None:
    """Writes files named in the reverse order."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, data_set in enumerate(data_sets):
        name = f"{len(data_sets) - number:03d}.dcm"
        data_set.save_as(folder / name, enforce_file_format=True)


def _frame(k: int, **more: Any) -> Dataset:
    position = _numbers(ORIGIN_LPS + k * SLICE_MM * NORMAL)
    return item(PlanePositionSequence=[item(ImagePositionPatient=position)], **more)


def _shared(**measures: Any) -> list[Dataset]:
    orientation = item(ImageOrientationPatient=_numbers((*ROW, *COLUMN)))
    said = {"SliceThickness": SLICE_MM, "SpacingBetweenSlices": SLICE_MM, **measures}
    return [
        item(
            PlaneOrientationSequence=[orientation],
            PixelMeasuresSequence=[item(PixelSpacing=[COLUMN_MM, ROW_MM], **said)],
        )
    ]


def enhanced_mr(voxels_kji: np.ndarray, order: Sequence[int], slope: float = 1.0) -> FileDataset:
    """An Enhanced MR object whose frames are the slices `order`, in that order; slice k is stored
    divided by slope * (k + 1)."""
    made = _file(EnhancedMRImageStorage)
    made.Modality, made.InstanceNumber = "MR", 1
    made.Rows, made.Columns = voxels_kji.shape[1:]
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 0
    made.NumberOfFrames = len(order)
    made.SharedFunctionalGroupsSequence = _shared()
    scalings = [
        item(RescaleSlope=slope * (k + 1), RescaleIntercept=0, RescaleType="US") for k in order
    ]
    made.PerFrameFunctionalGroupsSequence = [
        _frame(k, PixelValueTransformationSequence=[scaling])
        for k, scaling in zip(order, scalings, strict=True)
    ]
    stored = [voxels_kji[k] / (slope * (k + 1)) for k in order]
    made.PixelData = np.rint(stored).astype("<u2").tobytes()
    return made


SEGMENTS = {
    1: ("Left kidney", code("64033007", "SCT", "Kidney")),
    2: ("spleen", code("T-C3000", "SRT", "Spleen")),
}
SEGMENTS[1][1][0].SegmentedPropertyTypeModifierCodeSequence = code("7771000", "SCT", "Left")


def segmentation(
    frames: Sequence[tuple[int, int, np.ndarray]], kind: str = "BINARY", **more: Any
) -> FileDataset:
    """A segmentation object of frames (segment, k, pixels [J,I]), as sparse as they are."""
    made = _file(SegmentationStorage)
    made.Modality, made.InstanceNumber, made.SegmentationType = "SEG", 1, kind
    made.Rows, made.Columns = frames[0][2].shape
    made.NumberOfFrames = len(frames)
    bits = 1 if kind == "BINARY" else 8
    made.BitsAllocated = made.BitsStored = bits
    made.HighBit, made.PixelRepresentation = bits - 1, 0
    if kind == "FRACTIONAL":
        made.SegmentationFractionalType, made.MaximumFractionalValue = "PROBABILITY", 200
    made.SegmentSequence = [
        item(
            SegmentNumber=number,
            SegmentLabel=name,
            SegmentAlgorithmType="MANUAL",
            SegmentedPropertyCategoryCodeSequence=code("123037004", "SCT", "Anatomical Structure"),
            SegmentedPropertyTypeCodeSequence=kind_code,
        )
        for number, (name, kind_code) in SEGMENTS.items()
    ]
    made.SharedFunctionalGroupsSequence = _shared()
    made.PerFrameFunctionalGroupsSequence = [
        _frame(k, SegmentIdentificationSequence=[item(ReferencedSegmentNumber=segment)])
        for segment, k, _ in frames
    ]
    pixels = np.stack([frame for _, _, frame in frames]).astype(np.uint8)
    packed = np.packbits(pixels.ravel(), bitorder="little") if kind == "BINARY" else pixels
    made.PixelData = packed.tobytes() + bytes(packed.size % 2)
    for keyword, value in more.items():
        setattr(made, keyword, value)
    return made
