"""Discriminators: the paper's multi-scale structural PatchGAN."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from AnatoMaskGANLib.config import DiscriminatorSettings
from AnatoMaskGANLib.networks.normalization import normalization
from AnatoMaskGANLib.networks.spade import LEAK


class PatchDiscriminator(nn.Module):
    """One scale: strided 4x4 convolutions, by default with spectral and instance norm, one logit a
    patch.
    """

    def __init__(self, num_inputs: int, settings: DiscriminatorSettings) -> None:
        super().__init__()
        normed = spectral_norm if settings.spectral_norm else _unchanged
        layers = [normed(nn.Conv2d(num_inputs, settings.channels, 4, stride=2, padding=2))]
        blocks = [nn.Sequential(*layers, nn.LeakyReLU(LEAK))]
        features = settings.channels
        for number in range(1, settings.depth):
            wider = min(features * 2, settings.channels * 8)
            stride = 1 if number == settings.depth - 1 else 2
            has_bias = settings.norm == "none"
            convolution = normed(
                nn.Conv2d(features, wider, 4, stride=stride, padding=2, bias=has_bias)
            )
            norm = _normalization(settings.norm, wider)
            blocks.append(nn.Sequential(convolution, norm, nn.LeakyReLU(LEAK)))
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


def _unchanged(layer: nn.Module) -> nn.Module:
    return layer


def _normalization(kind: str, num_features: int) -> nn.Module:
    return nn.Identity() if kind == "none" else normalization(kind, num_features)


class MultiScaleDiscriminator(nn.Module):
    """Judges slices together with their neighbors and labels at several scales."""

    def __init__(self, settings: DiscriminatorSettings, num_classes: int) -> None:
        super().__init__()
        self.settings = settings
        self.label_embedding = (
            nn.Embedding(num_classes, settings.condition_features)
            if settings.condition_features
            else None
        )
        if self.label_embedding is not None:
            # Small compared with the image; otherwise the labels would hide its texture.
            nn.init.normal_(self.label_embedding.weight, std=0.1)
        num_images = 2 if settings.detail_gain else 1
        num_inputs = num_images * settings.slices_seen + settings.condition_features
        self.scales = nn.ModuleList(
            PatchDiscriminator(num_inputs, settings) for _ in range(settings.num_scales)
        )

    def forward(self, images: Tensor, labels: Tensor) -> list[list[Tensor]]:
        """Returns the features of the blocks and the logits, for every scale.

        images: [B,S,1,H,W] in [0,1]; labels: [B,S,H,W] class indices, or [B,S,C,H,W] fractions of
        the classes, through which gradients flow. Slices beyond the stack repeat the last one.
        """
        judged = with_neighbors(images * 2 - 1, self.settings.slices_seen)
        if self.settings.detail_gain:
            detail = self.settings.detail_gain * _detail(images)
            judged = torch.cat([judged, with_neighbors(detail, self.settings.slices_seen)], dim=1)
        if self.label_embedding is not None:
            embedded = _embedded(self.label_embedding, labels.flatten(0, 1))
            judged = torch.cat([judged, embedded.to(judged.dtype)], dim=1)
        outputs = []
        for number, scale in enumerate(self.scales):
            if number > 0:
                judged = functional.avg_pool2d(judged, 3, 2, 1, count_include_pad=False)
            outputs.append(scale(judged))
        return outputs


def _embedded(embedding: nn.Embedding, labels: Tensor) -> Tensor:
    """[N,F,H,W] of class indices [N,H,W], or of fractions of the classes [N,C,H,W]."""
    if labels.dim() == 3:
        return embedding(labels).permute(0, 3, 1, 2)
    return torch.einsum("nchw,cf->nfhw", labels, embedding.weight)


def _detail(images: Tensor) -> Tensor:
    """[B,S,1,H,W] images minus their 5x5 mean: texture without its surroundings."""
    blurred = functional.avg_pool2d(images.flatten(0, 1), 5, 1, 2, count_include_pad=False)
    return images - blurred.unflatten(0, images.shape[:2])


def with_neighbors(images: Tensor, slices_seen: int) -> Tensor:
    """[B,S,1,H,W] -> [N,slices_seen,H,W]: every slice with its neighbors as channels."""
    radius = slices_seen // 2
    num_slices = images.shape[1]
    number = torch.arange(num_slices, device=images.device)
    seen = [
        images[:, (number + offset).clamp(0, num_slices - 1)]
        for offset in range(-radius, radius + 1)
    ]
    return torch.cat(seen, dim=2).flatten(0, 1)
