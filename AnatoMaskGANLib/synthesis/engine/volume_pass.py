"""One pass of the generator through a volume, slice by slice, in bounded memory.

Every network part that treats a slice by itself is evaluated on one slice, which is fastest on a
CPU and makes the result independent of how the volume is cut into slabs. Between them, a slice
waits until the neighbors that its messages come from have been encoded.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from AnatoMaskGANLib.networks.generator import Generator
from AnatoMaskGANLib.networks.noise import SliceNoise
from AnatoMaskGANLib.networks.slice_graph import NEIGHBOR_RADIUS, stack_means, stack_sums
from AnatoMaskGANLib.synthesis.engine.fast_generator import FastFusion, FastGenerator
from AnatoMaskGANLib.synthesis.engine.memory_plan import (
    BLOCK_SIZE,
    NOTHING_KEPT,
    Kept,
    slab_size_within,
)
from AnatoMaskGANLib.synthesis.engine.passes import Check, NoiseChoice, go_on
from AnatoMaskGANLib.synthesis.engine.slab_cache import BoxGraph, SlabCache
from AnatoMaskGANLib.synthesis.engine.synthesis_box import BoxLabels
from AnatoMaskGANLib.synthesis.engine.threads import MOST_THREADS, Run, side_by_side

_logger = logging.getLogger(__name__)
Result = TypeVar("Result")


class VolumeEngine:
    """The `Engine` of AnatoMaskGAN's own generators: slices share tables and exchange messages."""

    def __init__(self, generator: Generator, dtype: torch.dtype = torch.float32) -> None:
        self.fast = FastGenerator(generator, dtype)
        self.dtype = dtype

    def labels_of(
        self,
        labels: BoxLabels,
        kept: Kept,
        limit_bytes: int,
        num_voxels: int,
        previous: SlabCache | None = None,
        changed: Iterable[int] = (),
    ) -> SlabCache:
        """Tables and graph, found slab by slab; half of the limit is for tables that are kept."""
        slab_size = slab_size_within(
            limit_bytes,
            self.fast.settings,
            labels.box,
            num_voxels,
            min(torch.get_num_threads(), MOST_THREADS),
            self.fast.weight_bytes,
            kept,
        )
        table_bytes = limit_bytes // 2 if kept.labels else 0
        return SlabCache(self.fast, labels, slab_size, table_bytes, previous, changed)

    def start_pass(self, labels: SlabCache, noise: NoiseChoice, kept: Kept) -> VolumePass:
        """A pass through the slices of these labels."""
        return VolumePass(labels, noise, kept)


@dataclass
class _EncodedSlice:
    """The tensors of a slice that are kept between its encoding and its decoding.

    Round r reads features[r] and makes values[r] and sums[r], which the slice sends, and
    features[r + 1], after it has received.
    """

    state: Tensor  # [1,F,h,w] Y
    foreground: Tensor  # [1,1,h,w]
    features: list[Tensor] = field(default_factory=list)  # M before each round and after the last
    values: list[Tensor] = field(default_factory=list)  # one for each round
    sums: list[tuple[Tensor, Tensor]] = field(default_factory=list)  # one for each round

    def forget_after(self, round_number: int) -> None:
        """Keeps the features before this round and what was sent in it, forgets all that came
        after.
        """
        del self.features[round_number + 1 :]
        del self.values[round_number + 1 :]
        del self.sums[round_number + 1 :]


class VolumePass:
    """Synthesizes slices of a box with the noise of one seed.

    Slices have their numbers on the model grid. kept.slices: what slices have encoded is kept when
    they are made, so that `replace_labels` can make few of them again.
    """

    def __init__(
        self,
        labels: SlabCache,
        noise: NoiseChoice,
        kept: Kept = NOTHING_KEPT,
        threads: int | None = None,
    ) -> None:
        self.labels = labels
        self.fast = labels.fast
        self.settings = labels.fast.settings
        self.noise = noise
        self.kept = kept
        self._threads = threads
        self._encoded: dict[int, _EncodedSlice] = {}
        self._drawn: dict[int, tuple[int, Tensor]] = {}  # block -> first slice, [Z,S,H,W]
        self._noise_lock = threading.Lock()

    def images(
        self, numbers: Iterable[int] | None = None, check: Check = go_on
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Number and image [H,W] float32 in [0,1] of the slices, or of these, in order.

        A GPU that has too little memory gets smaller slabs; MemoryError where that does not help.
        """
        self.labels.check = check  # asked while tables are made, too
        wanted = sorted(self.labels.numbers if numbers is None else numbers)
        with side_by_side(self.labels.device, self._threads) as run_all:

            def run(function: Callable[[int], Result], items: Iterable[int], /) -> Iterator[Result]:
                for result in run_all(function, items):
                    check()
                    yield result

            while wanted:
                block = [n for n in wanted if n < wanted[0] + BLOCK_SIZE]
                try:
                    self._prepare(block, run)
                    for number, image in zip(block, run(self._image, block), strict=True):
                        wanted.remove(number)
                        yield number, image
                except torch.cuda.OutOfMemoryError as error:
                    self._make_slabs_smaller(error)
                if wanted:
                    self._forget_before(wanted[0])

    def replace_labels(self, labels: SlabCache, changed: set[int]) -> list[int]:
        """Goes over to an edited label map in the same rows and columns; what must be made again.

        changed: slices whose labels differ, or that only one of the two boxes has. Everything
        that none of them reaches, by edges, stack nodes or context, is kept as it is.
        """
        old, self.labels = self.labels, labels
        in_sight = _grown(changed, self.settings.context_radius)
        numbers = set(labels.numbers)
        labels.take_from(old, numbers - changed, numbers - in_sight)
        for number in changed:
            self._encoded.pop(number, None)
        if old.box != labels.box:
            self._drawn.clear()
        if labels.graph is None or old.graph is None:
            return sorted(in_sight & numbers)
        # After round r, every slice at most r + 1 reaches from a changed slice has changed. So have
        # slices whose edges changed, and in later rounds the slices that these reach.
        dirty = set(changed)
        changed_edges = _numbers_that_differ(old.graph.edges(), labels.graph.edges())
        for round_number in range(self.settings.fusion_rounds):
            dirty = _grown(dirty, self._reach) | changed_edges
            for number in dirty & self._encoded.keys():
                self._encoded[number].forget_after(round_number)
        changed_patches = _numbers_that_differ(_patches_of(old.graph), _patches_of(labels.graph))
        return sorted((in_sight | dirty | changed_patches) & numbers)

    @property
    def _reach(self) -> int:
        """Slices on either side that a slice hears of in one round."""
        return max(NEIGHBOR_RADIUS, self.settings.stack_radius)

    def _prepare(self, block: Sequence[int], run: Run) -> None:
        """Everything that decoding these slices needs, in the order of dependence.

        A slice is ready after round r when all slices within its reach were ready after round
        r - 1. So round r needs the neighbors of what round r + 1 needs, and the block is what is
        needed after the last one. With two rounds and a reach of 2, for a block of one slice x:

            needed[2]   . . . . x . . . .     encoded, send in round 0
            needed[1]       . . x . .         receive in round 0, send in round 1
            needed[0]           x             receives in round 1, is decoded

        Slices that earlier blocks have brought to a round stay there, so most of it is done before.
        """
        fusion, graph = self.fast.fusion, self.labels.graph
        rounds = 0 if fusion is None else fusion.rounds
        needed = [set(block)]
        for _ in range(rounds):
            needed.append(_grown(needed[-1], self._reach) & set(self.labels.numbers))
        missing = sorted(needed[rounds] - self._encoded.keys())
        for number, encoded in zip(missing, run(self._encode, missing), strict=True):
            self._encoded[number] = encoded
        if fusion is None or graph is None:
            return
        for round_number in range(rounds):
            senders = sorted(needed[rounds - round_number])
            _finish(run(partial(self._send, fusion, round_number), senders))
            receivers = [
                number
                for number in sorted(needed[rounds - round_number - 1])
                if len(self._encoded[number].features) <= round_number + 1
            ]
            _finish(run(partial(self._receive, fusion, graph, round_number), receivers))

    def _encode(self, number: int) -> _EncodedSlice:
        coarse = self.labels.coarse(number)
        noise = self._noise_of(number)
        state = self.fast.encode(coarse, self.labels.stage_labels(number), noise)
        encoded = _EncodedSlice(state, coarse.foreground.to(self.fast.dtype))
        if self.fast.fusion is not None and coarse.mask_features is not None:
            features = self.fast.fusion.slice_features(coarse.mask_features, state)
            encoded.features.append(features)
        return encoded

    def _send(self, fusion: FastFusion, round_number: int, number: int) -> None:
        """Values and part of the stack's mean that a slice gives in a round."""
        encoded = self._encoded[number]
        if len(encoded.values) <= round_number:
            features = encoded.features[round_number]
            values = fusion.slice_values(round_number, features)
            sums = stack_sums(features.float(), encoded.foreground.float())
            encoded.values.append(values)  # both are kept or none, whatever stops it
            encoded.sums.append(sums)

    def _receive(self, fusion: FastFusion, graph: BoxGraph, round_number: int, number: int) -> None:
        """The features of a slice after a round."""
        encoded = self._encoded[number]
        neighbor_sum = torch.zeros_like(encoded.values[round_number])
        # The neighbors are added one by one, in the order of the slices: how a product of matrices
        # rounds depends on their number, and an update has to equal a full synthesis.
        for other in self._within(number, NEIGHBOR_RADIUS):
            values = self._encoded[other].values[round_number]
            neighbor_sum.add_(values, alpha=graph.edge(number, other))
        sums, areas = torch.zeros(()), torch.zeros(())
        for other in self._within(number, graph.graph.stack_radius):
            sums_of_other, areas_of_other = self._encoded[other].sums[round_number]
            sums, areas = sums + sums_of_other, areas + areas_of_other
        features = encoded.features[round_number]
        message = fusion.message_from(
            round_number,
            neighbor_sum,
            stack_means(sums, areas).to(features.dtype),
            graph.to_stack(number).to(features.device),
            features,
        )
        encoded.features.append(features + message)

    def _image(self, number: int) -> np.ndarray:
        encoded = self._encoded[number]
        state = encoded.state
        if self.fast.fusion is not None and self.labels.graph is not None:
            patch = self.labels.graph.patch(number).to(state.device)
            state = self.fast.fusion.modulate(encoded.features[-1], patch, state)
        labels = self.labels.stage_labels(number)
        return self.fast.decode(state, labels, self._noise_of(number)).cpu().numpy()

    def _noise_of(self, number: int) -> SliceNoise | None:
        if not self.noise.is_added_by(self.settings):
            return None
        block = number // BLOCK_SIZE
        with self._noise_lock:
            if block not in self._drawn:
                self._drawn[block] = self._draw(block)
            first, drawn = self._drawn[block]
        _, *spacing_ji_mm = self.noise.spacing_kji_mm(self.labels.labels)
        return SliceNoise(
            drawn[:, number - first][None].contiguous(memory_format=torch.channels_last),
            self.noise.strength,
            (spacing_ji_mm[0], spacing_ji_mm[1]),
            self.settings.noise_sigmas_mm,
            halves=True,
        )

    def _draw(self, block: int) -> tuple[int, Tensor]:
        """First slice of a block in the box, and the noise [Z,S,H,W] of the block."""
        numbers = self.labels.numbers
        first = max(numbers.start, block * BLOCK_SIZE)
        end = min(numbers.stop, (block + 1) * BLOCK_SIZE)
        labels, device = self.labels.labels, self.labels.device
        return first, self.noise.drawn(self.settings, labels, range(first, end), device)

    def _within(self, number: int, radius: int) -> range:
        numbers = self.labels.numbers
        return range(max(numbers.start, number - radius), min(numbers.stop, number + radius + 1))

    def _forget_before(self, number: int) -> None:
        self.labels.forget_before(number)
        noise_bytes = sum(drawn.numel() * drawn.element_size() for _, drawn in self._drawn.values())
        if not self.kept.slices or noise_bytes > self.labels.table_bytes // 4:
            for old in [block for block in self._drawn if (block + 1) * BLOCK_SIZE <= number]:
                del self._drawn[old]
        if not self.kept.slices:
            reach = self.settings.fusion_rounds * self._reach
            for old in [other for other in self._encoded if other < number - reach]:
                del self._encoded[old]

    def _make_slabs_smaller(self, error: Exception) -> None:
        """Halves the slabs and lets go of all that can be made again."""
        size = self.labels.slab_size
        if size == 1:
            raise MemoryError(
                f"The memory of the device {self.labels.device} is too small for one "
                f"slice of the label map ({error}). Close other programs that use it, or "
                "use the CPU."
            ) from error
        self.labels.slab_size = size // 2
        _logger.warning(
            "%s has too little memory for %d slices at once; continuing with %d",
            self.labels.device,
            size,
            size // 2,
        )
        self.labels.forget()
        self.fast.workspaces.forget()
        self._drawn.clear()
        if self.labels.device.type == "cuda":
            torch.cuda.empty_cache()


def _finish(results: Iterator[None]) -> None:
    """Waits until all have been made."""
    for _ in results:
        pass


def _grown(numbers: Iterable[int], radius: int) -> set[int]:
    """The numbers and those at most `radius` away."""
    return {n + d for n in numbers for d in range(-radius, radius + 1)}


def _patches_of(graph: BoxGraph) -> dict[int, tuple[Tensor, ...]]:
    return {number: (graph.patch(number),) for number in graph.numbers}


def _numbers_that_differ(
    old: dict[int, tuple[Tensor, ...]], new: dict[int, tuple[Tensor, ...]]
) -> set[int]:
    return {
        number
        for number, values in new.items()
        if number not in old
        or not all(torch.equal(a, b) for a, b in zip(values, old[number], strict=True))
    }
