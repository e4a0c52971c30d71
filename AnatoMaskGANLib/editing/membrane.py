"""A smooth surface through known voxels, which continues a tissue's brightness to unknown voxels.

Laplace's equation is solved with the known voxels held, from coarse to fine grids, so that a wide
hole costs little more time per voxel than a narrow one. All axes are halved together; each grid
starts from the coarser one.
"""

from __future__ import annotations

import numpy as np

_SWEEPS = 30  # sweeps of relaxation on each grid
_COARSEST = 4  # cells along the longest axis of the last grid


def membrane(
    values: np.ndarray, is_known: np.ndarray, lengths_kji: tuple[float, ...] = (1.0, 1.0, 1.0)
) -> np.ndarray:
    """Gives `values` at known voxels and a smooth surface between and beyond, as [K,J,I] float32.
    At least one voxel must be known. lengths_kji are the edges of a voxel, all in the same unit.

    The slope is zero at the faces of the box, so the surface runs out flat beyond the known voxels.
    """
    surface = np.where(is_known, values, 0).astype(np.float32)
    if max(values.shape) <= _COARSEST or is_known.all():
        start = np.where(is_known, surface, surface[is_known].mean())
    else:
        weight = _halved(is_known.astype(np.float32))
        means = _halved(surface) / np.maximum(weight, 1e-12)
        start = _doubled(membrane(means, weight > 0, lengths_kji), values.shape)
        start = np.where(is_known, surface, start)
    for _ in range(_SWEEPS):
        start = np.where(is_known, surface, _mean_of_neighbors(start, lengths_kji))
    return start


def _halved(values: np.ndarray) -> np.ndarray:
    """Gives the sums of cells of 2 x 2 x 2 voxels. A cell has fewer voxels at the last faces and
    along an axis of one voxel."""
    for axis, size in enumerate(values.shape):
        if size > 1:
            values = np.add.reduceat(values, np.arange(0, size, 2), axis=axis)
    return values


def _doubled(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Interpolates linearly between the middles of the cells."""
    for axis, size in enumerate(shape):
        if size == 1:
            continue
        places = np.clip((np.arange(size) + 0.5) / 2 - 0.5, 0, values.shape[axis] - 1)
        below = np.minimum(places.astype(np.intp), max(values.shape[axis] - 2, 0))
        above = np.minimum(below + 1, values.shape[axis] - 1)
        weight = (places - below).astype(np.float32)
        weight = weight.reshape([-1 if other == axis else 1 for other in range(3)])
        low = np.take(values, below, axis)
        values = low + weight * (np.take(values, above, axis) - low)
    return values


def _mean_of_neighbors(values: np.ndarray, lengths_kji: tuple[float, ...]) -> np.ndarray:
    """Gives the mean of the neighbors, weighted by the inverse squares of their distances."""
    total = np.zeros_like(values)
    weights = 0.0
    for axis, length in enumerate(lengths_kji):
        if values.shape[axis] == 1:
            continue
        weight = np.float32(1 / length**2)
        weights += 2 * weight

        def part(start: int | None, stop: int | None, axis: int = axis) -> np.ndarray:
            key = [slice(None)] * 3
            key[axis] = slice(start, stop)
            return values[tuple(key)]

        total += weight * np.concatenate([part(0, 1), part(0, -1)], axis)
        total += weight * np.concatenate([part(1, None), part(-1, None)], axis)
    return total / np.float32(weights) if weights else values
