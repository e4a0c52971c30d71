"""A label map as a DICOM segmentation object, written by highdicom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from AnatoMaskGANLib import __version__
from AnatoMaskGANLib.volumes.dicom.marks import PROGRAM
from AnatoMaskGANLib.volumes.dicom.packages import highdicom_for
from AnatoMaskGANLib.volumes.dicom.series import SERIES_NUMBER
from AnatoMaskGANLib.volumes.errors import VolumeError
from AnatoMaskGANLib.volumes.label_map import LabelMap
from AnatoMaskGANLib.volumes.terminology import LEFT, RIGHT, TISSUE

_STRUCTURE = ("123037004", "SCT", "Anatomical Structure")
_MEANINGS = {TISSUE: "Tissue", LEFT: "Left", RIGHT: "Right"}
_LONGEST_NAME = 64


def segmentation_of(label_map: LabelMap, slices: Sequence[Any]) -> Any:
    """The segmentation object (BINARY) of a label map, a segment for each label.

    slices: data sets of the series on the same grid, in the order of k, whose patient and study
    it gets. A label without a name is called by its value, one without a code is "tissue". Slices
    without a label have no frame. Raises VolumeError for a map without labels, and without
    highdicom.
    """
    hd = highdicom_for("Writing a DICOM segmentation object")
    if not label_map.values:
        raise VolumeError(
            "The label map has no labels; expected at least one for a DICOM segmentation object. "
            "Paint one, or write the series alone."
        )
    numbers = np.zeros(label_map.values[-1] + 1, dtype=np.uint16)
    numbers[list(label_map.values)] = np.arange(1, len(label_map.values) + 1)
    return hd.seg.Segmentation(
        source_images=list(slices),
        pixel_array=numbers[label_map.labels_kji],
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[
            _description(hd, label_map, value, number)
            for number, value in enumerate(label_map.values, start=1)
        ],
        series_instance_uid=hd.UID(),
        series_number=SERIES_NUMBER + 1,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer=PROGRAM,
        manufacturer_model_name=PROGRAM,
        software_versions=__version__,
        device_serial_number="none",
        series_description=f"Segmentation of {slices[0].SeriesDescription}"[:_LONGEST_NAME],
        content_label="SEGMENTATION",
    )


def _description(hd: Any, label_map: LabelMap, value: int, number: int) -> Any:
    name = label_map.names.get(value, "") or f"label {value}"
    structure, _, side = (label_map.codes.get(value) or TISSUE).partition("+")
    described = hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=name[:_LONGEST_NAME],
        segmented_property_category=hd.sr.CodedConcept(*_STRUCTURE),
        segmented_property_type=_concept(hd, structure, name),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
    )
    if side:
        kind = described.SegmentedPropertyTypeCodeSequence[0]
        kind.SegmentedPropertyTypeModifierCodeSequence = [_concept(hd, side, side)]
    return described


def _concept(hd: Any, code: str, meaning: str) -> Any:
    scheme, _, value = code.partition(":")
    return hd.sr.CodedConcept(value, scheme, _MEANINGS.get(code, meaning)[:_LONGEST_NAME])
