"""Discriminators: the paper's multi-scale structural PatchGAN."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from AnatoMaskGANLib.config import DiscriminatorSettings
from AnatoMaskGANLib.networks.spade import LEAK


class PatchDiscriminator(nn.Module):
    """One scale: strided 4x4 convolutions with spectral and instance norm, one logit a patch."""

    def __init__(self, num_inputs: int, settings: DiscriminatorSettings) -> None:
        super().__init__()
        layers = [spectral_norm(nn.Conv2d(num_inputs, settings.channels, 4, stride=2, padding=2))]
        blocks = [nn.Sequential(*layers, nn.LeakyReLU(LEAK))]
        features = settings.channels
        for number in range(1, settings.num_layers):
            wider = min(features * 2, settings.channels * 8)
            stride = 1 if number == settings.num_layers - 1 else 2
            convolution = spectral_norm(
                nn.Conv2d(features, wider, 4, stride=stride, padding=2, bias=False)
            )
            blocks.append(nn.Sequential(convolution, nn.InstanceNorm2d(wider), nn.LeakyReLU(LEAK)))
            features = wider
        self.blocks = nn.ModuleList(blocks)
        self.logits = nn.Conv2d(features, 1, 4, padding=2)

    def forward(self, judged: Tensor) -> list[Tensor]:
        """Features of every block, then the logits [N,1,h,w]."""
        outputs = []
        for block in self.blocks:
            judged = block(judged)
            outputs.append(judged)
        return [*outputs, self.logits(judged)]


class MultiScaleDiscriminator(nn.Module):
    """Judges slices together with their neighbors and labels at several scales."""

    def __init__(self, settings: DiscriminatorSettings, num_classes: int) -> None:
        super().__init__()
        self.settings = settings
        self.label_embedding = (
            nn.Embedding(num_classes, settings.label_features) if settings.label_features else None
        )
        num_inputs = settings.slices_seen + settings.label_features
        self.scales = nn.ModuleList(
            PatchDiscriminator(num_inputs, settings) for _ in range(settings.num_scales)
        )

    def forward(self, images: Tensor, labels: Tensor) -> list[list[Tensor]]:
        """For every scale the features of its blocks and its logits.

        images: [B,S,1,H,W] in [0,1]; labels: [B,S,H,W]. Slices beyond the stack repeat the last
        one.
        """
        judged = self._with_neighbors(images * 2 - 1)
        if self.label_embedding is not None:
            embedded = self.label_embedding(labels.flatten(0, 1)).permute(0, 3, 1, 2)
            judged = torch.cat([judged, embedded.to(judged.dtype)], dim=1)
        outputs = []
        for number, scale in enumerate(self.scales):
            if number > 0:
                judged = functional.avg_pool2d(judged, 3, 2, 1, count_include_pad=False)
            outputs.append(scale(judged))
        return outputs

    def _with_neighbors(self, images: Tensor) -> Tensor:
        radius = self.settings.slices_seen // 2
        num_slices = images.shape[1]
        number = torch.arange(num_slices, device=images.device)
        seen = [
            images[:, (number + offset).clamp(0, num_slices - 1)]
            for offset in range(-radius, radius + 1)
        ]
        return torch.cat(seen, dim=2).flatten(0, 1)
