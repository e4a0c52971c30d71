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
_ROUNDS_ASIDE = 2  # in which places beside are tried
_ASIDE = (1.0, 3.0)  # voxels along an axis that these lie from a place
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
    for number in range(_ROUNDS):
        state.num_round = number
        # of two neighbors one stands still while the other chooses
        gained = [state.take(step, half) for step in range(len(_NEXT)) for half in halves]
        if number < _ROUNDS_ASIDE:
            asides = itertools.product(_ASIDE, _NEXT, halves)
            gained += [state.look_aside(step, half, length) for length, step, half in asides]
        if not any(gained):
            break
    places[:, spots[0], spots[1], spots[2]] = state.offsets[state.numbers].T + spots


class _Seam:
    """The loose voxels and all that their choices depend on. Voxels are numbers of arrays with one
    voxel more on every side."""

    num_round = 0

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
        self.squares = np.square(np.array(lengths_kji, np.float32) / _MOST_DIFFERENCE)
        self.before = np.pad(before, 1, mode="edge")
        after = np.pad(after, 1, mode="edge")
        labels = after.ravel()
        self.numbers = np.ravel_multi_index(tuple(spots + 1), after.shape)
        self.labels = labels[self.numbers]
        self.around = np.stack([labels[self.numbers + _ahead(step, after)] for step in _AROUND])
        self.next = np.stack([self.numbers + _ahead(step, after) for step in _NEXT])
        self.is_own = labels[self.next] == self.labels
        self.offsets = np.zeros((after.size, 3), np.float32)
        used = np.unique(np.concatenate([self.numbers, self.next.ravel()]))
        at = np.array(np.unravel_index(used, after.shape)) - 1
        for axis, size in enumerate(places.shape[1:]):
            np.clip(at[axis], 0, size - 1, out=at[axis])
        self.offsets[used] = (places[:, at[0], at[1], at[2]] - at).T
        self.changed_in = np.zeros(after.size, np.int8)  # the round of each voxel's last choice
        self.label_cost = self._label_costs(
            self.offsets[self.numbers], np.arange(spots.shape[1], dtype=np.intp)
        )

    def take(self, step: int, which: np.ndarray) -> bool:
        """Lets those voxels take the offset of one neighbor, by its number in `_NEXT`, where that
        costs less."""
        neighbors = self.next[step, which]
        is_new = self.changed_in[neighbors] >= self.num_round - 1
        which, neighbors = which[is_new], neighbors[is_new]
        asked = self.offsets[neighbors]
        is_other = (asked != self.offsets[self.numbers[which]]).any(axis=1)
        return self._choose(which[is_other], asked[is_other])

    def look_aside(self, step: tuple[int, ...], which: np.ndarray, length: float) -> bool:
        """Lets those voxels whose labels around are not all right take a place beside theirs."""
        is_new = self.changed_in[self.numbers[which]] >= self.num_round - 1
        which = which[is_new & (self.label_cost[which] > 0)]
        aside = np.array(step, np.float32) * length
        return self._choose(which, self.offsets[self.numbers[which]] + aside)

    def _choose(self, which: np.ndarray, asked: np.ndarray) -> bool:
        """Gives those voxels what is asked where it costs less; whether it did so anywhere."""
        label_cost = self._label_costs(asked, which)
        # a place whose labels are that much worse cannot be better
        may_be = label_cost < self.label_cost[which] + len(_NEXT) * _NEXT_COST
        which, asked, label_cost = which[may_be], asked[may_be], label_cost[may_be]
        numbers = self.numbers[which]
        now = self.label_cost[which] + self._next_costs(self.offsets[numbers], which)
        is_better = label_cost + self._next_costs(asked, which) < now - _LEAST_GAIN
        numbers = numbers[is_better]
        self.offsets[numbers] = asked[is_better]
        self.changed_in[numbers] = self.num_round
        self.label_cost[which[is_better]] = label_cost[is_better]
        return bool(is_better.any())

    def _label_costs(self, offsets: np.ndarray, which: np.ndarray) -> np.ndarray:
        """[N] how many labels around the places are others than around the voxels, near ones for
        more; a place of another label costs more than all of them."""
        at = np.rint(self.spots[:, which] + offsets.T).astype(np.intp)
        for axis, size in enumerate(self.shape):
            np.clip(at[axis], 0, size - 1, out=at[axis])
        numbers = np.ravel_multi_index(tuple(at + 1), self.before.shape)
        labels = self.before.ravel()
        costs = np.where(labels[numbers] == self.labels[which], np.float32(0), np.float32(1e3))
        for step, around in zip(_AROUND, self.around, strict=True):
            weight = np.float32(1 / np.sqrt(sum(map(abs, step))))
            costs += weight * (labels[numbers + _ahead(step, self.before)] != around[which])
        return costs

    def _next_costs(self, offsets: np.ndarray, which: np.ndarray) -> np.ndarray:
        """[N] how far offsets are from those of the neighbors of the same label."""
        costs = np.zeros(which.size, np.float32)
        for neighbors, is_own in zip(self.next, self.is_own, strict=True):
            apart = offsets - self.offsets[neighbors[which]]
            apart *= apart
            costs += is_own[which] * np.minimum(np.sqrt(apart @ self.squares), 1)
        return _NEXT_COST * costs


def _ahead(step: tuple[int, ...], array: np.ndarray) -> int:
    """The distance of two voxels in the numbers of an array."""
    k, j, i = step
    return (k * array.shape[1] + j) * array.shape[2] + i
