"""What each kind of discriminator pays, and what the generator pays to it.

`real` and `fake` are `Judged` stacks; `fake` is detached where the discriminator learns.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from AnatoMaskGANLib.networks.discriminators.patch import MultiScaleDiscriminator
from AnatoMaskGANLib.networks.discriminators.segmentation import SegmentationUNet
from AnatoMaskGANLib.training import losses
from AnatoMaskGANLib.training.loss_settings import LossSettings
from AnatoMaskGANLib.training.run_networks import Discriminator


@dataclass(frozen=True)
class Judged:
    """Images [B,S,1,H,W] with the classes [B,S,H,W] (or their shares [B,S,C,H,W]) they fit."""

    images: Tensor
    classes: Tensor


def discriminator_terms(
    discriminator: Discriminator,
    real: Judged,
    fake: Judged,
    seeds: tuple[int, ...],
    weights: LossSettings,
    is_penalized: bool,
) -> dict[str, Tensor]:
    """Losses of the discriminator. seeds: one a case, for what is drawn at random."""
    if isinstance(discriminator, SegmentationUNet):
        return _segmentation_terms(discriminator, real, fake, seeds, weights)
    kind = weights.adversarial_kind
    if isinstance(discriminator, MultiScaleDiscriminator):
        pairs = _patch_logits(discriminator, real, fake)
        total = sum(losses.discriminator(kind, *pair) for pair in pairs) / len(pairs)
    else:
        logits = discriminator(torch.cat([real.images, fake.images])).float()
        count = real.images.shape[0] * real.images.shape[1]
        total = losses.discriminator(kind, logits[:count], logits[count:])
    terms = {"discriminator": total}
    if is_penalized:
        terms["r1"] = 0.5 * weights.r1 * weights.r1_every * _penalty(discriminator, real)
    return terms


def generator_terms(
    discriminator: Discriminator, real: Judged | None, fake: Judged, weights: LossSettings
) -> dict[str, Tensor]:
    """Weighted adversarial and feature matching losses; real is None where nothing fits fake."""
    if isinstance(discriminator, SegmentationUNet):
        logits = discriminator(fake.images).float().unflatten(0, fake.classes.shape[:2])
        balance = losses.class_weights(fake.classes, logits.shape[2])
        pixels = losses.pixel_weights(balance, fake.classes)
        entropy = losses.balanced_cross_entropy(logits, fake.classes, pixels)
        return {"adversarial": weights.adversarial * entropy}
    kind = weights.adversarial_kind
    if not isinstance(discriminator, MultiScaleDiscriminator):
        logits = discriminator(fake.images).float()
        return {"adversarial": weights.adversarial * losses.generator(kind, logits)}
    scales = discriminator(fake.images, fake.classes)
    total = sum(losses.generator(kind, features[-1].float()) for features in scales)
    terms = {"adversarial": weights.adversarial * total / len(scales)}
    if weights.feature_matching and real is not None:
        with torch.no_grad():
            real_scales = discriminator(real.images, real.classes)
        matching = losses.feature_matching(real_scales, scales)
        terms["feature_matching"] = weights.feature_matching * matching
    return terms


def confidence(discriminator: MultiScaleDiscriminator, judged: Judged) -> Tensor:
    """[B,S,H,W] in [0,1]: how much the finest scale takes each place for a real pair."""
    logits = discriminator(judged.images, judged.classes)[0][-1].float()
    size = judged.images.shape[3:]
    shares = torch.nn.functional.interpolate(
        torch.sigmoid(logits), size, mode="bilinear", align_corners=False
    )
    return shares.unflatten(0, judged.images.shape[:2])[:, :, 0]


def _patch_logits(
    discriminator: MultiScaleDiscriminator, real: Judged, fake: Judged
) -> list[tuple[Tensor, Tensor]]:
    """Real and synthetic logits of every scale, from one pass where both have classes of a kind."""
    if real.classes.dim() == fake.classes.dim():
        images = torch.cat([real.images, fake.images])
        scales = discriminator(images, torch.cat([real.classes, fake.classes]))
        count = real.images.shape[0] * real.images.shape[1]
        return [(f[-1].float()[:count], f[-1].float()[count:]) for f in scales]
    both = (discriminator(judged.images, judged.classes) for judged in (real, fake))
    return [(r[-1].float(), f[-1].float()) for r, f in zip(*both, strict=True)]


def _penalty(discriminator: Discriminator, real: Judged) -> Tensor:
    images = real.images.detach().requires_grad_(True)
    if not isinstance(discriminator, MultiScaleDiscriminator):
        return losses.gradient_penalty(images, discriminator(images).float())
    scales = discriminator(images, real.classes)
    logits = sum(features[-1].float().mean((1, 2, 3)) for features in scales) / len(scales)
    return losses.gradient_penalty(images, logits)


def _segmentation_terms(
    discriminator: SegmentationUNet,
    real: Judged,
    fake: Judged,
    seeds: tuple[int, ...],
    weights: LossSettings,
) -> dict[str, Tensor]:
    """Real pixels belong to their class, synthetic ones to the last; mixed images are consistent.

    A mixed image takes whole classes from the real or the synthetic image, so that its seams run
    along the labels (OASIS, LabelMix).
    """
    shape = real.classes.shape[:2]
    num_classes = discriminator.logits.out_channels - 1
    takes_real = _mixing_mask(real.classes, num_classes, seeds)
    mixed = torch.where(takes_real[:, :, None], real.images, fake.images)
    logits = discriminator(torch.cat([real.images, fake.images, mixed])).float()
    of_real, of_fake, of_mixed = (part.unflatten(0, shape) for part in logits.chunk(3))
    balance = losses.class_weights(real.classes, logits.shape[1])
    pixels = losses.pixel_weights(balance, real.classes)
    synthetic = torch.full_like(real.classes, num_classes)
    entropy = losses.balanced_cross_entropy(of_real, real.classes, pixels)
    entropy = entropy + losses.balanced_cross_entropy(of_fake, synthetic, torch.ones_like(pixels))
    mixed_logits = torch.where(takes_real[:, :, None], of_real, of_fake)
    terms = {"discriminator": entropy}
    if weights.label_mix:
        consistency = (of_mixed - mixed_logits).square().mean()
        terms["label_mix"] = weights.label_mix * consistency
    return terms


def _mixing_mask(labels: Tensor, num_classes: int, seeds: tuple[int, ...]) -> Tensor:
    """[B,S,H,W] true where the real image is taken: half of the classes, drawn for each case."""
    draws = [
        torch.rand(num_classes, generator=torch.Generator().manual_seed(seed)) < 0.5
        for seed in seeds
    ]
    taken = torch.stack(draws).to(labels.device)
    return taken.gather(1, labels.flatten(1)).view(labels.shape)
