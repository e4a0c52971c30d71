"""The labels of a region as the generator needs them, found slab by slab and shared by samples."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from AnatoMaskGANLib.networks.generator import Generator
from AnatoMaskGANLib.networks.slice_graph import (
    NEIGHBOR_RADIUS,
    SliceGraph,
    graph_patches,
    slice_graph,
    slice_overlaps,
)
from AnatoMaskGANLib.synthesis.engine.fast_generator import CoarseLabels, FastGenerator
from AnatoMaskGANLib.synthesis.engine.fast_stage import StageLabels
from AnatoMaskGANLib.synthesis.engine.modulation_tables import ContextTables, ModulationTables
from AnatoMaskGANLib.synthesis.engine.synthesis_box import SynthesisBox

_OVERLAP_SLICES = 16  # whose overlaps are counted at once


class SlabCache:
    """Dictionaries and slice graph of a label map in a region.

    labels_kji: model classes on the whole model grid. Slices have their numbers on that grid.
    slab_size: slices that share a dictionary. keep_bytes: memory for dictionaries that are
    kept when a pass is through with them. Safe to be asked by several threads.
    """

    def __init__(
        self,
        generator: Generator,
        frozen: FastGenerator,
        labels_kji: np.ndarray,
        region: SynthesisBox,
        spacing_ijk_mm: Sequence[float],
        slab_size: int,
        keep_bytes: int = 0,
        previous: SlabCache | None = None,
        changed: Iterable[int] = (),
    ) -> None:
        self.generator = generator
        self.frozen = frozen
        self.labels_kji = labels_kji
        self.region = region
        self.spacing_ijk_mm = spacing_ijk_mm
        self.slab_size = slab_size
        self.keep_bytes = keep_bytes
        self.check: Callable[[], None] = lambda: None
        self.first, self.end = region.slices
        self.device = frozen.device
        self._words: dict[int, tuple[ModulationTables, int]] = {}
        self._contexts: dict[int, tuple[ContextTables, int]] = {}
        self._lock = threading.Lock()
        self.overlaps: Tensor | None = None  # [1,S,S]
        self.graph: SliceGraph | None = None
        self.patches: Tensor | None = None  # [S,(2K+2)^2]
        if frozen.fusion is not None:
            self.overlaps = self._overlaps(previous, set(changed))
            self._make_graph()

    @property
    def numbers(self) -> range:
        """The slices of the region."""
        return range(self.first, self.end)

    def stage_labels(self, number: int) -> list[StageLabels]:
        """What every stage needs of a slice."""
        words, place = self._words_of(number)
        contexts, context_place = self._contexts_of(number)
        return [
            words.stage_labels(place, stage, contexts.of_slice(context_place, stage))
            for stage in range(len(self.frozen.stages))
        ]

    def coarse(self, number: int) -> CoarseLabels:
        """What start and fusion need of a slice."""
        words, place = self._words_of(number)
        return words.coarse(place)

    def take_from(self, other: SlabCache, words: Iterable[int], contexts: Iterable[int]) -> None:
        """Takes over the dictionaries of these slices, whose labels are the same in both."""
        self._words |= {n: other._words[n] for n in words if n in other._words}
        self._contexts |= {n: other._contexts[n] for n in contexts if n in other._contexts}

    def forget(self) -> None:
        """Lets all dictionaries go; they are made again when needed."""
        self._words.clear()
        self._contexts.clear()

    def forget_before(self, number: int) -> None:
        """Lets dictionaries of the slices before this one go, the latest first, until what is left
        may be kept."""
        while self._kept_bytes() > self.keep_bytes:
            passed = [other for other in self._words if other < number]
            if not passed:
                return
            slab = self._words[max(passed)][0]
            for old in [other for other in passed if self._words[other][0] is slab]:
                del self._words[old]
                self._contexts.pop(old, None)

    def _kept_bytes(self) -> int:
        return sum(slab.num_bytes for slab in {id(d): d for d, _ in self._words.values()}.values())

    def _words_of(self, number: int) -> tuple[ModulationTables, int]:
        with self._lock:
            if number not in self._words:
                run = self._missing_run(number, self._words)
                labels = self._cut(run.start, run.stop)
                made = ModulationTables(self.frozen, labels, lambda: self.check())
                self._words |= {n: (made, place) for place, n in enumerate(run)}
            return self._words[number]

    def _contexts_of(self, number: int) -> tuple[ContextTables, int]:
        with self._lock:
            if number not in self._contexts:
                run = self._missing_run(number, self._contexts)
                radius = self.frozen.settings.context_radius
                labels = self._cut(run.start - radius, run.stop + radius)
                made = ContextTables(self.frozen, labels)
                self._contexts |= {n: (made, place) for place, n in enumerate(run)}
            return self._contexts[number]

    def _missing_run(self, number: int, known: dict[int, tuple]) -> range:
        """The slices around this one, of its slab, that are not known."""
        lowest = number - (number - self.first) % self.slab_size
        highest = min(self.end, lowest + self.slab_size)
        first = end = number
        while first > lowest and first - 1 not in known:
            first -= 1
        while end < highest and end not in known:
            end += 1
        return range(first, end)

    def _cut(self, first: int, end: int) -> Tensor:
        """[end-first,H,W] class indices of the region; beyond its slices lies background."""
        labels = self.region.cut(self.labels_kji, (first, end))
        return torch.from_numpy(labels.astype(np.int64)).to(self.device)

    def _overlaps(self, previous: SlabCache | None, changed: set[int]) -> Tensor:
        """[1,S,S] Dice overlaps of neighboring slices; of unchanged pairs those of `previous`."""
        num_slices = self.end - self.first
        overlaps = torch.eye(num_slices)[None]
        stale = set(self.numbers)
        if previous is not None and previous.overlaps is not None:
            first, end = max(self.first, previous.first), min(self.end, previous.end)
            here = slice(first - self.first, end - self.first)
            there = slice(first - previous.first, end - previous.first)
            overlaps[:, here, here] = previous.overlaps[:, there, there]
            stale &= changed
        for run in _runs(sorted(stale), _OVERLAP_SLICES):
            start = max(self.first, run.start - NEIGHBOR_RADIUS)
            stop = min(self.end, run.stop + NEIGHBOR_RADIUS)
            labels = self.region.cut(self.labels_kji, (start, stop))
            stack = torch.from_numpy(labels.astype(np.int64))[None]
            found = slice_overlaps(stack, self.frozen.settings.num_classes)
            part = slice(start - self.first, stop - self.first)
            overlaps[:, part, part] = found
        return overlaps

    def _make_graph(self) -> None:
        positions = torch.arange(self.end - self.first, dtype=torch.float32)[None]
        # float32 on the CPU whatever the device: the same weights for every slab and every edit
        tau_mm = self.generator.log_tau_mm.detach().float().cpu().exp()
        self.graph = slice_graph(
            self.overlaps,
            positions * self.spacing_ijk_mm[2],
            tau_mm,
            self.frozen.settings.stack_radius,
        )
        self.patches = graph_patches(self.graph)[0]


def _runs(numbers: Sequence[int], longest: int) -> Iterator[range]:
    """Neighboring numbers together, at most so many."""
    start = 0
    for place in range(1, len(numbers) + 1):
        is_end = place == len(numbers) or numbers[place] != numbers[place - 1] + 1
        if is_end or place - start == longest:
            yield range(numbers[start], numbers[place - 1] + 1)
            start = place
