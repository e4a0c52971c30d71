"""The generator: label map and noise in, image in [0,1] out (SPADE, GNN-SIF, 3D-SNI).

The fast engine evaluates it again, slice by slice: `Generator` in
synthesis/engine/fast_generator.py, `Stage` in fast_stage.py, what their labels decide in
modulation_tables.py; change both. Testing/test_synthesis_volume_pass.py holds the two together.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from AnatoMaskGANLib.config import GeneratorSettings
from AnatoMaskGANLib.networks.baselines.oasis import OasisGenerator
from AnatoMaskGANLib.networks.baselines.segmenter import Segmenter
from AnatoMaskGANLib.networks.baselines.unet import UNetGenerator
from AnatoMaskGANLib.networks.label_grids import DenseLabelField, LabelField, WordLabelField
from AnatoMaskGANLib.networks.noise import NoiseInjection, SliceNoise
from AnatoMaskGANLib.networks.normalization import normalize_spectrally
from AnatoMaskGANLib.networks.slice_batch import GeneratorOutput, ImageGenerator, SliceBatch
from AnatoMaskGANLib.networks.slice_graph import SliceGraphFusion, slice_graph, slice_overlaps
from AnatoMaskGANLib.networks.spade import LEAK, SPADEResidualBlock


class ThroughPlaneContext(nn.Module):
    """Adds to a pixel's features a term of the labels above and below it, for partial volumes.

    # Differs from the paper: ours, because the gray value at a border depends on the labels just
    above and below, which SPADE does not see and the fusion sees on a grid of 28x28 only.
    """

    def __init__(self, num_features: int, num_classes: int, radius: int) -> None:
        super().__init__()
        self.radius = radius
        self.offsets = nn.ModuleList(
            nn.Embedding(num_classes, num_features) for _ in range(2 * radius + 1)
        )
        for table in self.tables:
            nn.init.normal_(table, std=0.02)

    @property
    def tables(self) -> list[Tensor]:
        """[C,F] what a label adds, for every slice from the lowest to the highest."""
        return [cast(nn.Embedding, table).weight for table in self.offsets]

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
        # Finer than the fusion, whose graph sees nothing of these grids.
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

    def forward(
        self,
        state: Tensor,
        field: LabelField,
        neighbor_labels: Tensor | None,
        noise: SliceNoise | None,
    ) -> Tensor:
        """state [N,F,h,w]; neighbor_labels [N,2r+1,H,W] on the finest grid, for the context."""
        if self.context is not None and neighbor_labels is not None:
            center = self.stride // 2
            state = state + self.context(
                neighbor_labels[:, :, center :: self.stride, center :: self.stride]
            )
        if self.noise is not None and noise is not None:
            state = self.noise(state, noise, field, self.stride)
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


class Generator(ImageGenerator):
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
            # ours: 5 mm, from which the length is learned
            self.log_tau_mm = nn.Parameter(torch.tensor(5.0).log())
        self.image = nn.Conv2d(channels[-1], 1, 3, padding=1)
        if settings.label_outputs:
            self.label_logits = nn.Conv2d(channels[-1], settings.label_outputs, 3, padding=1)
        if settings.spectral_norm:
            normalize_spectrally(self)

    def stage(self, number: int) -> Stage:
        """One resolution of the decoder, 0 the coarsest."""
        return cast(Stage, self.stages[number])

    @property
    def fusion_stride(self) -> int:
        """In-plane pixels of a cell of the fusion's grid."""
        return self.stage(self.settings.fusion_stage).stride

    def forward(self, batch: SliceBatch) -> GeneratorOutput:
        settings = self.settings
        padded = batch.padded_to(settings.stride)
        field_kind = WordLabelField if batch.use_words else DenseLabelField
        field = field_kind(padded.inner_labels.flatten(0, 1), settings.num_classes)
        noise = None
        if settings.use_noise3d and batch.noise is not None:
            noise = padded.slice_noise(settings.noise_sigmas_mm)
        state = self.encode(field, noise)
        if settings.use_gnn_fusion:
            state = self._fuse(padded, field, state)
        neighbor_labels = padded.neighbor_labels(settings.context_radius).flatten(0, 1)
        image, logits = self.decode(state, field, neighbor_labels, noise)
        return GeneratorOutput(
            batch.as_stacks(image), None if logits is None else batch.as_stacks(logits)
        )

    def encode(self, field: LabelField, noise: SliceNoise | None) -> Tensor:
        """Decoder state [N,F,h,w] up to the fusion."""
        state = self.start(field.fractions(self.settings.stride))
        for number in range(self.settings.fusion_stage + 1):
            state = self._next(number, state, field, None, noise)
        return state

    def _fuse(self, padded: SliceBatch, field: LabelField, state: Tensor) -> Tensor:
        """The state [N,F,h,w] of every slice after it has heard of its neighbors."""
        labels, settings = padded.inner_labels, self.settings
        overlaps = slice_overlaps(labels, settings.num_classes)
        tau_mm = self.log_tau_mm.exp()
        graph = slice_graph(overlaps, padded.positions_mm, tau_mm, settings.stack_radius)
        fractions = field.fractions(self.fusion_stride)
        foreground = 1 - fractions[:, :1]
        return self.fusion(self.mask_encoder(fractions), state, foreground, graph)

    def decode(
        self, state: Tensor, field: LabelField, neighbor_labels: Tensor, noise: SliceNoise | None
    ) -> tuple[Tensor, Tensor | None]:
        """Image [N,1,H,W] in [0,1] and label logits [N,C',H,W], None without a second head."""
        for number in range(self.settings.fusion_stage + 1, len(self.stages)):
            state = self._next(number, state, field, neighbor_labels, noise)
        state = functional.leaky_relu(state, LEAK)
        logits = self.label_logits(state) if self.settings.label_outputs else None
        return torch.sigmoid(self.image(state)), logits

    def _next(
        self,
        number: int,
        state: Tensor,
        field: LabelField,
        neighbor_labels: Tensor | None,
        noise: SliceNoise | None,
    ) -> Tensor:
        """The state after a stage; each stage has twice the grid of the one before."""
        if number > 0:
            state = functional.interpolate(state, scale_factor=2, mode="nearest")
        return self.stage(number)(state, field, neighbor_labels, noise)


def build_generator(settings: GeneratorSettings) -> ImageGenerator | Segmenter:
    """A new network of settings.kind; all but the segmenter make images."""
    if settings.kind == "oasis":
        return OasisGenerator(settings)
    if settings.kind == "unet":
        return UNetGenerator(settings)
    if settings.kind == "segmenter":
        return Segmenter(settings)
    return Generator(settings)
