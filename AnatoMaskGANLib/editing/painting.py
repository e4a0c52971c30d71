"""Makes voxels that cannot be taken from the scan: those of new structures and of filled holes.

Low frequencies come from a membrane through the tissue around or from the mean that was asked for.
The rest is noise with the autocovariance of real voxels of that tissue. Nothing is copied, so no
rib or vessel shows twice. Depths are in shortest edges of a voxel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from AnatoMaskGANLib.editing.field import distance_mm
from AnatoMaskGANLib.editing.grain import Grain, grain_of
from AnatoMaskGANLib.editing.membrane import membrane
from AnatoMaskGANLib.editing.regions import Box
from AnatoMaskGANLib.editing.slices import beside

_FEWEST_VOXELS = 40  # a tissue around a hole needs this many voxels to be continued into it
_FEWEST_INNER = 400  # grain is measured without the tissue's border if this many voxels are left
# depths around a hole in which its tissue is searched, one after the other
_DEPTHS = (4.0, 8.0, 12.0)
_GRAIN_DEPTH = 12.0  # grain is measured up to this depth around a hole
_OUTLINE_DEPTH = 2.5  # voxels up to this depth around a hole may show what was removed
_PARTIAL_DEPTH = 1.5  # voxels up to this depth around a hole hold a fraction of what was removed
_SMOOTH_VOXELS = 1.5  # standard deviation of the Gaussian that takes the grain off a rim
# standard deviation of the Gaussian whose result is the mean that grain deviates from
_MEAN_VOXELS = 4.0
# most standard deviation of a filling, over that of the most even part of the tissue around
_MOST_GRAIN = 1.5
_EVEN_SHARE = 0.3  # the scan's own grain is measured in this fraction of a tissue's voxels
_BORDER_VOXELS = 0.7  # standard deviation of the Gaussian that mixes tissues at a border
_MAIN_SHARE = 0.25  # at least this fraction of the voxels around a hole belongs to its main tissue
# half the width of the middle quarter of a normal distribution, in deviations
_MAIN_HALF_WIDTH = 0.3186
_MAIN_ROUNDS = 6
_DOMINANT_NOISE = 1.5  # standard deviation of a tissue's voxels, over that of the noise alone
# at least this fraction of the voxels around a hole must differ from what was removed
_LEAST_DOMINANT = 0.1
_UNCUT = (
    1.048  # standard deviation of a normal distribution over that of its part within 2.5 deviations
)
_MAIN_DEVIATIONS = 2.5  # voxels of a main tissue lie at most this many deviations from its middle


@dataclass(frozen=True, eq=False)
class Tissue:
    """The look of voxels of one kind: their mean, and the grain with its standard deviation."""

    mean: float
    grain: Grain


def tissue_of(voxels: np.ndarray, mask: np.ndarray) -> Tissue:
    """Measures the main tissue of a mask that has some voxels. Vessels and other outliers are left
    out."""
    is_main = main_tissue(voxels, mask)
    smooth = smooth_mean(voxels, is_main, _MEAN_VOXELS)
    return Tissue(float(voxels[is_main].mean()), grain_of(voxels - smooth, is_main))


def main_tissue(voxels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Gives the voxels of a mask whose intensities belong together.

    The search starts at the shortest interval that holds a quarter of the voxels and widens it as
    far as a normal distribution through them reaches.
    """
    values = np.sort(voxels[mask].astype(np.float64))
    count = max(1, int(np.ceil(_MAIN_SHARE * values.size)))
    widths = values[count - 1 :] - values[: values.size - count + 1]
    first = int(widths.argmin())
    middle = (values[first] + values[first + count - 1]) / 2
    half = widths[first] / 2 / _MAIN_HALF_WIDTH * _MAIN_DEVIATIONS
    for _ in range(_MAIN_ROUNDS):
        inside = values[np.abs(values - middle) <= half]
        if inside.size < 2:
            break
        middle = inside.mean()
        half = _MAIN_DEVIATIONS * _UNCUT * float(inside.std())
    return mask & (np.abs(voxels - middle) <= half + 1e-6 * max(1.0, abs(middle)))


def dominant_tissue(
    voxels: np.ndarray, mask: np.ndarray, hole: np.ndarray, noise: float
) -> np.ndarray:
    """Gives the voxels of a mask that belong to its largest tissue which is not like that of a
    hole.

    A tissue is the interval of intensities that holds the most voxels and is as wide as a tissue
    with that noise scatters. A mean of several tissues that meet would be none of them, so only one
    is chosen. The whole mask is given if it is one tissue, if there is no noise, and if too few
    voxels differ from the hole.
    """
    values = np.sort(voxels[mask].astype(np.float64))
    half = _MAIN_DEVIATIONS * _DOMINANT_NOISE * noise
    if half <= 0 or values[-1] - values[0] <= 2 * half:
        return mask
    others = values[np.abs(values - np.median(voxels[hole])) > 2 * half]
    if others.size < max(_FEWEST_VOXELS, _LEAST_DOMINANT * values.size):
        return mask
    counts = np.searchsorted(others, others + 2 * half, side="right") - np.arange(others.size)
    middle = others[counts.argmax()] + half
    for _ in range(_MAIN_ROUNDS):
        middle = others[np.abs(others - middle) <= half].mean()
    is_dominant = mask & (np.abs(voxels - middle) <= half)
    return is_dominant if np.count_nonzero(is_dominant) >= _FEWEST_VOXELS else mask


def smooth_mean(voxels: np.ndarray, mask: np.ndarray, sigma: float) -> np.ndarray:
    """Computes the mean of a mask's voxels about each voxel, with a Gaussian of `sigma` voxels."""
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
    is_mixed: bool,
) -> np.ndarray:
    """Continues the tissue around into a hole and its partial volumes. Gives [K,J,I] float32.

    voxels, hole and sources lie in `box` of the scan. sources marks what may be continued into the
    hole. If there is not enough of it nearby, `otherwise` is used, or else the tissue of everything
    around. is_mixed says that the sources are several tissues under one label; then the one that
    dominates around the hole is continued.
    """
    from scipy import ndimage

    distance = distance_mm(hole, lengths_kji)
    known = _rim(voxels, distance, sources, is_mixed)
    if is_mixed and known.any():
        known = dominant_tissue(voxels, known, hole, own_grain(voxels, hole).standard_deviation)
    if not known.any():
        around = next(mask for mask in (sources, ~hole, hole) if mask.any())
        tissue = otherwise or tissue_of(voxels, around)
        return tissue.mean + tissue.grain.standard_deviation * tissue.grain.inside(box)
    smooth = membrane(smooth_mean(voxels, known, _SMOOTH_VOXELS), known, lengths_kji)
    wide = sources & (distance <= _GRAIN_DEPTH) & (distance > _PARTIAL_DEPTH)
    low, high = voxels[known].min(), voxels[known].max()
    alike = wide & (voxels >= low) & (voxels <= high)
    # grain is measured in the tissue and not at its border
    inner = alike & ndimage.binary_erosion(sources | hole, beside(lengths_kji))
    alike = inner if np.count_nonzero(inner) >= _FEWEST_INNER else alike
    grain = tissue_of(voxels, alike).grain
    standard_deviation = grain.standard_deviation
    # the borders of a thin structure scatter more than its tissue does
    most = _MOST_GRAIN * own_grain(voxels, alike).standard_deviation
    standard_deviation = min(standard_deviation, most) if most > 0 else standard_deviation
    return smooth + standard_deviation * grain.inside(box)


def outline(
    voxels: np.ndarray,
    hole: np.ndarray,
    sources: np.ndarray,
    lengths_kji: tuple[float, ...],
    is_mixed: bool,
) -> np.ndarray:
    """Gives the voxels of the sources next to a hole that still show what is to be removed, as
    [K,J,I] bool.

    They differ from the tissue around in the same direction as the hole and lie outside its range.
    Label maps seldom include all of a structure.
    """
    distance = distance_mm(hole, lengths_kji)
    known = _rim(voxels, distance, sources, is_mixed)
    if not known.any():
        return np.zeros_like(hole)
    middle = voxels[known].mean()
    low, high = voxels[known].min(), voxels[known].max()
    shows = voxels > high if voxels[hole].mean() > middle else voxels < low
    return sources & (distance <= _OUTLINE_DEPTH) & shows


def _rim(
    voxels: np.ndarray, distance: np.ndarray, sources: np.ndarray, is_mixed: bool
) -> np.ndarray:
    """Gives the main tissue of the sources around a hole. It is empty if they have too few
    voxels."""
    for depth in _DEPTHS:
        rim = sources & (distance <= depth) & (distance > _PARTIAL_DEPTH)
        if np.count_nonzero(rim) >= _FEWEST_VOXELS:
            return main_tissue(voxels, _even_part(voxels, rim, 0.5) if is_mixed else rim)
    return np.zeros_like(sources)


def with_soft_border(
    values: np.ndarray, voxels: np.ndarray, hole: np.ndarray, sources: np.ndarray
) -> np.ndarray:
    """Mixes values with tissue of another kind next to the hole, by the fraction of it that a voxel
    would hold. Borders of label maps have steps that a scan does not have."""
    from scipy import ndimage

    own = ndimage.gaussian_filter((hole | sources).astype(np.float32), _BORDER_VOXELS, truncate=3)
    foreign = ~hole & ~sources
    beside = smooth_mean(voxels, foreign, 2 * _BORDER_VOXELS)
    return np.where(own < 0.99, own * values + (1 - own) * beside, values)


def with_partial_volume(
    mask: np.ndarray,
    may_change: np.ndarray,
    edge_share: float,
    lengths_kji: tuple[float, ...],
) -> np.ndarray:
    """Gives 1 in a mask, `edge_share` in those voxels next to it that may change, and 0 elsewhere,
    as [K,J,I] float32."""
    from scipy import ndimage

    ring = ndimage.binary_dilation(mask, beside(lengths_kji)) & ~mask & may_change
    return mask + np.float32(edge_share) * ring


def paint(
    mask: np.ndarray, mean: float, standard_deviation: float, grain: Grain, box: Box
) -> np.ndarray:
    """Gives grain with exactly this mean and standard deviation in a mask, as [K,J,I] float32."""
    noise = grain.inside(box)
    values = noise[mask].astype(np.float64)
    own = float(values.std())
    if standard_deviation == 0 or own == 0:
        return np.full(mask.shape, np.float32(mean))
    return (mean + (noise - values.mean()) * (standard_deviation / own)).astype(np.float32)


def own_grain(voxels: np.ndarray, is_tissue: np.ndarray) -> Grain:
    """Measures the scan's grain in the most even part of a tissue, which shows noise without
    structures."""
    smooth = smooth_mean(voxels, is_tissue, _SMOOTH_VOXELS)
    return grain_of(voxels - smooth, _even_part(voxels, is_tissue, _EVEN_SHARE))


def _even_part(voxels: np.ndarray, is_tissue: np.ndarray, fraction: float) -> np.ndarray:
    """Gives that fraction of a tissue's voxels where its smooth mean changes least."""
    from scipy import ndimage

    smooth = ndimage.gaussian_filter(voxels, _SMOOTH_VOXELS, truncate=3)
    steps = np.zeros(voxels.shape, np.float32)
    for axis, size in enumerate(voxels.shape):
        if size > 1:
            steps += np.square(np.gradient(smooth, axis=axis))
    return is_tissue & (steps <= np.quantile(steps[is_tissue], fraction))


def enclosed(mask: np.ndarray) -> np.ndarray:
    """Gives the voxels that a mask encloses in planes of at least two directions. These lie in an
    organ but are not labeled, such as the sinus of a kidney."""
    from scipy import ndimage

    count = np.zeros(mask.shape, np.uint8)
    for axis, size in enumerate(mask.shape):
        if size == 1 or 1 in mask.shape[:axis] + mask.shape[axis + 1 :]:
            continue
        for number in range(size):
            plane = np.take(mask, number, axis)
            if plane.any():
                key: list[slice | int] = [slice(None)] * 3
                key[axis] = number
                count[tuple(key)] += ndimage.binary_fill_holes(plane) & ~plane
    return count >= 2
