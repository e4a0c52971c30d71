"""Conversion between the voxels of a label map's grid and those of a scan's grid.

Places are [3,...] along K, J and I. Nothing is interpolated if both grids are the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np

from AnatoMaskGANLib.editing.errors import EditError
from AnatoMaskGANLib.editing.regions import Box, as_box, grown
from AnatoMaskGANLib.volumes import LabelMap, Volume, same_grid

_REVERSED = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]])  # IJK to KJI and back


@dataclass(frozen=True, eq=False)
class Grids:
    """The places of the voxels of a scan in its label map, and the other way round."""

    label_shape_kji: tuple[int, int, int]
    scan_shape_kji: tuple[int, int, int]
    label_to_scan: np.ndarray
    """3x4 matrix from voxels (k, j, i) of the label map to voxels of the scan."""
    is_same: bool

    @property
    def turn(self) -> np.ndarray:
        """3x3 matrix that turns an offset in voxels of the label map into one in voxels of the
        scan."""
        return self.label_to_scan[:, :3]

    @cached_property
    def _scan_to_label(self) -> np.ndarray:
        back = np.linalg.inv(self.turn)
        return np.concatenate([back, -back @ self.label_to_scan[:, 3:]], axis=1)

    def scan_box(self, label_box: Box) -> Box | None:
        """Gives the voxels of the scan whose centers lie in a box of the label map, and sometimes a
        few more. None if there are none."""
        if self.is_same:
            return label_box
        corners = _corners(
            [side.start - 0.5 for side in label_box], [side.stop - 0.5 for side in label_box]
        )
        places = self.label_to_scan @ corners
        low = np.clip(np.ceil(places.min(axis=1) - 1e-6), 0, self.scan_shape_kji).astype(int)
        high = np.floor(places.max(axis=1) + 1e-6) + 1
        high = np.clip(high, 0, self.scan_shape_kji).astype(int)
        if (low >= high).any():
            return None
        return as_box(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))

    def label_places(self, scan_box: Box) -> np.ndarray:
        """Gives the places of a box's scan voxels in the label map, as [3,...] float32."""
        axes = [np.arange(side.start, side.stop, dtype=np.float64) for side in scan_box]
        if self.is_same:
            return np.stack(np.meshgrid(*axes, indexing="ij")).astype(np.float32)
        matrix = self._scan_to_label
        shaped = [
            axis.reshape([-1 if a == b else 1 for b in range(3)]) for a, axis in enumerate(axes)
        ]
        places = [
            row[0] * shaped[0] + row[1] * shaped[1] + row[2] * shaped[2] + row[3] for row in matrix
        ]
        return np.stack(places).astype(np.float32)

    def label_box(self, scan_box: Box) -> Box:
        """Gives the voxels of the label map that a box of the scan lies between."""
        if self.is_same:
            return scan_box
        corners = _corners([side.start for side in scan_box], [side.stop - 1 for side in scan_box])
        places = self._scan_to_label @ corners
        box = as_box(
            slice(int(np.floor(low)), int(np.ceil(high)) + 1)
            for low, high in zip(places.min(axis=1), places.max(axis=1), strict=True)
        )
        return grown(box, (1, 1, 1), self.label_shape_kji)


def _corners(low: list[float], high: list[float]) -> np.ndarray:
    """Gives the corners of a box as [4,8], each with a 1 for the translation."""
    return np.array([(*corner, 1.0) for corner in product(*zip(low, high, strict=True))]).T


def grids_of(scan: Volume, label_map: LabelMap) -> Grids:
    """Gives the relation of two grids. Raises EditError if no voxel of the scan lies in the map."""
    to_scan = np.linalg.inv(scan.ijk_to_ras) @ label_map.ijk_to_ras
    label_to_scan = np.concatenate(
        [_REVERSED @ to_scan[:3, :3] @ _REVERSED, _REVERSED @ to_scan[:3, 3:]], axis=1
    )
    is_same = same_grid(scan, label_map)
    if is_same:
        label_to_scan = np.eye(3, 4)
    grids = Grids(label_map.shape_kji, scan.shape_kji, label_to_scan, is_same)
    if grids.scan_box(as_box(slice(0, size) for size in label_map.shape_kji)) is None:
        raise EditError(
            "The scan and the label maps do not overlap: they have no voxel in common. "
            "Expected a segmentation of this scan. Choose the scan that was segmented, or "
            "check the positions of both."
        )
    return grids
