"""A label map: which structure each voxel belongs to, where it lies, and what it is called."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from AnatoMaskGANLib.volumes.errors import VolumeError
from AnatoMaskGANLib.volumes.geometry import checked_ijk_to_ras, spacing_ijk_mm_of


@dataclass(frozen=True, eq=False)
class LabelMap:
    """An integer volume whose values are labels; 0 is background.

    Raises VolumeError if the array is not 3-D, empty, not of integers or has negative values, or
    if the geometry is not one of a volume.
    """

    labels_kji: np.ndarray
    """Label of each voxel, any integer type, C-contiguous, never negative."""
    ijk_to_ras: np.ndarray
    """4x4 float64, voxel index (i, j, k) to RAS in mm."""
    names: Mapping[int, str] = field(default_factory=dict)
    """Label value to name; may also name values that no voxel has."""
    codes: Mapping[int, str] = field(default_factory=dict)
    """Label value to terminology code, as `terminology.py` writes it: "SCT:12738006"."""

    def __post_init__(self) -> None:
        labels = np.asarray(self.labels_kji)
        if labels.ndim != 3 or labels.size == 0:
            raise VolumeError(
                f"The label map has the shape {labels.shape}; expected three axes with at least "
                "one voxel each. Give one 3-D label map."
            )
        if labels.dtype.kind not in "iu":
            raise VolumeError(
                f"The label map holds values of type {labels.dtype}; expected integers. Convert "
                "it only if every value is a whole number, and not if it is an intensity image."
            )
        labels = np.ascontiguousarray(labels)
        if labels.dtype.kind == "i" and labels.min() < 0:
            raise VolumeError(
                f"The label map has negative values (the lowest is {labels.min()}); expected 0 "
                "for background and positive labels. Is it an intensity image, for instance a CT?"
            )
        object.__setattr__(self, "labels_kji", labels)
        object.__setattr__(self, "ijk_to_ras", checked_ijk_to_ras(self.ijk_to_ras))
        object.__setattr__(self, "names", {int(v): str(n) for v, n in self.names.items()})
        object.__setattr__(self, "codes", {int(v): str(c) for v, c in self.codes.items()})

    @property
    def shape_kji(self) -> tuple[int, int, int]:
        """Number of voxels along k, j and i."""
        return self.labels_kji.shape

    @property
    def spacing_ijk_mm(self) -> tuple[float, float, float]:
        """Distance of neighboring voxel centers along i, j and k."""
        return spacing_ijk_mm_of(self.ijk_to_ras)

    @cached_property
    def values(self) -> tuple[int, ...]:
        """The label values that voxels have, sorted, without background."""
        return tuple(int(value) for value in values_present(self.labels_kji) if value != 0)

    def sha256(self) -> str:
        """Hash of labels, shape and place (to 1e-4 mm); it does not depend on the file type.

        Names do not enter it: another label table is not another painting.
        """
        place = np.round(self.ijk_to_ras, 4) + 0.0  # + 0.0: no negative zero
        digest = hashlib.sha256()
        digest.update(np.array(self.shape_kji, dtype="<i8").tobytes())
        digest.update(place.astype("<f8").tobytes())
        digest.update(np.ascontiguousarray(in_smallest_type(self.labels_kji)).data)
        return digest.hexdigest()


# The presence of label values up to this one is noted in a table; larger values are sorted.
_LARGEST_TABLE = 1 << 20


def values_present(labels: np.ndarray) -> np.ndarray:
    """The distinct values of an array of integers that are not negative, sorted."""
    largest = int(labels.max())
    if largest > _LARGEST_TABLE:
        return np.unique(labels)
    is_present = np.zeros(largest + 1, dtype=bool)
    is_present[labels.reshape(-1)] = True
    return np.flatnonzero(is_present)


def in_smallest_type(labels: np.ndarray) -> np.ndarray:
    """The same labels as uint8, int16, int32 or int64, the first that holds the largest."""
    largest = int(labels.max())
    for dtype in (np.uint8, np.int16, np.int32):
        if largest <= np.iinfo(dtype).max:
            return labels.astype(dtype, copy=False)
    return labels.astype(np.int64, copy=False)
