"""The OASIS generator: label map and 3-D noise enter every SPADE layer (Schoenfeld 2021).

# Differs from the source: the noise is the smooth random field of `noise.py`, one channel for every
correlation length of the settings, so that any slab or tile draws the same values; the source
draws 64 channels of white noise, which 64 entries in noise_sigmas_mm come near to.

For synthesis, synthesis/engine/slice_pass.py calls it slice by slice; it has no other twin.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from AnatoMaskGANLib.config import GeneratorSettings
from AnatoMaskGANLib.networks.normalization import normalize_spectrally
from AnatoMaskGANLib.networks.slice_batch import (
    GeneratorOutput,
    ImageGenerator,
    NoisyLabelField,
    SliceBatch,
)
from AnatoMaskGANLib.networks.spade import LEAK, SPADEResidualBlock


class OasisGenerator(ImageGenerator):
    """Every slice by itself; neighboring slices agree through the noise alone."""

    def __init__(self, settings: GeneratorSettings) -> None:
        super().__init__()
        self.settings = settings
        channels = settings.channels
        num_conditions = settings.num_classes + len(settings.noise_sigmas_mm)
        self.start = nn.Conv2d(num_conditions, channels[0], 3, padding=1)
        self.blocks = nn.ModuleList(
            SPADEResidualBlock(
                channels[number],
                channels[number + 1],
                num_conditions,
                settings.spade_hidden,
                settings.separable,
                settings.norm,
            )
            for number in range(len(channels) - 1)
        )
        self.image = nn.Conv2d(channels[-1], 1, 3, padding=1)
        if settings.spectral_norm:
            normalize_spectrally(self)

    def forward(self, batch: SliceBatch) -> GeneratorOutput:
        settings = self.settings
        padded = batch.padded_to(settings.stride)
        noise = padded.slice_noise(settings.noise_sigmas_mm)
        field = NoisyLabelField(padded.inner_labels.flatten(0, 1), settings.num_classes, noise)
        start = [field.fractions(settings.stride), field.noise_at(settings.stride)]
        state = self.start(torch.cat(start, dim=1))
        for number, block in enumerate(self.blocks):
            if number > 0:
                state = functional.interpolate(state, scale_factor=2, mode="nearest")
            state = block(state, field, settings.stride // 2**number)
        image = torch.sigmoid(self.image(functional.leaky_relu(state, LEAK)))
        return GeneratorOutput(batch.as_stacks(image))
