"""The grain of a tissue: how its voxels scatter about their smooth mean, and more of the same.

White noise of a fixed tile is colored by the autocovariance of real voxels, which is measured over
the few voxels that it reaches. The tile repeats itself over the scan and is aligned with the scan's
own voxels, not with the box of an edit. Another stroke therefore does not change what the stroke
before has made.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from AnatoMaskGANLib.editing.regions import Box

TILE_KJI = (64, 96, 96)
"""The noise repeats itself after this many voxels, which is longer than any grain."""

_SEED = 0xE417
_FEWEST_PAIRS = 10  # a lag needs this many pairs of voxels
# a smaller ratio of a covariance to its standard error in white noise counts as chance
_LEAST_CHANCE = 3.0
_MOST_LAG = 8  # voxels; the longest distance over which the scatter of neighbors is compared
_FEWEST_VOXELS = 60  # an autocovariance can be measured from this many voxels on
# standard deviation of a normal distribution divided by its median absolute deviation
_DEVIATION_OF_MEDIAN = 1.4826
_MOST_DEVIATIONS = 2.5  # a real voxel farther from the mean than this belongs to another tissue


@dataclass(frozen=True, eq=False)
class Grain:
    """A periodic tile of noise with mean 0 and standard deviation 1, and the standard deviation
    that the noise had before."""

    tile: np.ndarray
    """[k,j,i] float32. The noise."""
    standard_deviation: float
    """Standard deviation of the grain in the intensities of the scan."""

    def inside(self, box: Box) -> np.ndarray:
        """Gives the noise at these voxels of the scan, as [K,J,I]."""
        index = [
            np.arange(side.start, side.stop) % size
            for side, size in zip(box, self.tile.shape, strict=True)
        ]
        return self.tile[np.ix_(*index)]


def grain_of(residual: np.ndarray, mask: np.ndarray) -> Grain:
    """Measures the grain of the voxels of a mask. residual [K,J,I] is their deviation from their
    mean.

    The noise is white if the mask has too few voxels.
    """
    tile_shape = tuple(
        tile if size > 1 else 1 for tile, size in zip(TILE_KJI, mask.shape, strict=True)
    )
    white = np.random.default_rng(_SEED).standard_normal(tile_shape)
    values = residual[mask].astype(np.float64)
    if values.size:
        values -= np.median(values)
        most = _MOST_DEVIATIONS * _DEVIATION_OF_MEDIAN * float(np.median(np.abs(values)))
        values = np.clip(values, -most, most) if most > 0 else values
        values -= values.mean()
    standard_deviation = float(values.std()) if values.size > 1 else 0.0
    if values.size < _FEWEST_VOXELS or standard_deviation == 0:
        return Grain(white.astype(np.float32), standard_deviation)
    known = np.zeros(mask.shape)
    known[mask] = values
    covariance = _covariance(known, mask, tile_shape)
    power = np.maximum(np.fft.rfftn(covariance).real, 0)
    colored = np.fft.irfftn(np.fft.rfftn(white) * np.sqrt(power), s=tile_shape, axes=(0, 1, 2))
    colored -= colored.mean()
    return Grain((colored / colored.std()).astype(np.float32), standard_deviation)


def _covariance(known: np.ndarray, mask: np.ndarray, tile_shape: tuple[int, ...]) -> np.ndarray:
    """Gives the autocovariance by lag, in a tile with lag 0 first and negative lags at the end.

    Each lag is averaged over the pairs of voxels that lie in the mask, and faded out toward the
    longest lag.
    """
    padded = [size + (_MOST_LAG if size > 1 else 0) for size in mask.shape]
    axes = (0, 1, 2)
    products = np.fft.irfftn(np.abs(np.fft.rfftn(known, padded, axes)) ** 2, padded, axes)
    pairs = np.fft.irfftn(np.abs(np.fft.rfftn(mask.astype(float), padded, axes)) ** 2, padded, axes)
    lags = [
        np.arange(-min(_MOST_LAG, size - 1), min(_MOST_LAG, size - 1) + 1) for size in mask.shape
    ]
    at = np.ix_(*lags)  # negative lags lie at the end, like negative indices
    covariance = products[at] / np.maximum(pairs[at], _FEWEST_PAIRS)
    # a correlation that white noise would show by chance does not count
    chance = products.flat[0] / pairs.flat[0] / np.sqrt(np.maximum(pairs[at], _FEWEST_PAIRS))
    covariance[np.abs(covariance) < _LEAST_CHANCE * chance] = 0
    for axis, lag in enumerate(lags):
        fade = np.cos(0.5 * np.pi * lag / (_MOST_LAG + 1)) ** 2
        covariance = covariance * fade.reshape([-1 if axis == other else 1 for other in range(3)])
    tile = np.zeros(tile_shape)
    tile[at] = covariance
    return tile
