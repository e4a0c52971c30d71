"""A scan with its labels, and the piece of it that one region of an edit is made in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from AnatoMaskGANLib.editing.grids import Grids
from AnatoMaskGANLib.editing.painting import Tissue
from AnatoMaskGANLib.editing.regions import Box, Region, as_box

KEPT, MOVED, FILLED, PAINTED = 0, 1, 2, 3
"""The ways in which a voxel of the edited scan was made."""


@dataclass(frozen=True, eq=False)
class LabeledScan:
    """A scan with its labels, from which regions are cut."""

    voxels: np.ndarray
    """[K,J,I]. The whole scan in its own type."""
    before: np.ndarray
    """[K,J,I]. Its labels on their own grid."""
    grids: Grids
    label_spacing_kji: tuple[float, float, float]
    scan_spacing_kji: tuple[float, float, float]
    labels: frozenset[int]
    """The labels that some voxel has, without background."""
    tissue: Callable[[int], Tissue]
    """Gives the look of the voxels of one of these labels."""


@dataclass(frozen=True, eq=False)
class RegionCut:
    """One region while it is made. Labels are on their own grid, voxels on the scan's."""

    scan: LabeledScan
    region: Region
    box: Box
    """The box on the scan's grid."""
    old: np.ndarray
    """[K,J,I]. Labels before the edit in the region's box."""
    new: np.ndarray
    """[K,J,I]. Labels after the edit in the region's box."""
    voxels: np.ndarray
    """[K,J,I]. Voxels in the scan's box and type, into which the results are written."""
    how_made: np.ndarray
    """[K,J,I] uint8. How each voxel in the scan's box was made."""

    def on_scan(self, array: np.ndarray, box: Box, part: Box | None = None) -> np.ndarray:
        """Gives an array of the region's label voxels at the voxels of a box of the scan. Each
        value is that of the nearest label voxel, and zero or false outside. part is the part of the
        region's box that the array covers."""
        used = part or as_box(slice(0, size) for size in array.shape)
        start = [a.start + b.start for a, b in zip(self.region.box, used, strict=True)]
        if self.scan.grids.is_same:
            found = np.zeros([side.stop - side.start for side in box], array.dtype)
            here, there = [], []
            for side, first, size in zip(box, start, array.shape, strict=True):
                low, high = max(side.start, first), min(side.stop, first + size)
                if low >= high:
                    return found
                here.append(slice(low - side.start, high - side.start))
                there.append(slice(low - first, high - first))
            found[tuple(here)] = array[tuple(there)]
            return found
        places = np.rint(self.scan.grids.label_places(box)).astype(np.intp)
        is_inside = np.ones(places.shape[1:], dtype=bool)
        for axis, first in enumerate(start):
            places[axis] -= first
            is_inside &= (places[axis] >= 0) & (places[axis] < array.shape[axis])
            np.clip(places[axis], 0, array.shape[axis] - 1, out=places[axis])
        return np.where(is_inside, array[tuple(places)], array.dtype.type(0))

    def within(self, box: Box) -> Box:
        """Gives a box of the scan as a part of this cut's arrays."""
        return as_box(
            slice(side.start - own.start, side.stop - own.start)
            for side, own in zip(box, self.box, strict=True)
        )


def in_type_of(values: np.ndarray, scan: np.ndarray) -> np.ndarray:
    """Converts values to the type of a scan. They are rounded and kept in its range if it holds
    integers."""
    if scan.dtype.kind == "f":
        return values.astype(scan.dtype)
    limits = np.iinfo(scan.dtype)
    return np.clip(np.rint(values), limits.min, limits.max).astype(scan.dtype)
