"""The looks of labels in the whole scan. Each is measured once, when it is first asked for."""

from __future__ import annotations

import numpy as np

from AnatoMaskGANLib.editing.grids import Grids
from AnatoMaskGANLib.editing.painting import Tissue, tissue_of
from AnatoMaskGANLib.editing.regions import Box, as_box, box_of

_MOST_VOXELS_KJI = (48, 96, 96)  # a larger label is only measured in a box of this size
_FEWEST_VOXELS = 60  # the border is left out if the label has this many voxels without it
_BLOCK = 8  # voxels; the place with the most voxels of a label is searched in steps of this size


class LabelTissues:
    """The tissue of each label of a scan."""

    def __init__(self, voxels: np.ndarray, labels: np.ndarray, grids: Grids) -> None:
        self._voxels = voxels
        self._labels = labels
        self._grids = grids
        self._found: dict[int, Tissue] = {}

    def __call__(self, label: int) -> Tissue:
        """Gives the tissue of a label that the scan has, measured where the label is thickest."""
        if label not in self._found:
            self._found[label] = self._measured(label)
        return self._found[label]

    def _measured(self, label: int) -> Tissue:
        from scipy import ndimage

        mask = self._labels == label
        box = _fullest_part(mask, box_of(mask))
        scan_box = self._grids.scan_box(box)
        if scan_box is None:  # this part of the map lies outside the scan
            return tissue_of(self._voxels, np.ones(self._voxels.shape, dtype=bool))
        if self._grids.is_same:
            is_label = mask[box]
        else:
            places = np.rint(self._grids.label_places(scan_box)).astype(np.intp)
            for axis, size in enumerate(mask.shape):
                np.clip(places[axis], 0, size - 1, out=places[axis])
            is_label = mask[tuple(places)]
        flat = np.ones((3, 3, 3), dtype=bool)
        for axis, size in enumerate(is_label.shape):
            if size == 1:
                flat = np.take(flat, [1], axis)
        inner = ndimage.binary_erosion(is_label, flat)
        if np.count_nonzero(inner) >= _FEWEST_VOXELS:
            is_label = inner
        voxels = self._voxels[scan_box].astype(np.float32)
        if not is_label.any():  # thinner than the scan's voxels
            is_label = np.ones_like(is_label)
        return tissue_of(voxels, is_label)


def _fullest_part(mask: np.ndarray, box: Box) -> Box:
    """Gives the part of a box with the most voxels of the mask, no larger than the measured
    size."""
    sides = list(box)
    for axis, most in enumerate(_MOST_VOXELS_KJI):
        side = sides[axis]
        if side.stop - side.start <= most:
            continue
        inside = mask[tuple(sides)]
        counts = inside.sum(axis=tuple(other for other in range(3) if other != axis))
        sums = np.cumsum(np.concatenate([[0], counts]))
        starts = np.arange(0, len(counts) - most + 1, _BLOCK)
        best = int(starts[(sums[starts + most] - sums[starts]).argmax()])
        sides[axis] = slice(side.start + best, side.start + best + most)
    return as_box(sides)
