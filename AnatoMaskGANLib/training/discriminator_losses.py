"""The losses of each kind of discriminator, and the generator's losses against it.

`fake` is detached where the discriminator learns. Letters: B cases, S slices, C classes, H rows
(J), W columns (I).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from AnatoMaskGANLib.networks.discriminators.patch import MultiScaleDiscriminator
from AnatoMaskGANLib.networks.discriminators.segmentation import SegmentationUNet
from AnatoMaskGANLib.training import losses
from AnatoMaskGANLib.training.run_networks import Discriminator
from AnatoMaskGANLib.training.settings import LossSettings


@dataclass(frozen=True)
class LabeledImages:
    """Real or synthetic images with the classes that they fit."""

    images: Tensor
    """[B,S,1,H,W] in [0,1]."""
    classes: Tensor
    """[B,S,H,W] integers, or their probabilities [B,S,C,H,W]."""

    def detached(self) -> LabeledImages:
        """The same without gradients."""
        return LabeledImages(self.images.detach(), self.classes.detach())

    def of(self, chosen: Tensor) -> LabeledImages | None:
        """The stacks that a mask [B] chooses; None if it chooses none."""
        if not chosen.any():
            return None
        return LabeledImages(self.images[chosen], self.classes[chosen])


def losses_for_discriminator(
    discriminator: Discriminator,
    real: LabeledImages,
    fake: LabeledImages,
    seeds: tuple[int, ...],
    weights: LossSettings,
    is_penalized: bool,
) -> dict[str, Tensor]:
    """The losses of the discriminator by name.

    seeds: one per case, for what is drawn at random. is_penalized: whether this is a step with the
    R1 penalty.
    """
    if isinstance(discriminator, SegmentationUNet):
        return _segmentation_losses(discriminator, real, fake, seeds, weights)
    kind = weights.adversarial_kind
    if isinstance(discriminator, MultiScaleDiscriminator):
        pairs = _patch_logits(discriminator, real, fake)
        loss = losses.total(losses.discriminator(kind, *pair) for pair in pairs) / len(pairs)
    else:
        logits = discriminator(torch.cat([real.images, fake.images])).float()
        count = real.images.shape[0] * real.images.shape[1]
        loss = losses.discriminator(kind, logits[:count], logits[count:])
    terms = {"discriminator": loss}
    if is_penalized:
        terms["r1"] = 0.5 * weights.r1 * weights.r1_every * _penalty(discriminator, real)
    return terms


def losses_for_generator(
    discriminator: Discriminator,
    real: LabeledImages | None,
    fake: LabeledImages,
    weights: LossSettings,
) -> dict[str, Tensor]:
    """Weighted adversarial and feature matching losses of the generator, by name.

    real: images of the same anatomy, whose features are matched; None if there are none.
    """
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
    total = losses.total(losses.generator(kind, features[-1].float()) for features in scales)
    terms = {"adversarial": weights.adversarial * total / len(scales)}
    if weights.feature_matching and real is not None:
        with torch.no_grad():
            real_scales = discriminator(real.images, real.classes)
        matching = losses.feature_matching(real_scales, scales)
        terms["feature_matching"] = weights.feature_matching * matching
    return terms


def confidence(discriminator: MultiScaleDiscriminator, pair: LabeledImages) -> Tensor:
    """[B,S,H,W] in [0,1]: how much the finest scale takes each pixel for that of a real pair."""
    logits = discriminator(pair.images, pair.classes)[0][-1].float()
    size = pair.images.shape[3:]
    confidences = torch.nn.functional.interpolate(
        torch.sigmoid(logits), size, mode="bilinear", align_corners=False
    )
    return confidences.unflatten(0, pair.images.shape[:2])[:, :, 0]


def _patch_logits(
    discriminator: MultiScaleDiscriminator, real: LabeledImages, fake: LabeledImages
) -> list[tuple[Tensor, Tensor]]:
    """Real and synthetic logits of every scale; from one pass if both have classes of one kind."""
    if real.classes.dim() == fake.classes.dim():
        images = torch.cat([real.images, fake.images])
        scales = discriminator(images, torch.cat([real.classes, fake.classes]))
        count = real.images.shape[0] * real.images.shape[1]
        return [(f[-1].float()[:count], f[-1].float()[count:]) for f in scales]
    both = (discriminator(pair.images, pair.classes) for pair in (real, fake))
    return [(r[-1].float(), f[-1].float()) for r, f in zip(*both, strict=True)]


def _penalty(discriminator: Discriminator, real: LabeledImages) -> Tensor:
    """The R1 penalty, without its factor."""
    images = real.images.detach().requires_grad_(True)
    if not isinstance(discriminator, MultiScaleDiscriminator):
        return losses.gradient_penalty(images, discriminator(images).float())
    scales = discriminator(images, real.classes)
    total = losses.total(features[-1].float().mean((1, 2, 3)) for features in scales)
    return losses.gradient_penalty(images, total / len(scales))


def _segmentation_losses(
    discriminator: SegmentationUNet,
    real: LabeledImages,
    fake: LabeledImages,
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
