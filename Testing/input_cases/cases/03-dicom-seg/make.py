"""A DICOM segmentation object with two segments of four slices each."""

import json
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

SEG = "1.2.840.10008.5.1.4.1.1.66.4"


def item(**values):
    data = Dataset()
    for key, value in values.items():
        setattr(data, key, value)
    return data


def code(value, meaning):
    return [item(CodeValue=value, CodingSchemeDesignator="SCT", CodeMeaning=meaning)]


def frame(segment, k):
    return item(
        PlanePositionSequence=[item(ImagePositionPatient=[0.0, 0.0, 2.0 * k])],
        FrameContentSequence=[item(DimensionIndexValues=[segment, k + 1])],
        SegmentIdentificationSequence=[item(ReferencedSegmentNumber=segment)],
    )


masks = np.zeros((2, 4, 16, 16), np.uint8)
masks[0, :, 4:8, 4:12], masks[1, :, 9:12, 2:6] = 1, 1
data = item(
    SOPClassUID=SEG,
    SOPInstanceUID="1.2.3.1",
    StudyInstanceUID="1.2.3.2",
    SeriesInstanceUID="1.2.3.3",
    FrameOfReferenceUID="1.2.3.4",
    Modality="SEG",
    PatientID="x",
    PatientName="x",
    InstanceNumber=1,
    SegmentationType="BINARY",
    ContentLabel="SEG",
    Rows=16,
    Columns=16,
    SamplesPerPixel=1,
    PhotometricInterpretation="MONOCHROME2",
    BitsAllocated=1,
    BitsStored=1,
    HighBit=0,
    PixelRepresentation=0,
    NumberOfFrames=8,
    SegmentSequence=[
        item(
            SegmentNumber=number,
            SegmentLabel=name,
            SegmentAlgorithmType="MANUAL",
            SegmentedPropertyCategoryCodeSequence=code("91723000", "Anatomical Structure"),
            SegmentedPropertyTypeCodeSequence=code(value, name),
        )
        for number, name, value in (
            (1, "Brain-Stem", "119238007"),
            (2, "Left-Thalamus", "119406000"),
        )
    ],
    SharedFunctionalGroupsSequence=[
        item(
            PlaneOrientationSequence=[item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
            PixelMeasuresSequence=[
                item(PixelSpacing=[1.0, 1.0], SliceThickness=2.0, SpacingBetweenSlices=2.0)
            ],
        )
    ],
    PerFrameFunctionalGroupsSequence=[frame(segment, k) for segment in (1, 2) for k in range(4)],
    PixelData=np.packbits(masks.ravel(), bitorder="little").tobytes(),
)
data.file_meta = FileMetaDataset()
data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
data.file_meta.MediaStorageSOPClassUID = SEG
data.file_meta.MediaStorageSOPInstanceUID = "1.2.3.1"
data.save_as("seg.dcm", enforce_file_format=True)
Path("names.json").write_text(json.dumps({"255": "Brain-Stem"}))
