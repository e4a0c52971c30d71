"""The pix2pix U-Net generator (Isola 2017): labels and noise in, image out, with skips.

# Differs from the source: its noise is dropout, drawn anew at every call; here noise enters beside
the labels, so that a seed gives the same image again.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from AnatoMaskGANLib.config import GeneratorSettings
from AnatoMaskGANLib.networks.slice_batch import slice_batch
from AnatoMaskGANLib.networks.spade import LEAK, normalization


class UNetGenerator(nn.Module):
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

    def forward(
        self,
        labels: Tensor,
        positions_mm: Tensor,
        noise: Tensor | None = None,
        strength: Tensor | float = 1.0,
        spacing_ji_mm: Sequence[float] = (1.0, 1.0),
        halo: int = 0,
    ) -> Tensor:
        """Image [B,S,1,H,W] in [0,1]; arguments as those of `Generator.forward`."""
        settings = self.settings
        slices = slice_batch(
            labels,
            positions_mm.shape[1],
            noise,
            strength,
            spacing_ji_mm,
            settings.noise_sigmas_mm,
            halo,
            settings.stride,
        )
        one_hot = functional.one_hot(slices.labels, settings.num_classes)
        state = self.start(torch.cat([one_hot.permute(0, 3, 1, 2).float(), slices.noise_at(1)], 1))
        skips = [state]
        for layer in self.down:
            skips.append(layer(skips[-1]))
        state = skips.pop()
        for layer in self.up:
            state = torch.cat([layer(state), skips.pop()], dim=1)
        return slices.as_stack(torch.sigmoid(self.image(functional.relu(state))))
