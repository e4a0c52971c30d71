"""3D-SNI: spatial noise that is continuous through the slices (paper, section III-B, Eq. 2).

# Differs from the paper: its public code draws one vector a slice, constant in space and
independent between slices. Here the noise is a Gaussian random field in mm on the voxel lattice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from AnatoMaskGANLib.networks.label_grids import LabelField
from AnatoMaskGANLib.networks.spade import LEAK

_GOLDEN = -7046029254386353131  # 2**64 / golden ratio as a signed integer
_MIX1, _MIX2 = -4658895280553007687, -7723592293110705685  # splitmix64's multipliers, signed
_TRUNCATION = 3.5  # the Gaussian is cut at this many sigma
_CACHED_NODES = 1 << 17  # that are drawn and smoothed in plane together, in a CPU's cache


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
    """Gaussian interpolation from noise nodes to voxels along one axis, of unit output variance."""

    def __init__(self, start: int, size: int, spacing_mm: float, sigma_mm: float) -> None:
        pitch = max(1, int(sigma_mm / 2 / spacing_mm))  # voxels between two nodes
        reach = math.ceil(_TRUNCATION * sigma_mm / (pitch * spacing_mm))
        voxels = range(start, start + size)
        self.nodes = [voxel // pitch for voxel in voxels]
        self.pitch = pitch
        self.start = start
        self.first_node = self.nodes[0] - reach
        self.num_nodes = self.nodes[-1] + reach + 2 - self.first_node
        self.taps = range(-reach, reach + 2)
        by_phase = [
            [
                math.exp(-0.5 * ((phase - tap * pitch) * spacing_mm / sigma_mm) ** 2)
                for tap in self.taps
            ]
            for phase in range(pitch)
        ]
        scale = [1 / math.sqrt(sum(weight**2 for weight in weights)) for weights in by_phase]
        self.weights = [
            [weight * scale[voxel % pitch] for weight in by_phase[voxel % pitch]]
            for voxel in voxels
        ]

    def smooth(self, field: Tensor, dim: int) -> Tensor:
        size, pitch = len(self.nodes), self.pitch
        if pitch > 1:  # every node as often as there are voxels to it, so that taps are shifts
            first = self.start + self.taps[0] * pitch
            voxels = torch.arange(first, first + size + (len(self.taps) - 1) * pitch)
            nodes = voxels.div(pitch, rounding_mode="floor") - self.first_node
            field = field.index_select(dim, nodes.to(field.device))
        offset = 0 if pitch > 1 else self.start + self.taps[0] - self.first_node
        weights = torch.tensor(self.weights, dtype=torch.float32, device=field.device)
        shape = [1, 1, 1]
        shape[dim] = size
        # One tap after the other: a matrix product would round differently by its size.
        smoothed: Tensor | None = None
        term: Tensor | None = None
        for column in range(len(self.taps)):
            shifted = field.narrow(dim, offset + column * pitch, size)
            weight = weights[:, column].view(shape)
            if smoothed is None:
                smoothed = shifted * weight
                term = torch.empty_like(smoothed)
            else:
                smoothed.add_(torch.mul(shifted, weight, out=term))
        return smoothed


def _white_noise(
    seed: int, number: int, ranges_kji: Sequence[tuple[int, int]], device: torch.device | str
) -> Tensor:
    """Standard normal values by a counter-based hash of (seed, number, k, j, i) and Box-Muller."""
    octave = torch.tensor(number, dtype=torch.int64, device=device)
    key = _mix(_mix(torch.tensor(seed, dtype=torch.int64, device=device)) + octave * _GOLDEN)
    for first, size in ranges_kji:
        index = torch.arange(first, first + size, dtype=torch.int64, device=device)
        key = _mix(key[..., None] + index * _GOLDEN)
    radius = ((key >> 40) & 0xFFFFFF).float().add_(0.5).mul_(2.0**-24)
    angle = (key & 0xFFFFFF).float().mul_(2 * math.pi * 2.0**-24)
    return radius.log_().mul_(-2).sqrt_().mul_(angle.cos_())


def _mix(key: Tensor) -> Tensor:
    """splitmix64's finalizer on signed integers (Steele, Lea and Flood 2014)."""
    key = (key ^ ((key >> 30) & 0x3FFFFFFFF)) * _MIX1
    key = (key ^ ((key >> 27) & 0x1FFFFFFFFF)) * _MIX2
    return key ^ ((key >> 31) & 0x1FFFFFFFF)


def pooled_standard_deviation(
    stride: int, spacing_ji_mm: Sequence[float], sigmas_mm: Sequence[float]
) -> list[float]:
    """Standard deviation of the field's mean over stride x stride pixels, for every sigma."""
    deviations = []
    for sigma in sigmas_mm:
        variance = 1.0
        for spacing in spacing_ji_mm:
            pairs = [
                math.exp(-(((a - b) * spacing) ** 2) / (4 * sigma**2))
                for a in range(stride)
                for b in range(stride)
            ]
            variance *= sum(pairs) / stride**2
        deviations.append(math.sqrt(variance))
    return deviations


def pool_noise(
    noise: Tensor, stride: int, spacing_ji_mm: Sequence[float], sigmas_mm: Sequence[float]
) -> Tensor:
    """[N,Z,H,W] noise averaged over the cells of a stage, scaled back to unit variance."""
    if stride == 1:
        return noise
    deviations = pooled_standard_deviation(stride, spacing_ji_mm, sigmas_mm)
    scale = noise.new_tensor([1 / deviation for deviation in deviations]).view(1, -1, 1, 1)
    return functional.avg_pool2d(noise, stride) * scale


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
        self, features: Tensor, noise: Tensor, strength: Tensor, field: LabelField, stride: int
    ) -> Tensor:
        """features [N,F,h,w], noise [N,Z,h,w], strength [N,1,1,1]."""
        by_class = self.class_gate(field.labels_at(stride)).permute(0, 3, 1, 2)
        injected = self.projection(noise) * torch.sigmoid(self.gate(noise) + by_class)
        injected = injected + self.refinement_scale * self.refinement(noise)
        return features + strength * injected
