"""Joins places into coherent pieces where a smooth field brought voxels to another label.

Each voxel there took the nearest right place on its own, and single voxels from different places
look like speckle. Here neighbors take one another's offsets as long as that makes the labels around
both places agree better. A border is then taken from a border and the inside from the inside, in
connected pieces. The method is coordinate descent with propagated offsets, as in PatchMatch (Barnes
et al. 2009); the costs are ours.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

_AROUND = [step for step in itertools.product((-1, 0, 1), repeat=3) if any(step)]
_NEXT = [step for step in _AROUND if sum(map(abs, step)) == 1]
_ROUNDS = 5
_ROUNDS_ASIDE = 2  # places next to a voxel's own place are tried in this many rounds
_ASIDE = (1.0, 3.0)  # distances of these places along an axis, in voxels
_MOST_VOXELS = 400_000  # more voxels than this are another anatomy and not a seam
# cost of offsets that differ by `_MOST_DIFFERENCE` or more, relative to a wrong label nearby
_NEXT_COST = 1.5
_MOST_DIFFERENCE = 2.0  # shortest edges of a voxel
_LEAST_GAIN = 1e-3


def join_places(
    places: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    is_loose: np.ndarray,
    lengths_kji: Sequence[float],
) -> None:
    """Writes coherent places of the loose voxels. Each place still has the label of its voxel.

    places [3,K,J,I] are in voxels of `before`. after [K,J,I] are labels. is_loose [K,J,I] marks the
    voxels that may take another place of their label. lengths_kji are the edges of a voxel divided
    by its shortest edge.
    """
    spots = np.argwhere(is_loose).T
    if not 0 < spots.shape[1] <= _MOST_VOXELS:
        return
    state = _Seam(places, before, after, spots, lengths_kji)
    halves = [np.flatnonzero(spots.sum(axis=0) % 2 == rest) for rest in (0, 1)]
    for number in range(_ROUNDS):
        state.num_round = number
        # one of two neighbors stays as it is while the other chooses
        gained = [state.take(step, half) for step in range(len(_NEXT)) for half in halves]
        if number < _ROUNDS_ASIDE:
            asides = itertools.product(_ASIDE, _NEXT, halves)
            gained += [state.look_aside(step, half, length) for length, step, half in asides]
        if not any(gained):
            break
    places[:, spots[0], spots[1], spots[2]] = state.offsets[state.numbers].T + spots


class _Seam:
    """The loose voxels and all that their choices depend on. A voxel is given by its flat index in
    arrays that have one voxel more on every side."""

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
        """Lets those voxels take the offset of one neighbor if that costs less. step is the
        neighbor's number in `_NEXT`."""
        neighbors = self.next[step, which]
        is_new = self.changed_in[neighbors] >= self.num_round - 1
        which, neighbors = which[is_new], neighbors[is_new]
        asked = self.offsets[neighbors]
        is_other = (asked != self.offsets[self.numbers[which]]).any(axis=1)
        return self._choose(which[is_other], asked[is_other])

    def look_aside(self, step: tuple[int, ...], which: np.ndarray, length: float) -> bool:
        """Lets those voxels take a place next to their own if some labels around that are wrong."""
        is_new = self.changed_in[self.numbers[which]] >= self.num_round - 1
        which = which[is_new & (self.label_cost[which] > 0)]
        aside = np.array(step, np.float32) * length
        return self._choose(which, self.offsets[self.numbers[which]] + aside)

    def _choose(self, which: np.ndarray, asked: np.ndarray) -> bool:
        """Gives those voxels the offsets that are asked for if these cost less. Returns whether any
        voxel changed."""
        label_cost = self._label_costs(asked, which)
        # a place whose labels cost that much more cannot be better
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
        """Gives the number of labels around the places that differ from those around the voxels, as
        [N]. Near labels count more. A place of another label costs more than all of them
        together."""
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
        """Gives the difference of offsets from those of the neighbors with the same label, as
        [N]."""
        costs = np.zeros(which.size, np.float32)
        for neighbors, is_own in zip(self.next, self.is_own, strict=True):
            apart = offsets - self.offsets[neighbors[which]]
            apart *= apart
            costs += is_own[which] * np.minimum(np.sqrt(apart @ self.squares), 1)
        return _NEXT_COST * costs


def _ahead(step: tuple[int, ...], array: np.ndarray) -> int:
    """Gives the distance of two voxels in flat indices of an array."""
    k, j, i = step
    return (k * array.shape[1] + j) * array.shape[2] + i
