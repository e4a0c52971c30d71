"""A DICOM segmentation object: brain stem and left thalamus, 4 slices each, and names of no use."""

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SegmentationStorage


def item(**values):
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def code(value, meaning):
    return [item(CodeValue=value, CodingSchemeDesignator="SCT", CodeMeaning=meaning)]


masks = np.zeros((2, 4, 16, 16), np.uint8)
masks[0, :, 4:8, 4:12] = 1
masks[1, :, 9:12, 2:6] = 1
data_set = item(
    **dict(SOPClassUID=SegmentationStorage, SOPInstanceUID="1.2.3.4.1", StudyInstanceUID="1.2.3.2"),
    **dict(SeriesInstanceUID="1.2.3.3", FrameOfReferenceUID="1.2.3.4", Modality="SEG"),
    **dict(PatientID="x", PatientName="x", SegmentationType="BINARY", Rows=16, Columns=16),
    **dict(SamplesPerPixel=1, PhotometricInterpretation="MONOCHROME2", NumberOfFrames=8),
    **dict(BitsAllocated=1, BitsStored=1, HighBit=0, PixelRepresentation=0),
)
data_set.SegmentSequence = [
    item(
        SegmentNumber=number,
        SegmentLabel=name,
        SegmentAlgorithmType="MANUAL",
        SegmentedPropertyCategoryCodeSequence=code("91723000", "Anatomical Structure"),
        SegmentedPropertyTypeCodeSequence=code(value, name),
    )
    for number, name, value in ((1, "Brain-Stem", "119238007"), (2, "Left-Thalamus", "119406000"))
]
data_set.SharedFunctionalGroupsSequence = [
    item(
        PlaneOrientationSequence=[item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
        PixelMeasuresSequence=[item(PixelSpacing=[1, 1], SliceThickness=2, SpacingBetweenSlices=2)],
    )
]
data_set.PerFrameFunctionalGroupsSequence = [
    item(
        PlanePositionSequence=[item(ImagePositionPatient=[0, 0, 2 * k])],
        SegmentIdentificationSequence=[item(ReferencedSegmentNumber=segment)],
    )
    for segment in (1, 2)
    for k in range(4)
]
data_set.PixelData = np.packbits(masks.ravel(), bitorder="little").tobytes()
data_set.file_meta = FileMetaDataset()
data_set.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
data_set.save_as("seg.dcm", enforce_file_format=True)
Path("names.json").write_text('{"255": "Brain-Stem"}', encoding="utf-8")
