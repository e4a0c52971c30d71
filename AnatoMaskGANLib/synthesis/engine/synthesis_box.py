"""The part of the model grid that is synthesized: where labels are, on the stride's own lattice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MARGIN = 8  # voxels of background around the labels, in plane


@dataclass(frozen=True)
class SynthesisBox:
    """A box of the model grid; rows and columns may reach beyond the grid, where background
    lies.
    """

    slices: tuple[int, int]  # first and one past the last
    rows: tuple[int, int]
    columns: tuple[int, int]

    @property
    def shape_sjk(self) -> tuple[int, int, int]:
        """Number of slices, rows and columns."""
        slices, rows, columns = (
            end - start for start, end in (self.slices, self.rows, self.columns)
        )
        return slices, rows, columns

    @property
    def start_kji(self) -> tuple[int, int, int]:
        """First voxel of the box; rows and columns may be negative."""
        return (self.slices[0], self.rows[0], self.columns[0])

    def cut(self, labels_kji: np.ndarray, slices: tuple[int, int]) -> np.ndarray:
        """The labels [slices,H,W] of the box; slices are of the grid, beyond it lies background."""
        shape = (slices[1] - slices[0], *self.shape_sjk[1:])
        part = np.zeros(shape, dtype=labels_kji.dtype)
        source, target = _overlap((slices, self.rows, self.columns), labels_kji.shape)
        part[target] = labels_kji[source]
        return part

    def paste(self, image: np.ndarray, number: int, voxels_kji: np.ndarray) -> None:
        """Writes the image [H,W] of slice `number` of the grid into the voxels of the whole
        grid.
        """
        source, target = _overlap((self.rows, self.columns), voxels_kji.shape[1:])
        voxels_kji[number][source] = image[target]


@dataclass(frozen=True, eq=False)
class BoxLabels:
    """A label map on the model grid, and the box of it that is synthesized."""

    labels_kji: np.ndarray
    """Model classes on the whole grid, any integer type."""
    box: SynthesisBox
    spacing_ijk_mm: tuple[float, float, float]

    @property
    def numbers(self) -> range:
        """The slices of the box, by their numbers on the model grid."""
        return range(*self.box.slices)

    def cut(self, first: int, end: int) -> np.ndarray:
        """[end-first,H,W] int64 classes of some slices; beyond the grid lies background."""
        return self.box.cut(self.labels_kji, (first, end)).astype(np.int64)


def labeled_box(labels_kji: np.ndarray, stride: int) -> SynthesisBox | None:
    """The box of all labels: slices as they are, rows and columns grown to cells of the stride.

    The cells start at index 0 of the grid, so that an edit inside them leaves the box as it is.
    None where nothing is labeled.
    """
    is_labeled = labels_kji != 0
    extents = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        places = np.flatnonzero(is_labeled.any(axis=others))
        if places.size == 0:
            return None
        extents.append((int(places[0]), int(places[-1]) + 1))
    slices, rows, columns = extents
    return SynthesisBox(slices, _to_cells(rows, stride), _to_cells(columns, stride))


def _to_cells(extent: tuple[int, int], stride: int) -> tuple[int, int]:
    first, end = extent[0] - MARGIN, extent[1] + MARGIN
    return (first // stride * stride, -(-end // stride) * stride)


def _overlap(
    box: tuple[tuple[int, int], ...], shape: tuple[int, ...]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """The overlap of a box and an array: slices into the array, and into the box."""
    source, target = [], []
    for (start, end), size in zip(box, shape, strict=True):
        first, last = max(0, start), min(size, end)
        last = max(first, last)
        source.append(slice(first, last))
        target.append(slice(first - start, last - start))
    return tuple(source), tuple(target)
