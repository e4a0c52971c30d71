"""A volume's intensities as the 16-bit whole numbers that DICOM images store."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from AnatoMaskGANLib.volumes.volume import Volume, refuse_non_finite

_SHORT = np.iinfo(np.int16)
_UNSIGNED = np.iinfo(np.uint16)


@dataclass(frozen=True, eq=False)
class StoredPixels:
    """Stored numbers and how they become intensities: stored x slope + intercept."""

    values_kji: np.ndarray
    """int16 or uint16."""
    slope: float
    intercept: float


def stored_pixels(volume: Volume) -> StoredPixels:
    """Whole numbers that fit 16 bits are stored as they are, and so is CT, rounded to whole HU, as
    scanners store it. Other intensities are spread over 16 bits: the error is at most 1/130000 of
    their range. Raises VolumeError for values that are no numbers."""
    voxels = refuse_non_finite(volume, "The volume").voxels_kji
    low, high = float(voxels.min()), float(voxels.max())
    is_whole = volume.unit == "HU" or np.array_equal(voxels, np.rint(voxels))
    if is_whole and _SHORT.min <= low and high <= _SHORT.max:
        return StoredPixels(np.rint(voxels).astype(np.int16), 1.0, 0.0)
    if is_whole and 0 <= low and high <= _UNSIGNED.max:
        return StoredPixels(np.rint(voxels).astype(np.uint16), 1.0, 0.0)
    # Slope and intercept as a DICOM text of 16 characters holds them, so that all is exact.
    slope = float(f"{(high - low) / (_UNSIGNED.max - 1):.9e}") or 1.0
    intercept = float(f"{low:.8e}")
    scaled = np.rint((voxels.astype(np.float64) - intercept) / slope)
    return StoredPixels(scaled.clip(0, _UNSIGNED.max).astype(np.uint16), slope, intercept)
