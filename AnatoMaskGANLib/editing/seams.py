"""Places that hang together, where a smooth field brought voxels to another label.

Each voxel there took the nearest right place on its own, and single voxels from all over look like
speckle. Here neighbors take one another's offsets while the labels around both places agree better
so: a border is taken from a border, the inside from the inside, and as pieces (coordinate descent
with propagated offsets, as in PatchMatch, Barnes et al. 2009; the costs are ours).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

_AROUND = [step for step in itertools.product((-1, 0, 1), repeat=3) if any(step)]
_NEXT = [step for step in _AROUND if sum(map(abs, step)) == 1]
_ROUNDS = 5
_ASIDE = (1.0, 3.0)  # voxels along an axis from a place that are tried
_MOST_VOXELS = 400_000  # beyond it is another anatomy, and no seam
_NEXT_COST = 1.5  # of offsets that differ by `_MOST_DIFFERENCE` or more, over a wrong label nearby
_MOST_DIFFERENCE = 2.0  # shortest edges of a voxel
_LEAST_GAIN = 1e-3


def join_places(
    places: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    is_loose: np.ndarray,
    lengths_kji: Sequence[float],
) -> None:
    """Writes places of the loose voxels that hang together, each still with its own label.

    places [3,K,J,I]: in the voxels of `before`. after, is_loose [K,J,I]: labels, and the voxels
    that may take another place of their label. lengths_kji: of a voxel, over its shortest edge.
    """
    spots = np.argwhere(is_loose).T
    if not 0 < spots.shape[1] <= _MOST_VOXELS:
        return
    state = _Seam(places, before, after, spots, lengths_kji)
    halves = [np.flatnonzero(spots.sum(axis=0) % 2 == rest) for rest in (0, 1)]
    for _ in range(_ROUNDS):
        # of two neighbors one stands still while the other chooses
        gained = [state.take(step, half) for step in _NEXT for half in halves if half.size]
        gained += [
            state.look_aside(step, half, length)
            for length in _ASIDE
            for step in _NEXT
            for half in halves
            if half.size
        ]
        if not any(gained):
            break
    places[:, spots[0], spots[1], spots[2]] = state.offsets_of(spots) + spots


class _Seam:
    """The loose voxels and all that their choices depend on. Voxels are numbers of arrays with one
    voxel more on every side."""

    def __init__(
        self,
        places: np.ndarray,
        before: np.ndarray,
        after: np.ndarray,
        spots: np.ndarray,
        lengths_kji: Sequence[float],
    ) -> None:
        self.spots = spots
        self.shape = before.shape
        self.lengths = np.array(lengths_kji, np.float32).reshape(3, 1)
        self.before = np.pad(before, 1, mode="edge")
        self.after = np.pad(after, 1, mode="edge")
        own = np.indices(after.shape, dtype=np.float32)
        self.offsets = np.pad(places - own, [(0, 0)] + [(1, 1)] * 3, mode="edge").reshape(3, -1)
        self.numbers = np.ravel_multi_index(tuple(spots + 1), self.after.shape)
        self.labels = self.after.ravel()[self.numbers]
        self.around = np.stack(
            [self.after.ravel()[self.numbers + _steps(step, self.after)] for step in _AROUND]
        )
        self.label_cost = self._label_costs(self.offsets_of(spots), np.arange(spots.shape[1]))

    def offsets_of(self, spots: np.ndarray) -> np.ndarray:
        """[3,N] the offsets of voxels [3,N]."""
        return self.offsets[:, np.ravel_multi_index(tuple(spots + 1), self.after.shape)]

    def take(self, step: tuple[int, ...], which: np.ndarray) -> bool:
        """Lets those voxels take the offset of one neighbor where that costs less."""
        numbers = self.numbers[which]
        neighbors = numbers + _steps(step, self.after)
        asked = self.offsets[:, neighbors]
        is_other = np.abs(asked - self.offsets[:, numbers]).max(axis=0) > _LEAST_GAIN
        which, numbers, asked = which[is_other], numbers[is_other], asked[:, is_other]
        return self._choose(which, numbers, asked)

    def look_aside(self, step: tuple[int, ...], which: np.ndarray, length: float) -> bool:
        """Lets those voxels whose labels around are not all right take a place beside theirs."""
        which = which[self.label_cost[which] > 0]
        numbers = self.numbers[which]
        aside = np.array(step, np.float32).reshape(3, 1) * length
        return self._choose(which, numbers, self.offsets[:, numbers] + aside)

    def _choose(self, which: np.ndarray, numbers: np.ndarray, asked: np.ndarray) -> bool:
        if which.size == 0:
            return False
        label_cost = self._label_costs(asked, which)
        now = self.label_cost[which] + self._next_costs(self.offsets[:, numbers], which)
        is_better = label_cost + self._next_costs(asked, which) < now - _LEAST_GAIN
        self.offsets[:, numbers[is_better]] = asked[:, is_better]
        self.label_cost[which[is_better]] = label_cost[is_better]
        return bool(is_better.any())

    def _label_costs(self, offsets: np.ndarray, which: np.ndarray) -> np.ndarray:
        """[N] how many labels around the places are others than around the voxels, near ones for
        more; a place of another label costs more than all of them."""
        at = np.rint(self.spots[:, which] + offsets).astype(np.intp)
        for axis, size in enumerate(self.shape):
            np.clip(at[axis], 0, size - 1, out=at[axis])
        numbers = np.ravel_multi_index(tuple(at + 1), self.before.shape)
        labels = self.before.ravel()
        costs = np.where(labels[numbers] == self.labels[which], np.float32(0), np.float32(1e3))
        for step, around in zip(_AROUND, self.around, strict=True):
            weight = np.float32(1 / np.sqrt(sum(map(abs, step))))
            costs += weight * (labels[numbers + _steps(step, self.before)] != around[which])
        return costs

    def _next_costs(self, offsets: np.ndarray, which: np.ndarray) -> np.ndarray:
        """[N] how far offsets are from those of the neighbors of the same label."""
        costs = np.zeros(which.size, np.float32)
        for step in _NEXT:
            neighbors = self.numbers[which] + _steps(step, self.after)
            is_own = self.after.ravel()[neighbors] == self.labels[which]
            apart = np.square((offsets - self.offsets[:, neighbors]) * self.lengths).sum(axis=0)
            costs += is_own * np.minimum(np.sqrt(apart) / _MOST_DIFFERENCE, 1)
        return _NEXT_COST * costs


def _steps(step: tuple[int, ...], array: np.ndarray) -> int:
    """The distance of two voxels in the numbers of an array."""
    k, j, i = step
    return (k * array.shape[1] + j) * array.shape[2] + i
