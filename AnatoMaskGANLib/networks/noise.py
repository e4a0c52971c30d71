"""3D-SNI: spatial noise that is continuous through the slices (paper, section III-B, Eq. 2).

# Differs from the paper: its public code draws one vector a slice, constant in space and
independent between slices. Here the noise is a Gaussian random field in mm on the voxel lattice.

The fast engine draws and averages noise by the functions of this file. `NoiseInjection` it
evaluates again, in synthesis/engine/fast_layers.py (`FastNoise`) and fast_stage.py; change both.
Testing/test_synthesis_volume_pass.py holds the two together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from AnatoMaskGANLib.networks.label_grids import LabelField
from AnatoMaskGANLib.networks.spade import LEAK

_GOLDEN = -7046029254386353131  # 2**64 / golden ratio as a signed integer
_MIX1, _MIX2 = -4658895280553007687, -7723592293110705685  # splitmix64's multipliers, signed
_TRUNCATION = 3.5  # the Gaussian is cut at this many sigma
_MOST_REPEATS = 12  # the most repeated nodes of an axis, in multiples of its voxels
_CACHED_NODES = 1 << 17  # nodes drawn and smoothed in plane together, which a CPU's cache holds


def noise_field(
    seed: int,
    start_kji: Sequence[int],
    shape_kji: Sequence[int],
    spacing_kji_mm: Sequence[float],
    sigmas_mm: Sequence[float],
    device: torch.device | str = "cpu",
) -> Tensor:
    """[Z,S,H,W] unit-variance Gaussian random fields, one for every sigma.

    The value at a voxel depends on (seed, sigma's position, absolute voxel index) alone, so any
    slab or tile draws the same values, bit for bit. Correlation at a distance d is exp(-d^2 / (4
    sigma^2)).
    """
    return torch.stack(
        [
            _octave(seed, number, sigma, start_kji, shape_kji, spacing_kji_mm, device)
            for number, sigma in enumerate(sigmas_mm)
        ]
    )


def _octave(
    seed: int,
    number: int,
    sigma_mm: float,
    start_kji: Sequence[int],
    shape_kji: Sequence[int],
    spacing_kji_mm: Sequence[float],
    device: torch.device | str,
) -> Tensor:
    # White noise sits on nodes at most half a sigma apart; finer nodes would not change its law.
    axes = [
        _SmoothedAxis(start, size, spacing, sigma_mm)
        for start, size, spacing in zip(start_kji, shape_kji, spacing_kji_mm, strict=True)
    ]
    nodes = [(axis.first_node, axis.num_nodes) for axis in axes]
    step = axes[0].num_nodes
    if torch.device(device).type == "cpu":
        step = max(1, _CACHED_NODES // (axes[1].num_nodes * axes[2].num_nodes))
    slices = []
    for first in range(0, axes[0].num_nodes, step):
        part = (axes[0].first_node + first, min(step, axes[0].num_nodes - first))
        field = _white_noise(seed, number, [part, *nodes[1:]], device)
        slices.append(axes[1].smooth(axes[2].smooth(field, 2), 1))
    # The slice axis comes last: a step along it is one addition of whole slices.
    return axes[0].smooth(torch.cat(slices), 0)


class _SmoothedAxis:
    """Gaussian interpolation from noise nodes to voxels along one axis, of unit output variance.

    A node lies at every pitch-th voxel, so voxel x = pitch n + phase lies at or behind node n:

        voxels         .  .  .  .  .  .  .  x  .  .  .  .  .  .  .  .
        nodes          |        |        |        |        |        |        pitch 3, phase 1
        taps of x     -2       -1        0        1        2        3        reach 2

    The field at x is the sum over taps t of exp(-d^2 / (2 sigma^2)) times the white noise of node
    n + t, where d = (phase - t pitch) spacing. A Gaussian convolved with itself has sqrt(2) sigma,
    hence the correlation exp(-d^2 / (4 sigma^2)) of the field.

    Which taps: node n - reach is the first that is `_TRUNCATION` sigma away from n. To the right of
    x the same length ends at most one node later, as x lies up to one pitch behind n. So taps run
    from -reach to reach + 1, and the nodes of the axis from first - reach to last + reach + 1.

    The sum of the squared weights, which is the variance, depends on the phase alone: one factor
    for every phase makes it 1 at every voxel.
    """

    def __init__(self, start: int, size: int, spacing_mm: float, sigma_mm: float) -> None:
        pitch = max(1, int(sigma_mm / 2 / spacing_mm))  # voxels between two nodes
        reach = math.ceil(_TRUNCATION * sigma_mm / (pitch * spacing_mm))
        self._start, self._size, self._pitch = start, size, pitch
        self._taps = range(-reach, reach + 2)
        first, last = start // pitch, (start + size - 1) // pitch  # nodes of the outer voxels
        self.first_node = first + self._taps[0]
        self.num_nodes = last + self._taps[-1] + 1 - self.first_node
        by_phase = [
            [
                math.exp(-0.5 * ((phase - tap * pitch) * spacing_mm / sigma_mm) ** 2)
                for tap in self._taps
            ]
            for phase in range(pitch)
        ]
        scale = [1 / math.sqrt(sum(weight**2 for weight in weights)) for weights in by_phase]
        self._weights = [  # [voxel][tap]
            [weight * scale[voxel % pitch] for weight in by_phase[voxel % pitch]]
            for voxel in range(start, start + size)
        ]

    def smooth(self, field: Tensor, dim: int) -> Tensor:
        """A field of white noise at the axis's nodes along `dim` -> at its voxels."""
        size, pitch = self._size, self._pitch
        repeats = size + (len(self._taps) - 1) * pitch
        is_long = pitch > 1 and repeats > _MOST_REPEATS * size
        if pitch > 1 and not is_long:
            # Every node as often as there are voxels at or behind it. Then the node of tap t of all
            # voxels is this field, shifted by t pitch voxels.
            first = self._start + self._taps[0] * pitch
            field = self._at_voxels(field, dim, first, repeats)

        def of_tap(column: int) -> Tensor:
            """The node of a tap of every voxel."""
            if is_long:  # a long field against few voxels: only what they need, tap by tap
                first = self._start + self._taps[column] * pitch
                return self._at_voxels(field, dim, first, size)
            return field.narrow(dim, column * pitch, size)

        weights = torch.tensor(self._weights, dtype=torch.float32, device=field.device)
        shape = [1, 1, 1]
        shape[dim] = size
        # The taps are added one by one: how a matrix product rounds depends on its size.
        smoothed = of_tap(0) * weights[:, 0].view(shape)
        term = torch.empty_like(smoothed)
        for column in range(1, len(self._taps)):
            smoothed.add_(torch.mul(of_tap(column), weights[:, column].view(shape), out=term))
        return smoothed

    def _at_voxels(self, field: Tensor, dim: int, first: int, size: int) -> Tensor:
        """The node at or behind each of some voxels in a row."""
        voxels = torch.arange(first, first + size)
        nodes = voxels.div(self._pitch, rounding_mode="floor") - self.first_node
        return field.index_select(dim, nodes.to(field.device))


def _white_noise(
    seed: int, number: int, ranges_kji: Sequence[tuple[int, int]], device: torch.device | str
) -> Tensor:
    """Standard normal values by a counter-based hash of (seed, number, k, j, i) and Box-Muller.

    A key of 64 bits gives two uniform numbers of 24 bits, all that a float32 holds: its upper bits
    the radius, its lower ones the angle.
    """
    octave = torch.tensor(number, dtype=torch.int64, device=device)
    key = _mix(_mix(torch.tensor(seed, dtype=torch.int64, device=device)) + octave * _GOLDEN)
    for first, size in ranges_kji:
        index = torch.arange(first, first + size, dtype=torch.int64, device=device)
        key = _mix(key[..., None] + index * _GOLDEN)
    uniform = ((key >> 40) & 0xFFFFFF).float().add_(0.5).mul_(2.0**-24)  # lies in (0,1), is never 0
    angle = (key & 0xFFFFFF).float().mul_(2 * math.pi * 2.0**-24)
    radius = uniform.log_().mul_(-2).sqrt_()
    return radius.mul_(angle.cos_())


def _mix(key: Tensor) -> Tensor:
    """splitmix64's finalizer on signed integers (Steele, Lea and Flood 2014)."""
    key = (key ^ ((key >> 30) & 0x3FFFFFFFF)) * _MIX1
    key = (key ^ ((key >> 27) & 0x1FFFFFFFFF)) * _MIX2
    return key ^ ((key >> 31) & 0x1FFFFFFFF)


def pooled_standard_deviation(
    stride: int, spacing_ji_mm: Sequence[float], sigmas_mm: Sequence[float]
) -> list[float]:
    """Standard deviation of the field's mean over stride x stride pixels, for every sigma.

    The variance of a mean is the mean of the correlations of all pairs; it factors by axis.
    """
    found = []
    for sigma in sigmas_mm:
        variance = 1.0
        for spacing in spacing_ji_mm:
            pairs = [
                math.exp(-(((a - b) * spacing) ** 2) / (4 * sigma**2))
                for a in range(stride)
                for b in range(stride)
            ]
            variance *= sum(pairs) / stride**2
        found.append(math.sqrt(variance))
    return found


@lru_cache(maxsize=256)
def _pooled_scale(
    stride: int, spacing_ji_mm: tuple[float, float], sigmas_mm: tuple[float, ...]
) -> tuple[float, ...]:
    return tuple(
        1 / deviation for deviation in pooled_standard_deviation(stride, spacing_ji_mm, sigmas_mm)
    )


@dataclass(frozen=True)
class SliceNoise:
    """Noise of N slices, and how strongly it enters."""

    values: Tensor
    """[N,Z,H,W], of unit variance."""
    strength: Tensor | float
    """[N,1,1,1], or one for all slices; 0 gives the deterministic image."""
    spacing_ji_mm: tuple[float, float]
    sigmas_mm: tuple[float, ...]
    halves: bool = False
    """Whether the mean over the cells of a stage is taken from that of the next finer stage. That
    costs a quarter of the additions and rounds otherwise; the fast engine asks for it."""
    _means: dict[int, Tensor] = field(default_factory=dict, repr=False)

    def pooled(self, stride: int) -> Tensor:
        """[N,Z,h,w] mean over the cells of a stage, scaled back to unit variance."""
        if stride == 1:
            return self.values
        scale = _pooled_scale(stride, self.spacing_ji_mm, self.sigmas_mm)
        return self._mean(stride) * self.values.new_tensor(scale).view(1, -1, 1, 1)

    def _mean(self, stride: int) -> Tensor:
        if stride not in self._means:
            if self.halves and stride > 2:
                self._means[stride] = functional.avg_pool2d(self._mean(stride // 2), 2)
            else:
                self._means[stride] = functional.avg_pool2d(self.values, stride)
        return self._means[stride]


class NoiseInjection(nn.Module):
    """Adds noise to a stage: H + strength (P(Z) sigmoid(F1(Z) + w_c) + alpha R(Z)) (paper, Eq. 2).

    # Differs from the paper: strength is an input, so that 0 gives the deterministic image.
    """

    def __init__(self, num_features: int, num_classes: int, num_octaves: int) -> None:
        super().__init__()
        self.projection = nn.Conv2d(num_octaves, num_features, 1, bias=False)
        self.gate = nn.Conv2d(num_octaves, num_features, 1)
        self.class_gate = nn.Embedding(num_classes, num_features)
        self.refinement = nn.Sequential(
            nn.Conv2d(num_octaves, 8, 3, padding=1),
            nn.LeakyReLU(LEAK),
            nn.Conv2d(8, num_features, 3, padding=1),
        )
        self.refinement_scale = nn.Parameter(torch.zeros(num_features, 1, 1))
        nn.init.normal_(self.projection.weight, std=0.02)
        nn.init.zeros_(self.class_gate.weight)

    def forward(
        self, features: Tensor, noise: SliceNoise, labels: LabelField, stride: int
    ) -> Tensor:
        """features [N,F,h,w] of a stage of this stride."""
        pooled = noise.pooled(stride)
        by_class = self.class_gate(labels.labels_at(stride)).permute(0, 3, 1, 2)
        injected = self.projection(pooled) * torch.sigmoid(self.gate(pooled) + by_class)
        injected = injected + self.refinement_scale * self.refinement(pooled)
        return features + noise.strength * injected
