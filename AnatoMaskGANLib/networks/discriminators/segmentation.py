"""A U-Net from an image to one logit a class and pixel: OASIS's discriminator, and the network
that reads labels back from unpaired images.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from AnatoMaskGANLib.config import DiscriminatorSettings
from AnatoMaskGANLib.networks.discriminators.patch import with_neighbors
from AnatoMaskGANLib.networks.spade import LEAK


class _ResidualBlock(nn.Module):
    """Two 3x3 convolutions with a 1x1 shortcut, no normalization of activations."""

    def __init__(self, num_inputs: int, num_outputs: int, is_spectral: bool) -> None:
        super().__init__()
        layers = (
            nn.Conv2d(num_inputs, num_outputs, 3, padding=1),
            nn.Conv2d(num_outputs, num_outputs, 3, padding=1),
            nn.Conv2d(num_inputs, num_outputs, 1, bias=False),
        )
        self.conv0, self.conv1, self.shortcut = (
            spectral_norm(layer) if is_spectral else layer for layer in layers
        )

    def forward(self, features: Tensor) -> Tensor:
        out = self.conv0(functional.leaky_relu(features, LEAK))
        return self.shortcut(features) + self.conv1(functional.leaky_relu(out, LEAK))


class SegmentationUNet(nn.Module):
    """[B,S,1,H,W] images in [0,1] -> [N,num_outputs,H,W] logits.

    settings.num_layers halvings and as many doublings; six in OASIS, for 256x256.
    """

    def __init__(self, settings: DiscriminatorSettings, num_outputs: int) -> None:
        super().__init__()
        self.settings = settings
        features = [
            settings.channels * min(2**level, 8) for level in range(settings.num_layers + 1)
        ]
        is_spectral = settings.spectral_norm
        first = nn.Conv2d(settings.slices_seen, features[0], 3, padding=1)
        self.start = spectral_norm(first) if is_spectral else first
        self.down = nn.ModuleList(
            _ResidualBlock(finer, coarser, is_spectral)
            for finer, coarser in zip(features[:-1], features[1:], strict=True)
        )
        self.up = nn.ModuleList(
            _ResidualBlock(coarser + finer, finer, is_spectral)
            for coarser, finer in zip(features[:0:-1], features[-2::-1], strict=True)
        )
        self.logits = nn.Conv2d(features[0], num_outputs, 1)

    def forward(self, images: Tensor) -> Tensor:
        judged = with_neighbors(images * 2 - 1, self.settings.slices_seen)
        height, width = judged.shape[2:]
        stride = 2**self.settings.num_layers
        judged = functional.pad(judged, (0, -width % stride, 0, -height % stride))
        state = self.start(judged)
        skips = []
        for block in self.down:
            skips.append(state)
            state = functional.avg_pool2d(block(state), 2)
        for block in self.up:
            state = functional.interpolate(state, scale_factor=2, mode="nearest")
            state = block(torch.cat([state, skips.pop()], dim=1))
        return self.logits(functional.leaky_relu(state, LEAK))[:, :, :height, :width]
