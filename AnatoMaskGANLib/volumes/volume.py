"""A scalar volume, real or synthetic: intensities, where they lie, and where they come from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from AnatoMaskGANLib.volumes.errors import VolumeError
from AnatoMaskGANLib.volumes.geometry import checked_ijk_to_ras, largest_shift_mm, spacing_ijk_mm_of
from AnatoMaskGANLib.volumes.label_map import LabelMap


@dataclass(frozen=True, eq=False)
class Volume:
    """One intensity for each voxel, in physical units.

    Raises VolumeError if the array is not 3-D, empty or not of real numbers, if the window is
    not a range, or if the geometry is not one of a volume.
    """

    voxels_kji: np.ndarray
    """Intensities: float32, or integers as a file held them; C-contiguous."""
    ijk_to_ras: np.ndarray
    """4x4 float64, voxel index (i, j, k) to RAS in mm."""
    window: tuple[float, float] | None = None
    """The intensities that become 0 and 1 for the networks and the metrics."""
    unit: str = ""
    """"HU" for CT, empty for MR."""
    provenance: Mapping[str, str] = field(default_factory=dict)
    """How the volume was made, for node attributes and file headers; empty for a real one."""

    def __post_init__(self) -> None:
        voxels = np.asarray(self.voxels_kji)
        if voxels.ndim != 3 or voxels.size == 0:
            raise VolumeError(
                f"The volume has the shape {voxels.shape}; expected three axes with at least one "
                "voxel each. Give one 3-D volume."
            )
        if voxels.dtype.kind not in "iuf":
            raise VolumeError(
                f"The volume holds values of type {voxels.dtype}; expected one real number for "
                "each voxel. Convert colors or complex numbers to one channel first."
            )
        if voxels.dtype.kind == "f":
            voxels = voxels.astype(np.float32, copy=False)
        object.__setattr__(self, "voxels_kji", np.ascontiguousarray(voxels))
        object.__setattr__(self, "ijk_to_ras", checked_ijk_to_ras(self.ijk_to_ras))
        provenance = {str(key): str(value) for key, value in self.provenance.items()}
        object.__setattr__(self, "provenance", provenance)
        if self.window is not None:
            low, high = (float(limit) for limit in self.window)
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise VolumeError(
                    f"The intensity window is {self.window}; expected two finite numbers, the "
                    "lower one first."
                )
            object.__setattr__(self, "window", (low, high))

    @property
    def shape_kji(self) -> tuple[int, int, int]:
        """Number of voxels along k, j and i."""
        return self.voxels_kji.shape

    @property
    def spacing_ijk_mm(self) -> tuple[float, float, float]:
        """Distance of neighboring voxel centers along i, j and k."""
        return spacing_ijk_mm_of(self.ijk_to_ras)


def refuse_non_finite(volume: Volume, what: str) -> Volume:
    """The volume itself, whose voxels are all numbers, as networks and metrics need them.

    what: how the message calls the volume. Raises VolumeError if voxels are NaN or infinite.
    """
    voxels = volume.voxels_kji
    if voxels.dtype.kind == "f":
        num_wrong = voxels.size - int(np.count_nonzero(np.isfinite(voxels)))
        if num_wrong:
            raise VolumeError(
                f"{what} has {num_wrong} of {voxels.size} voxels whose values are NaN or "
                "infinite; expected a finite intensity in every voxel. Replace these values first."
            )
    return volume


@dataclass(frozen=True)
class ChangedRegion:
    """A box of a volume's grid outside which no voxel changed: start <= index < stop."""

    start_kji: tuple[int, int, int]
    stop_kji: tuple[int, int, int]

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """The three slices that cut the box out of an array."""
        return (
            slice(self.start_kji[0], self.stop_kji[0]),
            slice(self.start_kji[1], self.stop_kji[1]),
            slice(self.start_kji[2], self.stop_kji[2]),
        )


def same_grid(a: LabelMap | Volume, b: LabelMap | Volume, tolerance_mm: float = 1e-3) -> bool:
    """Whether both have the same shape and every voxel center agrees within the tolerance."""
    if a.shape_kji != b.shape_kji:
        return False
    return largest_shift_mm(a.shape_kji, a.ijk_to_ras, b.ijk_to_ras) <= tolerance_mm
