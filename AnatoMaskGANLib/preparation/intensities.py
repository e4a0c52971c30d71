"""The window of an image: which of its intensities become 0 and 1."""

from __future__ import annotations

import numpy as np

from AnatoMaskGANLib.preparation.settings import PreparationError

# A window that holds a smaller fraction of an image is that of another modality or unit.
_LEAST_INSIDE = 0.001


def percentile_window(voxels: np.ndarray, percentiles: tuple[float, float]) -> tuple[float, float]:
    """The intensities at two percentiles; the upper one of the voxels brighter than the mean, so
    that more or less background around the anatomy changes nothing.

    Raises PreparationError if both are the same.
    """
    lower, upper = percentiles
    low = float(np.percentile(voxels, lower))
    bright = voxels[voxels > voxels.mean(dtype=np.float64)]
    high = float(np.percentile(bright, upper)) if bright.size else low
    if not low < high:
        raise PreparationError(
            f"The percentiles {lower:g} and {upper:g} of the image are both {low:g}; expected an "
            "image with contrast. Choose other percentiles, or give --window."
        )
    return low, high


def check_window(voxels: np.ndarray, window: tuple[float, float]) -> None:
    """Raises PreparationError if hardly a voxel lies inside the window."""
    low, high = window
    fraction = float(np.mean((voxels > low) & (voxels < high)))
    if fraction < _LEAST_INSIDE:
        raise PreparationError(
            f"{fraction:.2%} of the voxels lie between {low:g} and {high:g}, but the image "
            f"ranges from {voxels.min():g} to {voxels.max():g}; expected a window that suits this "
            "modality. Give --window, or check the unit of the image (CT in HU)."
        )
