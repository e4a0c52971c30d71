"""The labels of a region as the generator needs them, found slab by slab and shared by samples."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from AnatoMaskGANLib.networks.generator import Generator
from AnatoMaskGANLib.networks.slice_graph import (
    NEIGHBOR_RADIUS,
    SliceGraph,
    graph_windows,
    slice_graph,
    slice_overlaps,
)

from .frozen_generator import CoarseLabels, FrozenGenerator, StageLabels
from .label_dictionary import ContextDictionary, LabelDictionary
from .region import Region

_OVERLAP_SLICES = 16  # whose overlaps are counted at once


class RegionLabels:
    """Dictionaries and slice graph of a label map in a region.

    labels_kji: model classes on the whole model grid. Slices have their numbers on that grid.
    slab_size: slices that share a dictionary. Safe to be asked by several threads.
    """

    def __init__(
        self,
        generator: Generator,
        frozen: FrozenGenerator,
        labels_kji: np.ndarray,
        region: Region,
        spacing_ijk_mm: Sequence[float],
        slab_size: int,
    ) -> None:
        self.generator = generator
        self.frozen = frozen
        self.labels_kji = labels_kji
        self.region = region
        self.spacing_ijk_mm = spacing_ijk_mm
        self.slab_size = slab_size
        self.first, self.end = region.slices
        self.device = frozen.device
        self._words: dict[int, tuple[LabelDictionary, int]] = {}
        self._contexts: dict[int, tuple[ContextDictionary, int]] = {}
        self._lock = threading.Lock()
        self.overlaps: Tensor | None = None  # [1,S,S]
        self.graph: SliceGraph | None = None
        self.windows: Tensor | None = None  # [S,(2K+2)^2]
        if frozen.fusion is not None:
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

    def take_from(self, other: RegionLabels, words: Iterable[int], contexts: Iterable[int]) -> None:
        """Takes over the dictionaries of these slices, whose labels are the same in both."""
        self._words |= {n: other._words[n] for n in words if n in other._words}
        self._contexts |= {n: other._contexts[n] for n in contexts if n in other._contexts}

    def forget(self) -> None:
        """Lets all dictionaries go; they are made again when needed."""
        self._words.clear()
        self._contexts.clear()

    def forget_before(self, number: int) -> None:
        """Lets the dictionaries of the slices before this one go."""
        for known in (self._words, self._contexts):
            for old in [other for other in known if other < number]:
                del known[old]

    def _words_of(self, number: int) -> tuple[LabelDictionary, int]:
        with self._lock:
            if number not in self._words:
                run = self._missing_run(number, self._words)
                made = LabelDictionary(self.frozen, self._cut(run.start, run.stop))
                self._words |= {n: (made, place) for place, n in enumerate(run)}
            return self._words[number]

    def _contexts_of(self, number: int) -> tuple[ContextDictionary, int]:
        with self._lock:
            if number not in self._contexts:
                run = self._missing_run(number, self._contexts)
                radius = self.frozen.settings.context_radius
                labels = self._cut(run.start - radius, run.stop + radius)
                made = ContextDictionary(self.frozen, labels)
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

    def _make_graph(self) -> None:
        num_slices = self.end - self.first
        overlaps = torch.zeros(1, num_slices, num_slices)
        for start in range(0, num_slices, _OVERLAP_SLICES):
            last = min(num_slices, start + _OVERLAP_SLICES + NEIGHBOR_RADIUS)
            labels = self.region.cut(self.labels_kji, (self.first + start, self.first + last))
            stack = torch.from_numpy(labels.astype(np.int64))[None]
            found = slice_overlaps(stack, self.frozen.settings.num_classes)
            part = overlaps[:, start:last, start:last]
            torch.maximum(part, found, out=part)
        positions = torch.arange(num_slices, dtype=torch.float32)[None] * self.spacing_ijk_mm[2]
        # float32 on the CPU whatever the device: the same weights for every slab and every edit
        tau_mm = self.generator.log_tau_mm.detach().float().cpu().exp()
        self.overlaps = overlaps
        self.graph = slice_graph(overlaps, positions, tau_mm, self.frozen.settings.stack_radius)
        self.windows = graph_windows(self.graph)[0]
