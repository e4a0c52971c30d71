"""A discriminator that sees Haar sub-bands at every level (after SWAGAN, Gal 2021); it judges the
image alone, so it can learn from images that fit no label map.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from AnatoMaskGANLib.config import DiscriminatorSettings
from AnatoMaskGANLib.networks.discriminators.patch import with_neighbors
from AnatoMaskGANLib.networks.spade import LEAK

_GROUP = 4  # the minibatch standard deviation is taken over so many slices


def haar_bands(images: Tensor) -> Tensor:
    """[N,F,H,W] -> [N,4F,H/2,W/2]: mean, row, column and diagonal differences of 2x2 pixels.

    Orthonormal: the sum of squares is kept.
    """
    a, b = images[:, :, 0::2, 0::2], images[:, :, 0::2, 1::2]
    c, d = images[:, :, 1::2, 0::2], images[:, :, 1::2, 1::2]
    return torch.cat([a + b + c + d, a + b - c - d, a - b + c - d, a - b - c + d], dim=1) / 2


def minibatch_standard_deviation(features: Tensor) -> Tensor:
    """[N,F,h,w] -> [N,F+1,h,w]: one more channel, how much slices of a group differ (Karras)."""
    num = features.shape[0]
    groups = features.split(_GROUP)
    spread = [
        ((group - group.mean(0)).square().mean(0) + 1e-8).sqrt().mean().expand(group.shape[0])
        for group in groups
    ]
    channel = torch.cat(spread).view(num, 1, 1, 1).expand(-1, 1, *features.shape[2:])
    return torch.cat([features, channel], dim=1)


class WaveletDiscriminator(nn.Module):
    """[B,S,1,H,W] images in [0,1] -> one logit a slice [N,1].

    At every level the sub-bands of the image enter by a 1x1 convolution and are added to what comes
    from the finer level (skip).
    """

    def __init__(self, settings: DiscriminatorSettings) -> None:
        super().__init__()
        self.settings = settings
        features = [
            settings.channels * min(2**level, 8) for level in range(settings.num_layers + 1)
        ]
        self.from_bands = nn.ModuleList(
            nn.Conv2d(4 * settings.slices_seen, width, 1) for width in features[:-1]
        )
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(finer, finer, 3, padding=1),
                nn.LeakyReLU(LEAK),
                nn.Conv2d(finer, coarser, 3, stride=2, padding=1),
                nn.LeakyReLU(LEAK),
            )
            for finer, coarser in zip(features[:-1], features[1:], strict=True)
        )
        self.last = nn.Sequential(
            nn.Conv2d(features[-1] + 1, features[-1], 3, padding=1), nn.LeakyReLU(LEAK)
        )
        self.logit = nn.Linear(features[-1], 1)
        if settings.spectral_norm:
            for module in list(self.modules()):
                if isinstance(module, nn.Conv2d):
                    spectral_norm(module)

    def forward(self, images: Tensor) -> Tensor:
        judged = with_neighbors(images * 2 - 1, self.settings.slices_seen)
        height, width = judged.shape[2:]
        stride = 2 ** (self.settings.num_layers + 1)
        judged = functional.pad(judged, (0, -width % stride, 0, -height % stride), value=-1.0)
        entering = []  # one tensor for every level, finest first
        for from_bands in self.from_bands:
            bands = haar_bands(judged)
            entering.append(functional.leaky_relu(from_bands(bands), LEAK))
            judged = bands[:, : judged.shape[1]] / 2  # the mean of 2x2 pixels
        state = self.blocks[0](entering[0])
        for block, bands in zip(self.blocks[1:], entering[1:], strict=True):
            state = block(state + bands)
        state = self.last(minibatch_standard_deviation(state))
        return self.logit(state.mean((2, 3)))
