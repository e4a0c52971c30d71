"""One pass of the generator through a volume, slice by slice, in bounded memory.

Every network part that treats a slice by itself is evaluated on one slice, which is fastest on a
CPU and makes the result independent of how the volume is cut into slabs. Between them, a slice
waits until the neighbors that its messages come from have been encoded.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from AnatoMaskGANLib.networks.noise import noise_field
from AnatoMaskGANLib.networks.slice_graph import NEIGHBOR_RADIUS, stack_means, stack_sums
from AnatoMaskGANLib.synthesis.engine.fast_stage import SliceNoise
from AnatoMaskGANLib.synthesis.engine.memory_plan import BLOCK_SIZE
from AnatoMaskGANLib.synthesis.engine.slab_cache import SlabCache

MOST_THREADS = 8
"""Slices evaluated side by side; beyond that, Python itself becomes the bottleneck."""

_logger = logging.getLogger(__name__)
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass
class _EncodedSlice:
    """What is kept of a slice between its encoding and its decoding."""

    state: Tensor  # [1,F,h,w] Y
    foreground: Tensor  # [1,1,h,w]
    features: list[Tensor] = field(default_factory=list)  # M before each round and after the last
    values: list[Tensor] = field(default_factory=list)  # of each round
    sums: list[tuple[Tensor, Tensor]] = field(default_factory=list)  # of each round

    def keep_rounds(self, number: int) -> None:
        """Forgets what came after the start of this round."""
        del self.features[number + 1 :], self.values[number + 1 :], self.sums[number + 1 :]


class VolumePass:
    """Synthesizes slices of a region with the noise of one seed.

    Slices have their numbers on the model grid. keeps_all: what slices have encoded is kept when
    they are made, so that `replace_labels` can make few of them again.
    """

    def __init__(
        self,
        labels: SlabCache,
        seed: int,
        noise_strength: float,
        keeps_all: bool = False,
        threads: int | None = None,
        noise_length_scale: float = 1.0,
    ) -> None:
        self.labels = labels
        self.settings = labels.frozen.settings
        self.seed = seed
        self.noise_strength = noise_strength
        self.noise_length_scale = noise_length_scale
        self.keeps_all = keeps_all
        self._threads = threads
        self._encoded: dict[int, _EncodedSlice] = {}
        self._noise: dict[int, tuple[int, Tensor]] = {}  # block -> first slice, [Z,S,H,W]
        self._noise_lock = threading.Lock()

    def images(self, numbers: Iterable[int] | None = None) -> Iterator[tuple[int, np.ndarray]]:
        """Number and image [H,W] float32 in [0,1] of the slices, or of these, in order.

        A GPU that has too little memory gets smaller slabs; MemoryError where that does not help.
        """
        wanted = sorted(self.labels.numbers if numbers is None else numbers)
        with side_by_side(self.labels.device, self._threads) as run_all:

            def run(function: Callable[[int], Result], items: Iterable[int]) -> Iterator[Result]:
                for result in run_all(function, items):
                    self.labels.check()
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

        changed: slices whose labels differ, or that only one of the two regions has. Everything
        that none of them reaches, by edges, stack nodes or context, is kept as it is.
        """
        old, self.labels = self.labels, labels
        in_sight = _grown(changed, self.settings.context_radius)
        numbers = set(labels.numbers)
        labels.take_from(old, numbers - changed, numbers - in_sight)
        for number in changed:
            self._encoded.pop(number, None)
        if old.region != labels.region:
            self._noise.clear()
        if labels.graph is None:
            return sorted(in_sight & numbers)
        dirty = set(changed)
        changed_edges = _numbers_that_differ(_edges_of(old), _edges_of(labels))
        for round_number in range(self.settings.fusion_rounds):
            dirty = _grown(dirty, self._reach) | changed_edges
            for number in dirty & self._encoded.keys():
                self._encoded[number].keep_rounds(round_number)
        changed_windows = _numbers_that_differ(_windows_of(old), _windows_of(labels))
        return sorted((in_sight | dirty | changed_windows) & numbers)

    @property
    def _reach(self) -> int:
        """Slices on either side that a slice hears of in one round."""
        return max(NEIGHBOR_RADIUS, self.settings.stack_radius)

    def _prepare(self, block: Sequence[int], run: Run) -> None:
        """Everything that decoding these slices needs, in the order of dependence."""
        rounds = self.settings.fusion_rounds if self.labels.graph is not None else 0
        needed = [set(block)]
        for _ in range(rounds):
            needed.append(_grown(needed[-1], self._reach) & set(self.labels.numbers))
        missing = sorted(needed[rounds] - self._encoded.keys())
        for number, encoded in zip(missing, run(self._encode, missing), strict=True):
            self._encoded[number] = encoded
        for round_number in range(rounds):
            senders = sorted(needed[rounds - round_number])
            list(run(lambda n, r=round_number: self._send(n, r), senders))
            receivers = [
                n
                for n in sorted(needed[rounds - round_number - 1])
                if len(self._encoded[n].features) <= round_number + 1
            ]
            list(run(lambda n, r=round_number: self._receive(n, r), receivers))

    def _encode(self, number: int) -> _EncodedSlice:
        frozen = self.labels.frozen
        coarse = self.labels.coarse(number)
        noise = self._noise_of(number)
        state = frozen.encode(coarse, self.labels.stage_labels(number), noise)
        encoded = _EncodedSlice(state, coarse.foreground.to(frozen.dtype))
        if frozen.fusion is not None:
            encoded.features.append(frozen.fusion.slice_features(coarse.mask_features, state))
        return encoded

    def _send(self, number: int, round_number: int) -> None:
        """Values and part of the stack's mean that a slice gives in a round."""
        encoded = self._encoded[number]
        if len(encoded.values) <= round_number:
            features = encoded.features[round_number]
            values = self.labels.frozen.fusion.slice_values(round_number, features)
            sums = stack_sums(features.float(), encoded.foreground.float())
            encoded.values.append(values)  # both or none, whatever stops it
            encoded.sums.append(sums)

    def _receive(self, number: int, round_number: int) -> None:
        """The features of a slice after a round."""
        graph = self.labels.graph
        encoded = self._encoded[number]
        row = number - self.labels.first
        neighbor_sum = torch.zeros_like(encoded.values[round_number])
        for other in self._within(number, NEIGHBOR_RADIUS):
            weight = float(graph.edges[0, row, other - self.labels.first])
            neighbor_sum.add_(self._encoded[other].values[round_number], alpha=weight)
        parts = [
            self._encoded[other].sums[round_number]
            for other in self._within(number, graph.stack_radius)
        ]
        means = stack_means(sum(part[0] for part in parts), sum(part[1] for part in parts))
        features = encoded.features[round_number]
        to_stack = graph.to_stack[0, row : row + 1].to(features.device)
        message = self.labels.frozen.fusion.message_from(
            round_number, neighbor_sum, means.to(features.dtype), to_stack, features
        )
        encoded.features.append(features + message)

    def _image(self, number: int) -> np.ndarray:
        frozen = self.labels.frozen
        encoded = self._encoded[number]
        state = encoded.state
        if frozen.fusion is not None:
            row = number - self.labels.first
            window = self.labels.windows[row : row + 1].to(state.device)
            state = frozen.fusion.modulate(encoded.features[-1], window, state)
        labels = self.labels.stage_labels(number)
        return frozen.decode(state, labels, self._noise_of(number)).cpu().numpy()

    def _noise_of(self, number: int) -> SliceNoise | None:
        if not self.settings.use_noise3d or self.noise_strength == 0:
            return None
        spacing = self._noise_spacing_ijk_mm
        block = number // BLOCK_SIZE
        with self._noise_lock:
            if block not in self._noise:
                self._noise[block] = self._drawn(block)
            first, drawn = self._noise[block]
        values = drawn[:, number - first][None].contiguous(memory_format=torch.channels_last)
        return SliceNoise(
            values,
            self.noise_strength,
            (spacing[1], spacing[0]),
            tuple(self.settings.noise_sigmas_mm),
        )

    @property
    def _noise_spacing_ijk_mm(self) -> tuple[float, ...]:
        """In which the noise is drawn: voxels this much closer make its lengths so much longer."""
        return tuple(step / self.noise_length_scale for step in self.labels.spacing_ijk_mm)

    def _drawn(self, block: int) -> tuple[int, Tensor]:
        """First slice of a block, and its noise [Z,S,H,W]."""
        first = max(self.labels.first, block * BLOCK_SIZE)
        end = min(self.labels.end, (block + 1) * BLOCK_SIZE)
        region = self.labels.region
        return first, noise_field(
            self.seed,
            (first, *region.start_kji[1:]),
            (end - first, *region.shape_sjk[1:]),
            self._noise_spacing_ijk_mm[::-1],
            self.settings.noise_sigmas_mm,
            self.labels.device,
        )

    def _within(self, number: int, radius: int) -> range:
        first, end = self.labels.first, self.labels.end
        return range(max(first, number - radius), min(end, number + radius + 1))

    def _forget_before(self, number: int) -> None:
        self.labels.forget_before(number)
        kept_noise = sum(drawn.numel() * drawn.element_size() for _, drawn in self._noise.values())
        if not self.keeps_all or kept_noise > self.labels.keep_bytes // 4:
            for old in [block for block in self._noise if (block + 1) * BLOCK_SIZE <= number]:
                del self._noise[old]
        if not self.keeps_all:
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
        self.labels.frozen.workspaces.forget()
        self._noise.clear()
        if self.labels.device.type == "cuda":
            torch.cuda.empty_cache()


@contextmanager
def side_by_side(device: torch.device, threads: int | None = None) -> Iterator[Run]:
    """Runs a function on items, side by side in threads where that pays; results in order.

    Small convolutions use several cores badly, several slices use them well: on a CPU each thread
    evaluates a slice by itself. threads: None takes as many as PyTorch may use.
    """
    before = torch.get_num_threads()
    wanted = min(before if threads is None else threads, MOST_THREADS)
    if device.type != "cpu" or wanted == 1:
        yield map
        return
    with ThreadPoolExecutor(wanted, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        # PyTorch's setting is each thread's own, but the last one set is what new threads get: all
        # start now, and then it is set back.
        started = threading.Barrier(wanted + 1)
        for _ in range(wanted):
            pool.submit(started.wait)
        started.wait()
        torch.set_num_threads(before)

        def run(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
            return pool.map(torch.inference_mode()(function), items)

        try:
            yield run
        finally:
            pool.shutdown(cancel_futures=True)


Run = Callable[[Callable[[Item], Result], Iterable[Item]], Iterator[Result]]


def _grown(numbers: Iterable[int], radius: int) -> set[int]:
    """The numbers and those at most `radius` away."""
    return {n + d for n in numbers for d in range(-radius, radius + 1)}


def _edges_of(labels: SlabCache) -> dict[int, tuple[Tensor, ...]]:
    """Slice -> its edges to those within reach, and to the stack node."""
    graph = labels.graph
    padded = functional.pad(graph.edges[0], (NEIGHBOR_RADIUS, NEIGHBOR_RADIUS))
    width = 2 * NEIGHBOR_RADIUS + 1
    return {
        number: (padded[row, row : row + width], graph.to_stack[0, row])
        for row, number in enumerate(labels.numbers)
    }


def _windows_of(labels: SlabCache) -> dict[int, tuple[Tensor, ...]]:
    return {number: (labels.windows[row],) for row, number in enumerate(labels.numbers)}


def _numbers_that_differ(
    old: dict[int, tuple[Tensor, ...]], new: dict[int, tuple[Tensor, ...]]
) -> set[int]:
    return {
        number
        for number, values in new.items()
        if number not in old
        or not all(torch.equal(a, b) for a, b in zip(values, old[number], strict=True))
    }
