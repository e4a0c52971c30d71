"""The labels of a box as the fast engine needs them, found slab by slab and shared by samples."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from AnatoMaskGANLib.networks.slice_graph import (
    NEIGHBOR_RADIUS,
    SliceGraph,
    graph_patches,
    slice_graph,
    slice_overlaps,
)
from AnatoMaskGANLib.synthesis.engine.fast_generator import CoarseLabels, FastFusion, FastGenerator
from AnatoMaskGANLib.synthesis.engine.fast_stage import StageLabels
from AnatoMaskGANLib.synthesis.engine.modulation_tables import ContextTables, ModulationTables
from AnatoMaskGANLib.synthesis.engine.passes import Check, go_on
from AnatoMaskGANLib.synthesis.engine.synthesis_box import BoxLabels, SynthesisBox

_OVERLAP_SLICES = 16  # slices whose overlaps are counted at once


@dataclass(frozen=True)
class BoxGraph:
    """The slice graph of a box; slices have their numbers on the model grid."""

    numbers: range  # numbers of the slices
    overlaps: Tensor  # [1,S,S] Dice overlaps
    graph: SliceGraph  # the graph of one case
    patches: Tensor  # [S,(2K+2)^2] of `graph_patches`

    def edge(self, number: int, other: int) -> float:
        """Weight of the edge between two slices."""
        return float(self.graph.edges[0, number - self.numbers.start, other - self.numbers.start])

    def to_stack(self, number: int) -> Tensor:
        """[1] weight of the edge between a slice and its stack node."""
        row = number - self.numbers.start
        return self.graph.to_stack[0, row : row + 1]

    def patch(self, number: int) -> Tensor:
        """[1,(2K+2)^2] the graph around a slice."""
        row = number - self.numbers.start
        return self.patches[row : row + 1]

    def edges(self) -> dict[int, tuple[Tensor, ...]]:
        """Slice -> its edges to those within reach, and to the stack node."""
        padded = functional.pad(self.graph.edges[0], (NEIGHBOR_RADIUS, NEIGHBOR_RADIUS))
        width = 2 * NEIGHBOR_RADIUS + 1
        return {
            number: (padded[row, row : row + width], self.graph.to_stack[0, row])
            for row, number in enumerate(self.numbers)
        }


class SlabCache:
    """Modulation tables and slice graph of a label map in a box.

    slab_size: slices that share their tables. table_bytes: memory for tables that are kept after a
    pass has used them. Several threads may use a cache at once.
    previous: the cache of the map before an edit of the slices `changed`.
    """

    def __init__(
        self,
        fast: FastGenerator,
        labels: BoxLabels,
        slab_size: int,
        table_bytes: int = 0,
        previous: SlabCache | None = None,
        changed: Iterable[int] = (),
    ) -> None:
        self.fast = fast
        self.labels = labels
        self.slab_size = slab_size
        self.table_bytes = table_bytes
        self.check: Check = go_on
        self.device = fast.device
        self._tables: dict[int, tuple[ModulationTables, int]] = {}
        self._contexts: dict[int, tuple[ContextTables, int]] = {}
        self._lock = threading.Lock()
        self.graph: BoxGraph | None = None
        if fast.fusion is not None:
            self.graph = self._graph_of(fast.fusion, previous, set(changed))

    @property
    def box(self) -> SynthesisBox:
        """The part of the grid that is synthesized."""
        return self.labels.box

    @property
    def numbers(self) -> range:
        """The slices of the box."""
        return self.labels.numbers

    def stage_labels(self, number: int) -> list[StageLabels]:
        """The labels of a slice as every stage needs them."""
        tables, place = self._tables_of(number)
        contexts, context_place = self._contexts_of(number)
        return [
            tables.stage_labels(place, stage, contexts.of_slice(context_place, stage))
            for stage in range(len(self.fast.stages))
        ]

    def coarse(self, number: int) -> CoarseLabels:
        """The labels of a slice as start and fusion need them."""
        tables, place = self._tables_of(number)
        return tables.coarse(place)

    def take_from(self, other: SlabCache, tables: Iterable[int], contexts: Iterable[int]) -> None:
        """Takes over the tables of these slices, whose labels are the same in both."""
        self._tables |= {n: other._tables[n] for n in tables if n in other._tables}
        self._contexts |= {n: other._contexts[n] for n in contexts if n in other._contexts}

    def forget(self) -> None:
        """Lets all tables go; they are made again when needed."""
        self._tables.clear()
        self._contexts.clear()

    def forget_before(self, number: int) -> None:
        """Lets tables of the slices before this one go, the latest first, until what is left may be
        kept.
        """
        while self._kept_bytes() > self.table_bytes:
            passed = [other for other in self._tables if other < number]
            if not passed:
                return
            slab = self._tables[max(passed)][0]
            for old in [other for other in passed if self._tables[other][0] is slab]:
                del self._tables[old]
                self._contexts.pop(old, None)

    def _kept_bytes(self) -> int:
        slabs = {id(slab): slab for slab, _ in self._tables.values()}
        return sum(slab.num_bytes for slab in slabs.values())

    def _tables_of(self, number: int) -> tuple[ModulationTables, int]:
        with self._lock:
            if number not in self._tables:
                missing = self._missing_slices(number, self._tables)
                labels = self._cut(missing.start, missing.stop)
                made = ModulationTables(self.fast, labels, lambda: self.check())
                self._tables |= {n: (made, place) for place, n in enumerate(missing)}
            return self._tables[number]

    def _contexts_of(self, number: int) -> tuple[ContextTables, int]:
        with self._lock:
            if number not in self._contexts:
                missing = self._missing_slices(number, self._contexts)
                radius = self.fast.settings.context_radius
                labels = self._cut(missing.start - radius, missing.stop + radius)
                made = ContextTables(self.fast, labels)
                self._contexts |= {n: (made, place) for place, n in enumerate(missing)}
            return self._contexts[number]

    def _missing_slices(self, number: int, known: dict[int, Any]) -> range:
        """The slices around this one, of its slab, that are not known."""
        lowest = number - (number - self.numbers.start) % self.slab_size
        highest = min(self.numbers.stop, lowest + self.slab_size)
        first = end = number
        while first > lowest and first - 1 not in known:
            first -= 1
        while end < highest and end not in known:
            end += 1
        return range(first, end)

    def _cut(self, first: int, end: int) -> Tensor:
        """[end-first,H,W] class indices of the box; beyond its slices lies background."""
        return torch.from_numpy(self.labels.cut(first, end)).to(self.device)

    def _graph_of(
        self, fusion: FastFusion, previous: SlabCache | None, changed: set[int]
    ) -> BoxGraph:
        overlaps = self._overlaps(None if previous is None else previous.graph, changed)
        positions = torch.arange(len(self.numbers), dtype=torch.float32)[None]
        graph = slice_graph(
            overlaps,
            positions * self.labels.spacing_ijk_mm[2],
            fusion.tau_mm,
            self.fast.settings.stack_radius,
        )
        return BoxGraph(self.numbers, overlaps, graph, graph_patches(graph)[0])

    def _overlaps(self, previous: BoxGraph | None, changed: set[int]) -> Tensor:
        """[1,S,S] Dice overlaps of neighboring slices; of unchanged pairs those of `previous`."""
        numbers = self.numbers
        overlaps = torch.eye(len(numbers))[None]
        stale = set(numbers)
        if previous is not None:
            first = max(numbers.start, previous.numbers.start)
            end = min(numbers.stop, previous.numbers.stop)
            here = slice(first - numbers.start, end - numbers.start)
            there = slice(first - previous.numbers.start, end - previous.numbers.start)
            overlaps[:, here, here] = previous.overlaps[:, there, there]
            stale &= changed
        for run in _runs(sorted(stale), _OVERLAP_SLICES):
            start = max(numbers.start, run.start - NEIGHBOR_RADIUS)
            stop = min(numbers.stop, run.stop + NEIGHBOR_RADIUS)
            stack = torch.from_numpy(self.labels.cut(start, stop))[None]
            found = slice_overlaps(stack, self.fast.settings.num_classes)
            part = slice(start - numbers.start, stop - numbers.start)
            overlaps[:, part, part] = found
        return overlaps


def _runs(numbers: Sequence[int], longest: int) -> Iterator[range]:
    """Neighboring numbers together, at most so many."""
    start = 0
    for place in range(1, len(numbers) + 1):
        is_end = place == len(numbers) or numbers[place] != numbers[place - 1] + 1
        if is_end or place - start == longest:
            yield range(numbers[start], numbers[place - 1] + 1)
            start = place
