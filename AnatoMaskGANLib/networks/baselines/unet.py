"""The pix2pix U-Net generator (Isola 2017): labels and noise in, image out, with skips.

# Differs from the source: its noise is dropout, drawn again at every call; here noise enters
together with the labels, so that a seed gives the same image again.

For synthesis, synthesis/engine/slice_pass.py calls it slice by slice; it has no other twin.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from AnatoMaskGANLib.config import GeneratorSettings
from AnatoMaskGANLib.networks.normalization import normalization
from AnatoMaskGANLib.networks.slice_batch import (
    GeneratorOutput,
    ImageGenerator,
    NoisyLabelField,
    SliceBatch,
)
from AnatoMaskGANLib.networks.spade import LEAK


class UNetGenerator(ImageGenerator):
    """Every slice by itself. Level l has the features channels[-1 - l] on a grid of stride 2^l."""

    def __init__(self, settings: GeneratorSettings) -> None:
        super().__init__()
        self.settings = settings
        features = settings.channels[:0:-1]  # finest first; the coarse start has no use here
        num_inputs = settings.num_classes + len(settings.noise_sigmas_mm)
        self.start = nn.Conv2d(num_inputs, features[0], 3, padding=1)
        self.down = nn.ModuleList(
            nn.Sequential(
                nn.LeakyReLU(LEAK),
                nn.Conv2d(finer, coarser, 4, stride=2, padding=1),
                normalization(settings.norm, coarser),
            )
            for finer, coarser in zip(features[:-1], features[1:], strict=True)
        )
        # The deepest level has no skip of its own; each finer one gets the state and its skip.
        self.up = nn.ModuleList(
            nn.Sequential(
                nn.ReLU(),
                nn.ConvTranspose2d(coarser * (1 if is_deepest else 2), finer, 4, 2, 1),
                normalization(settings.norm, finer),
            )
            for coarser, finer, is_deepest in zip(
                features[:0:-1],
                features[-2::-1],
                [True] + [False] * (len(features) - 2),
                strict=True,
            )
        )
        self.image = nn.Conv2d(2 * features[0], 1, 3, padding=1)

    def forward(self, batch: SliceBatch) -> GeneratorOutput:
        settings = self.settings
        padded = batch.padded_to(settings.stride)
        noise = padded.slice_noise(settings.noise_sigmas_mm)
        field = NoisyLabelField(padded.inner_labels.flatten(0, 1), settings.num_classes, noise)
        state = self.start(field.condition(1))
        skips = [state]
        for layer in self.down:
            skips.append(layer(skips[-1]))
        state = skips.pop()
        for layer in self.up:
            state = torch.cat([layer(state), skips.pop()], dim=1)
        return GeneratorOutput(batch.as_stacks(torch.sigmoid(self.image(functional.relu(state)))))
