"""The paper's protocol: the slices, their size and the intensity range that metrics work on.

Letters: K slices, H rows (J), W columns (I).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from skimage.transform import resize

SLICE_SIZE = 224
"""Rows and columns of a compared slice (Paper, IV-A)."""
MINIMUM_LABELED_FRACTION = 0.02
"""Slices in which at most this fraction of the pixels is labeled are left out."""


def to_unit_range(voxels: np.ndarray, window: tuple[float, float]) -> np.ndarray:
    """The voxels as float32 in [0,1]: the window's ends become 0 and 1, values outside are clipped.

    One window for all slices, subjects and methods: stretching each image by its own extremes
    would hide wrong brightness. Raises ValueError for an empty window.
    """
    low, high = window
    if not (np.isfinite(low) and np.isfinite(high) and high > low):
        raise ValueError(
            f"The intensity window is ({low}, {high}); expected two finite numbers, the second "
            "one larger. Give the window of the model or of the modality."
        )
    unit = (np.asarray(voxels, dtype=np.float32) - np.float32(low)) / np.float32(high - low)
    return np.clip(unit, 0.0, 1.0)


def compared_slices(labels_kji: np.ndarray) -> np.ndarray:
    """Indices [n] of the axial slices with more than 2 % labeled pixels.

    Raises ValueError if there is none.
    """
    fraction = np.count_nonzero(labels_kji, axis=(1, 2)) / (
        labels_kji.shape[1] * labels_kji.shape[2]
    )
    indices = np.flatnonzero(fraction > MINIMUM_LABELED_FRACTION)
    if indices.size == 0:
        raise ValueError(
            f"No axial slice has more than {MINIMUM_LABELED_FRACTION:.0%} labeled pixels "
            f"(the fullest has {fraction.max():.2%}), so there is nothing to compare. Crop "
            "the case to its anatomy, or check that its labels survived matching."
        )
    return indices


def resize_slice(image_hw: np.ndarray) -> np.ndarray:
    """The slice as [224,224], bilinear; an axis that shrinks is smoothed first."""
    return resize(
        image_hw.astype(np.float32, copy=False),
        (SLICE_SIZE, SLICE_SIZE),
        order=1,
        mode="edge",
        anti_aliasing=True,
        preserve_range=True,
    ).astype(np.float32, copy=False)


def resize_mask(mask_hw: np.ndarray) -> np.ndarray:
    """The boolean mask as [224,224], by nearest neighbor."""
    height, width = mask_hw.shape
    rows = ((np.arange(SLICE_SIZE) + 0.5) * height / SLICE_SIZE).astype(int)
    columns = ((np.arange(SLICE_SIZE) + 0.5) * width / SLICE_SIZE).astype(int)
    return mask_hw[np.ix_(rows, columns)]


def slice_pairs(
    real_kji: np.ndarray, synthetic_kji: np.ndarray, labels_kji: np.ndarray
) -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
    """The index, real, synthetic and foreground of every compared slice, each [224,224]."""
    for k in compared_slices(labels_kji):
        yield (
            int(k),
            resize_slice(real_kji[k]),
            resize_slice(synthetic_kji[k]),
            resize_mask(labels_kji[k] > 0),
        )
