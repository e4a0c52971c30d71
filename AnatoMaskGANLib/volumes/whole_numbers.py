"""Labels out of the numbers of a file: whole and scaled ones, and NaN where nothing is labeled."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from AnatoMaskGANLib.volumes.errors import VolumeError
from AnatoMaskGANLib.volumes.label_map import in_smallest_type, values_present

_logger = logging.getLogger(__name__)

# The atlases with the most structures have some hundreds; a 12-bit image has thousands of values.
_MOST_LABELS = 1000

# Rounding leads no farther than this from a whole number, and needs no warning.
_ROUNDING = 1e-4
# Labels that went through resampling or arithmetic of 32 bits; images lie anywhere in between.
_LARGEST_FRACTION = 0.05
# Labels that an 8-bit scaling moved, each to one other value, stay distinct up to here.
_LARGEST_SCALED_FRACTION = 0.25

_ADVICE = (
    "Give a label map (a segmentation), in which every value stands for a structure, and "
    "not the image that it was drawn on."
)


def labels_of(path: Path, array: np.ndarray, scaling: str = "") -> np.ndarray:
    """Whole numbers in the smallest type.

    NaN is taken for background where all other values are whole, and values near whole numbers for
    these, both with a warning. scaling: how the header made the values out of stored numbers, ""
    if it did not. Raises VolumeError for what is an intensity image: fractional, infinite or more
    than 1000 different values.
    """
    if array.dtype.kind == "f":
        array = _whole(path, array, scaling)
    if array.dtype.kind not in "iu" or array.ndim != 3 or array.size == 0 or array.min() < 0:
        return array  # LabelMap says what is wrong with it
    values = values_present(array)
    if len(values) > _MOST_LABELS:
        raise VolumeError(
            f"There are {len(values)} different values, so this is an intensity image; "
            f"expected at most {_MOST_LABELS} labels. {_ADVICE}"
        )
    return in_smallest_type(array)


def _whole(path: Path, array: np.ndarray, scaling: str) -> np.ndarray:
    is_nan = np.isnan(array)
    num_nan = int(np.count_nonzero(is_nan))
    if num_nan:
        array = np.where(is_nan, 0, array)
    with np.errstate(invalid="ignore"):  # infinity less infinity
        whole = np.rint(array)
        off = np.abs(array - whole)
        is_off = ~(off <= _ROUNDING)  # true for infinity as well
    if is_off.any() and not _are_moved_labels(array, whole, off, scaling):
        values = array[is_off]
        by_header = f" (the header scales them: {scaling})" if scaling else ""
        raise VolumeError(
            f"{len(values)} of {array.size} values are fractional or not finite (such as "
            f"{values[0]:g}){by_header}, so this is an intensity image; expected whole "
            f"numbers. {_ADVICE}"
        )
    if np.abs(whole).max() > np.iinfo(np.int64).max / 2:
        raise VolumeError(f"Values reach {np.abs(whole).max():g}; expected labels. {_ADVICE}")
    if is_off.any():
        labels = ", ".join(f"{value:g}" for value in np.unique(whole[whole != 0])[:8])
        how = f"by the scaling in its header ({scaling})" if scaling else "by rounding"
        _logger.warning(
            "%s: %d values lie up to %.2g beside whole numbers, moved %s; taken for the labels %s",
            *(path, np.count_nonzero(is_off), off.max(), how, labels),
        )
    if num_nan:
        _logger.warning(
            "%s: %d of %d values are NaN (no number), taken for background (0)",
            *(path, num_nan, array.size),
        )
    return whole.astype(np.int64)


def _are_moved_labels(array: np.ndarray, whole: np.ndarray, off: np.ndarray, scaling: str) -> bool:
    """Whether fractional values are labels that rounding or an integer scaling has moved."""
    if not np.isfinite(off).all() or not whole.any():
        return False
    if len(np.unique(whole)) > _MOST_LABELS:
        return False
    if off.max() <= _LARGEST_FRACTION:
        return True
    is_one_to_one = len(np.unique(array)) == len(np.unique(whole))
    return bool(scaling) and is_one_to_one and off.max() <= _LARGEST_SCALED_FRACTION
