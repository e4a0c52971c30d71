"""A volume out of one Enhanced multi-frame object (MR, CT, PET and their relatives)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from AnatoMaskGANLib.volumes.dicom.frames import functional_group, stack_of
from AnatoMaskGANLib.volumes.dicom.reading import damage_in_words, frames_of, open_data_set
from AnatoMaskGANLib.volumes.errors import VolumeError
from AnatoMaskGANLib.volumes.origin_marks import SYNTHETIC_MARK
from AnatoMaskGANLib.volumes.stored_volume import StoredVolume


def read_multiframe(path: Path) -> StoredVolume:
    """Voxels in the object's unit, with slope and intercept of each frame, and their place.

    Raises VolumeError for colors, for frames on no grid, for missing slices, and for several
    frames in one place (time points, echoes, phases).
    """
    data_set = open_data_set(path)
    with damage_in_words(path):
        num_frames = int(getattr(data_set, "NumberOfFrames", 1))
        samples = int(getattr(data_set, "SamplesPerPixel", 1))
        if samples != 1:
            raise VolumeError(
                f"{path} holds {samples} values for each voxel; expected one. Give a scan, not a "
                "picture in colors."
            )
        stack = stack_of(path, data_set, num_frames)
        num_places = len(set(stack.slice_of_frame))
        if num_places < num_frames:
            raise VolumeError(
                f"{path} holds {num_frames} frames in {num_places} places (time points, echoes or "
                "phases); expected one for each slice. Split it into one object for each, for "
                "instance in Slicer."
            )
        if stack.has_gaps:
            raise VolumeError(
                f"{path} holds {num_frames} frames of {stack.num_slices} evenly spaced slices; "
                "expected all of them. Slices are missing: export the object again."
            )
        slices: list[np.ndarray] = [np.empty(0)] * num_frames
        units = set()
        for number, frame in enumerate(frames_of(data_set)):
            group = functional_group(data_set, number, "PixelValueTransformationSequence")
            source = data_set if group is None else group
            slices[stack.slice_of_frame[number]] = _rescaled(frame, source)
            units.add(str(getattr(source, "RescaleType", "")))
        is_ct = str(getattr(data_set, "Modality", "")) == "CT"
        unit = "HU" if units == {"HU"} or (is_ct and units <= {"", "HU"}) else ""
        record: dict[str, Any] = {"unit": unit}
        if str(getattr(data_set, "SyntheticData", "")) == "YES":
            record["provenance"] = {SYNTHETIC_MARK: "YES"}
        return StoredVolume(np.stack(slices), stack.ijk_to_ras, record)


def _rescaled(frame: np.ndarray, source: Any) -> np.ndarray:
    """The frame in its unit, as whole numbers where slope and intercept are whole."""
    slope = float(getattr(source, "RescaleSlope", 1) or 1)
    intercept = float(getattr(source, "RescaleIntercept", 0) or 0)
    if slope == 1 and intercept.is_integer() and abs(intercept) < 2**30:
        return frame.astype(np.int32) + int(intercept)
    return (frame * slope + intercept).astype(np.float32)
