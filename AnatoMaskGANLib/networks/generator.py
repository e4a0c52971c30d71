"""The generator: label map and noise in, image in [0,1] out (SPADE, GNN-SIF, 3D-SNI)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from AnatoMaskGANLib.config import GeneratorSettings
from AnatoMaskGANLib.networks.label_grids import DenseLabelField, LabelField, WordLabelField
from AnatoMaskGANLib.networks.noise import NoiseInjection, pool_noise
from AnatoMaskGANLib.networks.slice_graph import SliceGraphFusion, slice_graph, slice_overlaps
from AnatoMaskGANLib.networks.spade import LEAK, SPADEResidualBlock
from AnatoMaskGANLib.networks.spectral import normalize_spectrally


@dataclass(frozen=True)
class NoiseStack:
    """Noise of N slices and how strongly it enters."""

    values: Tensor  # [N,Z,H,W], unit variance
    strength: Tensor  # [N,1,1,1]; 0 gives the deterministic image
    spacing_ji_mm: tuple[float, float]


class ThroughPlaneContext(nn.Module):
    """What the labels above and below a pixel add to its features: a partial-volume term.

    # Differs from the paper: ours, because the gray value at a border depends on the labels just
    above and below, which SPADE does not see and the fusion sees on a grid of 28x28 only.
    """

    def __init__(self, num_features: int, num_classes: int, radius: int) -> None:
        super().__init__()
        self.radius = radius
        self.offsets = nn.ModuleList(
            nn.Embedding(num_classes, num_features) for _ in range(2 * radius + 1)
        )
        for table in self.offsets:
            nn.init.normal_(table.weight, std=0.02)

    def forward(self, neighbor_labels: Tensor) -> Tensor:
        """[N,2r+1,h,w] labels from the slice r below to the slice r above -> [N,F,h,w]."""
        total = self.offsets[0](neighbor_labels[:, 0])
        for number in range(1, len(self.offsets)):
            total = total + self.offsets[number](neighbor_labels[:, number])
        return total.permute(0, 3, 1, 2)


class Stage(nn.Module):
    """One resolution of the decoder: context, noise and a SPADE residual block."""

    def __init__(
        self, settings: GeneratorSettings, number: int, num_inputs: int, num_outputs: int
    ) -> None:
        super().__init__()
        self.stride = settings.stride // 2**number
        has_context = settings.context_radius > 0 and number > settings.fusion_stage
        self.context = (
            ThroughPlaneContext(num_inputs, settings.num_classes, settings.context_radius)
            if has_context
            else None
        )
        self.noise = (
            NoiseInjection(num_inputs, settings.num_classes, len(settings.noise_sigmas_mm))
            if settings.use_noise3d
            else None
        )
        self.block = SPADEResidualBlock(
            num_inputs,
            num_outputs,
            settings.num_classes,
            settings.spade_hidden,
            settings.separable,
            settings.norm,
        )
        self._sigmas_mm = settings.noise_sigmas_mm

    def forward(
        self,
        state: Tensor,
        field: LabelField,
        neighbor_labels: Tensor | None,
        noise: NoiseStack | None,
    ) -> Tensor:
        """state [N,F,h,w]; neighbor_labels [N,2r+1,H,W] on the finest grid."""
        if self.context is not None:
            center = self.stride // 2
            state = state + self.context(
                neighbor_labels[:, :, center :: self.stride, center :: self.stride]
            )
        if self.noise is not None and noise is not None:
            pooled = pool_noise(noise.values, self.stride, noise.spacing_ji_mm, self._sigmas_mm)
            state = self.noise(state, pooled, noise.strength, field, self.stride)
        return self.block(state, field, self.stride)


class MaskEncoder(nn.Module):
    """Features of the label map alone, on the grid of the fusion: X of the paper's Algorithm 1."""

    def __init__(self, num_classes: int, num_features: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(num_classes, num_features, 3, padding=1),
            nn.LeakyReLU(LEAK),
            nn.Conv2d(num_features, num_features, 3, padding=1),
        )

    def forward(self, fractions: Tensor) -> Tensor:
        """[N,C,h,w] class fractions -> [N,F,h,w]."""
        return self.layers(fractions)


class Generator(nn.Module):
    """SPADE generator with slice-graph fusion and 3-D noise, each on a switch.

    A call makes whole stacks. `encode`, `fusion` and `decode` are its parts; all but the message
    passing of the fusion treat every slice by itself, given frozen normalization statistics.
    """

    def __init__(self, settings: GeneratorSettings) -> None:
        super().__init__()
        self.settings = settings
        channels = settings.channels
        self.start = nn.Conv2d(settings.num_classes, channels[0], 3, padding=1)
        self.stages = nn.ModuleList(
            Stage(settings, number, channels[number], channels[number + 1])
            for number in range(len(channels) - 1)
        )
        if settings.use_gnn_fusion:
            num_fused = channels[settings.fusion_stage + 1]
            self.mask_encoder = MaskEncoder(settings.num_classes, num_fused)
            self.fusion = SliceGraphFusion(num_fused, settings.fusion_rounds)
            self.log_tau_mm = nn.Parameter(torch.tensor(5.0).log())
        self.image = nn.Conv2d(channels[-1], 1, 3, padding=1)
        if settings.label_outputs:
            self.label_logits = nn.Conv2d(channels[-1], settings.label_outputs, 3, padding=1)
        if settings.spectral_norm:
            normalize_spectrally(self)

    @property
    def fusion_stride(self) -> int:
        """In-plane pixels of a cell of the fusion's grid."""
        return self.stages[self.settings.fusion_stage].stride

    def encode(self, field: LabelField, noise: NoiseStack | None = None) -> Tensor:
        """Decoder state [N,F,h,w] up to the fusion."""
        state = self.start(field.fractions(self.settings.stride))
        return self._run(0, self.settings.fusion_stage + 1, state, field, None, noise)

    def decode(
        self,
        state: Tensor,
        field: LabelField,
        neighbor_labels: Tensor | None,
        noise: NoiseStack | None = None,
    ) -> Tensor:
        """Image [N,1,H,W] in [0,1] from the fused state."""
        return self.decode_heads(state, field, neighbor_labels, noise)[0]

    def decode_heads(
        self,
        state: Tensor,
        field: LabelField,
        neighbor_labels: Tensor | None,
        noise: NoiseStack | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Image [N,1,H,W] in [0,1] and label logits [N,C',H,W], None without a second head."""
        first = self.settings.fusion_stage + 1
        state = self._run(first, len(self.stages), state, field, neighbor_labels, noise)
        state = functional.leaky_relu(state, LEAK)
        logits = self.label_logits(state) if self.settings.label_outputs else None
        return torch.sigmoid(self.image(state)), logits

    def _run(
        self,
        first: int,
        end: int,
        state: Tensor,
        field: LabelField,
        neighbor_labels: Tensor | None,
        noise: NoiseStack | None,
    ) -> Tensor:
        for number in range(first, end):
            if number > 0:
                state = functional.interpolate(state, scale_factor=2, mode="nearest")
            state = self.stages[number](state, field, neighbor_labels, noise)
        return state

    def forward(
        self,
        labels: Tensor,
        positions_mm: Tensor,
        noise: Tensor | None = None,
        strength: Tensor | float = 1.0,
        spacing_ji_mm: Sequence[float] = (1.0, 1.0),
        halo: int = 0,
        use_words: bool = True,
    ) -> Tensor:
        """Image [B,S,1,H,W] in [0,1].

        labels: [B,S+2*halo,H,W] class indices; the `halo` outer slices on either side are seen by
        the
            through-plane context but not made. Beyond the given slices lies background.
        positions_mm: [B,S] of the slices that are made, along the slice axis.
        noise: [B,Z,S,H,W] of `noise_field`, or None for the deterministic image.
        strength: scalar or [B].
        use_words: evaluate SPADE's label branches once for every distinct neighborhood (exact).

        H and W may be any size: others than multiples of the stride are padded with background, and
        the image is cropped.
        """
        arguments = (labels, positions_mm, noise, strength, spacing_ji_mm, halo, use_words)
        return self.forward_heads(*arguments)[0]

    def forward_heads(
        self,
        labels: Tensor,
        positions_mm: Tensor,
        noise: Tensor | None = None,
        strength: Tensor | float = 1.0,
        spacing_ji_mm: Sequence[float] = (1.0, 1.0),
        halo: int = 0,
        use_words: bool = True,
    ) -> tuple[Tensor, Tensor | None]:
        """Image [B,S,1,H,W] and, from the second head, label logits [B,S,C',H,W] or None.

        Arguments as those of `forward`.
        """
        height, width = labels.shape[2:]
        stride = self.settings.stride
        padding = (0, -width % stride, 0, -height % stride)
        labels = functional.pad(labels, padding)
        cases, num_slices = positions_mm.shape
        neighbor_labels = stack_neighbors(labels, halo, self.settings.context_radius)
        made = labels[:, halo : halo + num_slices]
        field_kind = WordLabelField if use_words else DenseLabelField
        field = field_kind(made.flatten(0, 1), self.settings.num_classes)
        noise_stack = None
        if noise is not None and self.settings.use_noise3d:
            values = functional.pad(noise, padding).transpose(1, 2).flatten(0, 1)
            strengths = torch.as_tensor(strength, dtype=values.dtype, device=values.device)
            strengths = strengths.expand(cases).repeat_interleave(num_slices).view(-1, 1, 1, 1)
            noise_stack = NoiseStack(values, strengths, (spacing_ji_mm[0], spacing_ji_mm[1]))
        state = self.encode(field, noise_stack)
        if self.settings.use_gnn_fusion:
            overlaps = slice_overlaps(made, self.settings.num_classes)
            graph = slice_graph(
                overlaps, positions_mm, self.log_tau_mm.exp(), self.settings.stack_radius
            )
            fractions = field.fractions(self.fusion_stride)
            foreground = 1 - fractions[:, :1]
            state = self.fusion(self.mask_encoder(fractions), state, foreground, graph)
        heads = self.decode_heads(state, field, neighbor_labels.flatten(0, 1), noise_stack)
        image, logits = (
            None if head is None else head[:, :, :height, :width].unflatten(0, (cases, num_slices))
            for head in heads
        )
        return image, logits


def stack_neighbors(labels: Tensor, halo: int, radius: int) -> Tensor:
    """[B,S,2r+1,H,W] labels of every made slice and its neighbors, background beyond the given
    ones.
    """
    num_slices = labels.shape[1] - 2 * halo
    short = max(0, radius - halo)
    padded = functional.pad(labels, (0, 0, 0, 0, short, short))
    first = halo + short - radius
    return torch.stack(
        [padded[:, first + d : first + d + num_slices] for d in range(2 * radius + 1)], dim=2
    )
