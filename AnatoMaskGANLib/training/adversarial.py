"""One adversarial step: what is computed from a batch, in which order, for whom.

The generator makes every stack twice in one pass: without noise, held to the real image by L1, and
with noise, judged by discriminator and G-TC. So noise carries what the label map cannot tell, and
strength 0 stays the best deterministic estimate.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from AnatoMaskGANLib.networks.discriminators import MultiScaleDiscriminator
from AnatoMaskGANLib.networks.generator import Generator
from AnatoMaskGANLib.networks.gray_texture import (
    ClassRegions,
    GrayTextureClassifier,
    class_regions,
    gray_texture_statistics,
    soft_histogram,
)
from AnatoMaskGANLib.networks.noise import noise_field
from AnatoMaskGANLib.training import losses
from AnatoMaskGANLib.training.settings import LossSettings
from AnatoMaskGANLib.training.stacks import StackBatch


@dataclass
class Networks:
    """Everything that is trained."""

    generator: Generator
    discriminator: MultiScaleDiscriminator | None
    classifier: GrayTextureClassifier | None


@dataclass(frozen=True)
class Images:
    """What the generator made of a batch: [B,S,1,H,W] each."""

    deterministic: Tensor
    noisy: Tensor


def make_images(
    generator: Generator, batch: StackBatch, spacing_ijk_mm: tuple[float, float, float], halo: int
) -> Images:
    """Both images of every stack; they are the same tensor where the generator has no noise."""
    settings = generator.settings
    spacing_ji_mm = (spacing_ijk_mm[1], spacing_ijk_mm[0])
    if not settings.use_noise3d:
        image = generator(batch.labels, batch.positions_mm, spacing_ji_mm=spacing_ji_mm, halo=halo)
        return Images(image.float(), image.float())
    num_slices, height, width = batch.positions_mm.shape[1], *batch.labels.shape[2:]
    noise = torch.stack(
        [
            noise_field(
                seed,
                (0, 0, 0),
                (num_slices, height, width),
                spacing_ijk_mm[::-1],
                settings.noise_sigmas_mm,
                batch.labels.device,
            )
            for seed in batch.noise_seeds
        ]
    )
    cases = batch.labels.shape[0]
    strength = torch.tensor([0.0, 1.0], device=noise.device).repeat_interleave(cases)
    images = generator(
        batch.labels.repeat(2, 1, 1, 1),
        batch.positions_mm.repeat(2, 1),
        noise.repeat(2, 1, 1, 1, 1),
        strength,
        spacing_ji_mm,
        halo,
    ).float()
    return Images(*images.chunk(2))


def discriminator_loss(
    networks: Networks, images: Images, batch: StackBatch, halo: int
) -> dict[str, Tensor]:
    """Hinge losses of the discriminator and the gray-texture classifier on detached images."""
    made = _made_labels(batch, halo)
    terms = {}
    if networks.discriminator is not None:
        # One pass for both: real and synthetic stacks side by side.
        pair = torch.cat([batch.images, images.noisy.detach()])
        scales = networks.discriminator(pair, made.repeat(2, 1, 1, 1))
        total = pair.new_zeros(())
        for features in scales:
            real, fake = features[-1].float().chunk(2)
            total = total + losses.hinge_discriminator(real, fake)
        terms["discriminator"] = total / len(scales)
    if networks.classifier is not None:
        regions = class_regions(made.flatten(0, 1), networks.generator.settings.num_classes)
        real = _class_logits(networks.classifier, batch.images, regions)
        fake = _class_logits(networks.classifier, images.noisy.detach(), regions)
        present = regions.is_present
        if present.any():
            terms["classifier"] = losses.hinge_discriminator(real[present], fake[present])
    return terms


def generator_loss(
    networks: Networks,
    images: Images,
    batch: StackBatch,
    halo: int,
    weights: LossSettings,
    is_adversarial: bool,
) -> dict[str, Tensor]:
    """Weighted terms of Eq. 5 and ours; their sum is the generator's loss."""
    made = _made_labels(batch, halo)
    terms = {
        "reconstruction": weights.reconstruction
        * functional.l1_loss(images.deterministic, batch.images)
    }
    if weights.squared_error:
        terms["squared_error"] = weights.squared_error * functional.mse_loss(
            images.deterministic, batch.images
        )
    if images.noisy is not images.deterministic:
        terms["noisy_reconstruction"] = weights.noisy_reconstruction * functional.l1_loss(
            images.noisy, batch.images
        )
    if weights.gray_texture or networks.classifier is not None:
        regions = class_regions(made.flatten(0, 1), networks.generator.settings.num_classes)
        fake = images.noisy.flatten(0, 2)
        statistics = gray_texture_statistics(fake, regions)
    if weights.gray_texture:
        with torch.no_grad():
            real_statistics = gray_texture_statistics(batch.images.flatten(0, 2), regions)
        terms["gray_texture"] = weights.gray_texture * losses.gray_texture(
            real_statistics, statistics, regions.is_present
        )
    if is_adversarial and networks.classifier is not None and regions.is_present.any():
        with _frozen(networks.classifier):
            logits = networks.classifier(statistics, soft_histogram(fake, regions))
        terms["gray_texture_adversarial"] = (
            weights.gray_texture_adversarial * losses.hinge_generator(logits[regions.is_present])
        )
    if is_adversarial and networks.discriminator is not None:
        with _frozen(networks.discriminator):
            fake_scales = networks.discriminator(images.noisy, made)
        with torch.no_grad():
            real_scales = networks.discriminator(batch.images, made)
        total = fake.new_zeros(())
        for features in fake_scales:
            total = total + losses.hinge_generator(features[-1].float())
        terms["adversarial"] = weights.adversarial * total / len(fake_scales)
        terms["feature_matching"] = weights.feature_matching * losses.feature_matching(
            real_scales, fake_scales
        )
    return terms


def _class_logits(
    classifier: GrayTextureClassifier, images: Tensor, regions: ClassRegions
) -> Tensor:
    flat = images.flatten(0, 2)
    return classifier(gray_texture_statistics(flat, regions), soft_histogram(flat, regions))


def _made_labels(batch: StackBatch, halo: int) -> Tensor:
    return batch.labels[:, halo : batch.labels.shape[1] - halo]


@contextlib.contextmanager
def _frozen(network: nn.Module):
    """Lets gradients pass through a network without collecting them for its weights."""
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in network.parameters():
            parameter.requires_grad_(True)
