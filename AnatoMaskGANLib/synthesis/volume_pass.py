"""One pass of the generator through a volume, slice by slice, in bounded memory.

Every network part that treats a slice by itself is evaluated on one slice, which is fastest on a
CPU and makes the result independent of how the volume is cut into slabs. Between them, a slice
waits until the neighbors that its messages come from have been encoded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from AnatoMaskGANLib.networks.generator import Generator, NoiseStack, stack_neighbors
from AnatoMaskGANLib.networks.label_field import WordLabelField
from AnatoMaskGANLib.networks.noise import noise_field
from AnatoMaskGANLib.networks.slice_graph import (
    NEIGHBOR_RADIUS,
    SliceGraph,
    graph_windows,
    slice_graph,
    slice_overlaps,
    stack_means,
    stack_sums,
)

from .region import Region

SLAB_SIZE = 16  # slices whose label words are found, and whose noise is drawn, at once


@dataclass
class _EncodedSlice:
    """What is kept of a slice between its encoding and its decoding."""

    state: Tensor  # [1,F,h,w] Y
    foreground: Tensor  # [1,1,h,w]
    features: list[Tensor] = field(default_factory=list)  # M before each round and after the last
    values: list[Tensor] = field(default_factory=list)  # of each round
    sums: list[tuple[Tensor, Tensor]] = field(default_factory=list)  # of each round


class VolumePass:
    """Synthesizes the slices of a region, in order.

    labels_kji: model classes on the whole model grid. Numbers of slices are those of the region.
    """

    def __init__(
        self,
        generator: Generator,
        labels_kji: np.ndarray,
        region: Region,
        spacing_ijk_mm: Sequence[float],
        seed: int,
        noise_strength: float,
        device: torch.device,
        slab_size: int = SLAB_SIZE,
    ) -> None:
        self.generator = generator
        self.settings = generator.settings
        self.labels_kji = labels_kji
        self.region = region
        self.spacing_ijk_mm = spacing_ijk_mm
        self.seed = seed
        self.noise_strength = noise_strength
        self.device = device
        self.slab_size = slab_size
        self.num_slices = region.shape_sjk[0]
        self._slabs: dict[int, _Slab] = {}
        self._encoded: dict[int, _EncodedSlice] = {}
        if self.settings.use_gnn_fusion:
            self._graph = self._make_graph()
            self._windows = graph_windows(self._graph)[0]

    def images(self) -> Iterator[np.ndarray]:
        """The images [H,W] in [0,1], float32, of all slices in order."""
        for number in range(self.num_slices):
            yield self._image(number)
            self._forget_before(number + 1)

    def _image(self, number: int) -> np.ndarray:
        encoded = self._encode(number)
        state = encoded.state
        if self.settings.use_gnn_fusion:
            features = self._features(number, self.settings.fusion_rounds)
            window = self._windows[number : number + 1]
            state = self.generator.fusion.modulate(features, window, state)
        slab = self._slab(number)
        image = self.generator.decode(
            state, slab.field(number), slab.neighbors(number), slab.noise(number)
        )
        return image[0, 0].float().cpu().numpy()

    def _encode(self, number: int) -> _EncodedSlice:
        if number not in self._encoded:
            slab = self._slab(number)
            label_field = slab.field(number)
            state = self.generator.encode(label_field, slab.noise(number))
            fractions = label_field.fractions(self.generator.fusion_stride)
            encoded = _EncodedSlice(state, 1 - fractions[:, :1])
            if self.settings.use_gnn_fusion:
                mask_features = self.generator.mask_encoder(fractions)
                encoded.features.append(self.generator.fusion.slice_features(mask_features, state))
            self._encoded[number] = encoded
        return self._encoded[number]

    def _features(self, number: int, rounds: int) -> Tensor:
        """M of a slice after so many rounds of messages."""
        encoded = self._encode(number)
        while len(encoded.features) <= rounds:
            encoded.features.append(self._after_round(number, len(encoded.features) - 1))
        return encoded.features[rounds]

    def _after_round(self, number: int, round_number: int) -> Tensor:
        fusion = self.generator.fusion
        near = self._within(number, NEIGHBOR_RADIUS)
        neighbor_sum = sum(
            self._graph.edges[0, number, other] * self._sent(other, round_number)[0]
            for other in near
        )
        parts = [
            self._sent(other, round_number)[1]
            for other in self._within(number, self._graph.stack_radius)
        ]
        means = stack_means(sum(part[0] for part in parts), sum(part[1] for part in parts))
        to_stack = self._graph.to_stack[0, number : number + 1]
        message = fusion.message_from(round_number, neighbor_sum, means, to_stack)
        return self._features(number, round_number) + message

    def _sent(self, number: int, round_number: int) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """What a slice sends in a round: its values, and its part of the stack's mean."""
        encoded = self._encode(number)
        if len(encoded.values) <= round_number:
            features = self._features(number, round_number)
            encoded.values.append(self.generator.fusion.slice_values(round_number, features))
            encoded.sums.append(stack_sums(features, encoded.foreground))
        return encoded.values[round_number], encoded.sums[round_number]

    def _within(self, number: int, radius: int) -> range:
        return range(max(0, number - radius), min(self.num_slices, number + radius + 1))

    def _make_graph(self) -> SliceGraph:
        first, end = self.region.slices
        overlaps = torch.zeros(1, self.num_slices, self.num_slices)
        step = self.slab_size
        for start in range(0, self.num_slices, step):  # slices of a slab, with those they overlap
            last = min(self.num_slices, start + step + NEIGHBOR_RADIUS)
            part = self.region.cut(self.labels_kji, (first + start, first + last))
            found = slice_overlaps(
                torch.from_numpy(part.astype(np.int64))[None], self.settings.num_classes
            )
            overlaps[:, start:last, start:last] = torch.maximum(
                overlaps[:, start:last, start:last], found
            )
        positions = torch.arange(end - first)[None] * self.spacing_ijk_mm[2]
        return slice_graph(
            overlaps.to(self.device),
            positions.to(self.device, torch.float32),
            self.generator.log_tau_mm.exp(),
            self.settings.stack_radius,
        )

    def _slab(self, number: int) -> _Slab:
        start = number // self.slab_size * self.slab_size
        if start not in self._slabs:
            self._slabs[start] = _Slab(self, start, min(self.num_slices, start + self.slab_size))
        return self._slabs[start]

    def _forget_before(self, number: int) -> None:
        reach = self.settings.fusion_rounds * max(NEIGHBOR_RADIUS, self.settings.stack_radius)
        for old in [other for other in self._encoded if other < number - reach]:
            del self._encoded[old]
        for old in [start for start in self._slabs if start + self.slab_size <= number]:
            del self._slabs[old]


class _Slab:
    """Labels, label words and noise of some neighboring slices."""

    def __init__(self, owner: VolumePass, start: int, end: int) -> None:
        settings = owner.settings
        self.start = start
        radius = settings.context_radius
        first = owner.region.slices[0]
        labels = owner.region.cut(owner.labels_kji, (first + start - radius, first + end + radius))
        stack = torch.from_numpy(labels.astype(np.int64))[None].to(owner.device)
        self._neighbors = stack_neighbors(stack, radius, radius)[0]
        self._field = WordLabelField(stack[0, radius : radius + end - start], settings.num_classes)
        self._noise: Tensor | None = None
        if settings.use_noise3d and owner.noise_strength > 0:
            spacing = owner.spacing_ijk_mm
            start_kji = (first + start, *owner.region.start_kji[1:])
            shape_kji = (end - start, *owner.region.shape_sjk[1:])
            self._noise = noise_field(
                owner.seed,
                start_kji,
                shape_kji,
                spacing[::-1],
                settings.noise_sigmas_mm,
                owner.device,
            ).transpose(0, 1)
            self._strength = torch.full((1, 1, 1, 1), owner.noise_strength, device=owner.device)
            self._spacing_ji_mm = (spacing[1], spacing[0])

    def field(self, number: int) -> WordLabelField:
        """The label field of one slice."""
        return self._field.of_slice(number - self.start)

    def neighbors(self, number: int) -> Tensor:
        """[1,2r+1,H,W] labels of a slice and its neighbors."""
        return self._neighbors[number - self.start][None]

    def noise(self, number: int) -> NoiseStack | None:
        """The noise of one slice, None for the deterministic image."""
        if self._noise is None:
            return None
        values = self._noise[number - self.start][None]
        return NoiseStack(values, self._strength, self._spacing_ji_mm)
