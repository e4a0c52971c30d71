"""Voxels that no place of the scan can give: structures that are new, and what fills a hole.

Low frequencies come from a membrane through the tissue around or from the mean that was asked for,
the rest is noise with the autocovariance of real voxels of that tissue. Nothing is copied, so no
rib or vessel shows twice. Depths are in shortest edges of a voxel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .field import distance_mm
from .grain import Grain, grain_of
from .membrane import membrane
from .regions import Box

_FEWEST_VOXELS = 40  # of a tissue around a hole, to go on from
_DEPTHS = (4.0, 8.0, 12.0)  # around a hole in which its tissue is looked for
_GRAIN_DEPTH = 12.0  # around a hole from which grain is taken
_PARTIAL_DEPTH = 1.5  # around a hole in which voxels hold a share of what was removed
_SMOOTH_VOXELS = 1.5  # standard deviation of the Gaussian that takes the grain off a rim
_MEAN_VOXELS = 4.0  # of the Gaussian from which grain deviates
_MAIN_SHARE = 0.35  # of the voxels around a hole that belong to its main tissue, at least
_MAIN_HALF_WIDTH = 0.4538  # in deviations, of the middle 35 % of a normal distribution
_MAIN_DEVIATIONS = 2.5  # of a main tissue's voxels from its middle, at most


@dataclass(frozen=True, eq=False)
class Tissue:
    """How voxels of one kind look: mean, and the grain with its deviation."""

    mean: float
    grain: Grain


def tissue_of(voxels: np.ndarray, mask: np.ndarray) -> Tissue:
    """The main tissue of a mask that has some voxels; vessels and other outliers are left out."""
    is_main = main_tissue(voxels, mask)
    smooth = smooth_mean(voxels, is_main, _MEAN_VOXELS)
    return Tissue(float(voxels[is_main].mean()), grain_of(voxels - smooth, is_main))


def main_tissue(voxels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The voxels of a mask whose intensities belong together: those about the shortest interval
    that holds a third of them, up to 2.5 deviations away."""
    values = np.sort(voxels[mask].astype(np.float64))
    count = max(1, int(np.ceil(_MAIN_SHARE * values.size)))
    widths = values[count - 1 :] - values[: values.size - count + 1]
    first = int(widths.argmin())
    middle = (values[first] + values[first + count - 1]) / 2
    half = widths[first] / 2 / _MAIN_HALF_WIDTH * _MAIN_DEVIATIONS
    return mask & (np.abs(voxels - middle) <= half + 1e-6 * max(1.0, abs(middle)))


def smooth_mean(voxels: np.ndarray, mask: np.ndarray, sigma: float) -> np.ndarray:
    """The mean of a mask's voxels about each voxel, by a Gaussian of `sigma` voxels."""
    from scipy import ndimage

    weight = ndimage.gaussian_filter(mask.astype(np.float32), sigma, truncate=3)
    values = np.where(mask, voxels, 0).astype(np.float32)
    return ndimage.gaussian_filter(values, sigma, truncate=3) / np.maximum(weight, 1e-6)


def fill(
    voxels: np.ndarray,
    hole: np.ndarray,
    sources: np.ndarray,
    box: Box,
    lengths_kji: tuple[float, ...],
    otherwise: Tissue | None,
) -> np.ndarray:
    """[K,J,I] float32: what a hole and its partial volumes hold if the tissue around goes on.

    voxels, hole, sources: of `box` of the scan; sources: what may go on into the hole. Without
    enough of it nearby, `otherwise`, or else the tissue of all that is around.
    """
    distance = distance_mm(hole, lengths_kji)
    known = np.zeros_like(hole)
    for depth in _DEPTHS:
        rim = sources & (distance <= depth) & (distance > _PARTIAL_DEPTH)
        if np.count_nonzero(rim) >= _FEWEST_VOXELS:
            known = main_tissue(voxels, rim)
            break
    if not known.any():
        tissue = otherwise or tissue_of(voxels, sources if sources.any() else ~hole)
        return tissue.mean + tissue.grain.deviation * tissue.grain.inside(box)
    smooth = membrane(smooth_mean(voxels, known, _SMOOTH_VOXELS), known, lengths_kji)
    wide = sources & (distance <= _GRAIN_DEPTH) & (distance > _PARTIAL_DEPTH)
    low, high = voxels[known].min(), voxels[known].max()
    tissue = tissue_of(voxels, wide & (voxels >= low) & (voxels <= high))
    return smooth + tissue.grain.deviation * tissue.grain.inside(box)


def with_partial_volume(mask: np.ndarray, may_change: np.ndarray, edge_share: float) -> np.ndarray:
    """[K,J,I] float32: 1 in a mask, a share in those voxels next to it that may change, else 0."""
    from scipy import ndimage

    ring = ndimage.binary_dilation(mask) & ~mask & may_change
    return mask + np.float32(edge_share) * ring


def paint(mask: np.ndarray, mean: float, deviation: float, grain: Grain, box: Box) -> np.ndarray:
    """[K,J,I] float32: grain with exactly this mean and deviation over the voxels of a mask."""
    noise = grain.inside(box)
    values = noise[mask].astype(np.float64)
    own = float(values.std())
    if deviation == 0 or own == 0:
        return np.full(mask.shape, np.float32(mean))
    return (mean + (noise - values.mean()) * (deviation / own)).astype(np.float32)


def own_grain(voxels: np.ndarray, is_tissue: np.ndarray) -> Grain:
    """The grain of the scan in the more even half of a tissue: noise, without structures."""
    smooth = smooth_mean(voxels, is_tissue, _SMOOTH_VOXELS)
    steps = np.zeros(voxels.shape, np.float32)
    for axis, size in enumerate(voxels.shape):
        if size > 1:
            steps += np.square(np.gradient(smooth, axis=axis))
    limit = np.median(steps[is_tissue])
    even = is_tissue & (steps <= limit)
    return grain_of(voxels - smooth, even)
