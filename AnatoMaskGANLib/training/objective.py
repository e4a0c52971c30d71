"""The objectives of training: what is computed from a batch, in which order, and for whom.

`SynthesisObjective` makes images. The generator makes every stack twice in one pass: without noise,
held to the real image, and with noise, judged by the discriminator and G-TC. So noise carries what
the labels cannot tell, and strength 0 stays the best deterministic estimate.
`SegmentationObjective` reads label maps from images.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn

from AnatoMaskGANLib.networks.discriminators.patch import MultiScaleDiscriminator
from AnatoMaskGANLib.training import losses
from AnatoMaskGANLib.training.condition_map import condition_map, condition_swaps
from AnatoMaskGANLib.training.discriminator_losses import (
    LabeledImages,
    confidence,
    losses_for_discriminator,
    losses_for_generator,
)
from AnatoMaskGANLib.training.forward_passes import Images, deterministic_image, make_images
from AnatoMaskGANLib.training.gray_texture_losses import (
    classifier_loss,
    convincing_loss,
    texture_distance,
)
from AnatoMaskGANLib.training.perceptual import load_perceptual
from AnatoMaskGANLib.training.run_networks import Networks
from AnatoMaskGANLib.training.settings import TrainingSettings
from AnatoMaskGANLib.training.stacks import StackBatch
from AnatoMaskGANLib.volumes.case_store import CaseStore

Forward = TypeVar("Forward")
"""A batch with what the generator made of it."""


class Objective(Protocol[Forward]):
    """What the trainer needs from an objective; all losses are weighted, ready to be summed."""

    halo: int
    """Slices of context on either side of a stack that the generator sees."""

    def forward(self, batch: StackBatch) -> Forward:
        """The batch with what the generator makes of it."""

    def discriminator_losses(self, result: Forward, step: int) -> dict[str, Tensor]:
        """The losses of the discriminators by name; empty if none learns at this step."""

    def generator_losses(self, result: Forward, step: int) -> dict[str, Tensor]:
        """The losses of the generator by name."""


@dataclass(frozen=True)
class SynthesizedBatch:
    """A batch with the images that the generator made of it."""

    batch: StackBatch
    condition: Tensor
    """[B,S+2*halo,H,W]"""
    inner: Tensor
    """[B,S,H,W] condition of the slices that are made."""
    labels: Tensor
    """[B,S,H,W] labels of the slices that are made."""
    images: Images


class SynthesisObjective:
    """Makes images from labels (or superpixels) and computes their losses."""

    def __init__(
        self,
        settings: TrainingSettings,
        store: CaseStore,
        networks: Networks,
        device: torch.device,
    ) -> None:
        self.settings = settings
        self.networks = networks
        self.generator = networks.image_generator
        self.halo = self.generator.settings.context_radius
        self._num_condition_classes = self.generator.settings.num_classes
        self.num_classes = store.num_classes
        self._spacing_ijk_mm = store.spacing_ijk_mm
        self._swaps = condition_swaps(settings.data.guidance, store.swaps, store.num_classes).to(
            device
        )
        self._perceptual = load_perceptual(settings.losses, device)
        if not settings.use_gray_texture:
            self._weights = replace(settings.losses, gray_texture=0.0)
        else:
            self._weights = settings.losses

    def forward(self, batch: StackBatch) -> SynthesizedBatch:
        """The images of a batch, with the condition that they were made from."""
        condition = condition_map(
            self.settings.data.guidance, batch.labels, batch.guidance, self.num_classes
        )
        images = make_images(
            self.generator,
            condition,
            batch.positions_mm,
            batch.noise_seeds,
            self._spacing_ijk_mm,
            self.halo,
            self.settings.label_dictionary,
        )
        end = condition.shape[1] - self.halo
        inner, labels = condition[:, self.halo : end], batch.labels[:, self.halo : end]
        return SynthesizedBatch(batch, condition, inner, labels, images)

    def discriminator_losses(self, result: SynthesizedBatch, step: int) -> dict[str, Tensor]:
        """Losses of discriminator, gray-texture classifier and label reader on detached images."""
        networks, weights = self.networks, self._weights
        if step < self.settings.optimizer.adversarial_start:
            return {}
        terms: dict[str, Tensor] = {}
        real = self._real(result)
        if networks.discriminator is not None and real is not None:
            is_penalized = weights.r1 > 0 and step % weights.r1_every == 0
            terms |= losses_for_discriminator(
                networks.discriminator,
                real,
                self._fake(result).detached(),
                result.batch.noise_seeds,
                weights,
                is_penalized,
            )
        if networks.classifier is not None:
            terms["classifier"] = classifier_loss(
                networks.classifier,
                result.batch.images,
                result.images.noisy.detach(),
                result.inner,
                self._num_condition_classes,
            )
        if networks.label_reader is not None:
            logits = networks.label_reader(result.images.noisy.detach())
            terms["label_reader"] = self._reading_loss(logits, result.labels)
        return terms

    def generator_losses(self, result: SynthesizedBatch, step: int) -> dict[str, Tensor]:
        """The weighted losses of Eq. 5 and ours; their sum is what the generator pays."""
        terms: dict[str, Tensor] = {}
        if result.batch.is_paired:
            terms |= self._reconstruction_losses(result)
        terms |= self._shape_losses(result)
        is_adversarial = step >= self.settings.optimizer.adversarial_start
        terms |= self._gray_texture_losses(result, is_adversarial)
        networks = self.networks
        if is_adversarial and networks.discriminator is not None:
            with frozen(networks.discriminator):
                real = self._real(result) if result.batch.is_paired else None
                # Only stacks with labels have a real pair to match features with.
                fake: LabeledImages | None = self._fake(result)
                if fake is not None and result.images.label_logits is not None:
                    fake = fake.of(result.batch.has_labels)
                if fake is not None:
                    terms |= losses_for_generator(networks.discriminator, real, fake, self._weights)
        if is_adversarial and networks.label_reader is not None:
            with frozen(networks.label_reader):
                logits = networks.label_reader(result.images.noisy)
            keeping = self._reading_loss(logits, result.labels)
            terms["label_keeping"] = self._weights.label_keeping * keeping
        if result.images.label_logits is not None:
            terms |= self._label_losses(result, result.images.label_logits, is_adversarial)
        return terms

    def _real(self, result: SynthesizedBatch) -> LabeledImages | None:
        """Real images with their classes; with two heads, of the stacks that have labels."""
        if result.images.label_logits is None:
            return LabeledImages(result.batch.images, result.inner)
        return LabeledImages(result.batch.images, result.labels).of(result.batch.has_labels)

    def _fake(self, result: SynthesizedBatch) -> LabeledImages:
        """Synthetic images with their condition; with two heads, with the labels made for them."""
        logits = result.images.label_logits
        classes = result.inner if logits is None else logits.softmax(2)
        return LabeledImages(result.images.noisy, classes)

    def _reconstruction_losses(self, result: SynthesizedBatch) -> dict[str, Tensor]:
        weights, images, real = self._weights, result.images, result.batch.images
        kind = weights.reconstruction_kind
        pixels = losses.mask_weights(result.inner) if kind == "weighted_l1" else None
        terms = {}
        if weights.reconstruction:
            distance = losses.distance(kind, images.deterministic, real, pixels)
            terms["reconstruction"] = weights.reconstruction * distance
        if weights.squared_error:
            distance = losses.distance("l2", images.deterministic, real)
            terms["squared_error"] = weights.squared_error * distance
        if weights.noisy_reconstruction and images.noisy is not images.deterministic:
            distance = losses.distance(kind, images.noisy, real, pixels)
            terms["noisy_reconstruction"] = weights.noisy_reconstruction * distance
        if self._perceptual is not None:
            distance = self._perceptual(images.noisy.flatten(0, 1), real.flatten(0, 1))
            terms["perceptual"] = weights.perceptual * distance
        return terms

    def _shape_losses(self, result: SynthesizedBatch) -> dict[str, Tensor]:
        weights = self._weights
        terms = {}
        if weights.body_mask:
            mask = losses.body_mask(result.images.noisy, result.inner, weights.body_threshold)
            terms["body_mask"] = weights.body_mask * mask
        if weights.flip_consistency:
            flipped = deterministic_image(
                self.generator,
                self._swaps[result.condition.flip(-1)],
                result.batch.positions_mm,
                self._spacing_ijk_mm,
                self.halo,
            )
            distance = losses.distance("l1", flipped, result.images.deterministic.flip(-1))
            terms["flip_consistency"] = weights.flip_consistency * distance
        return terms

    def _gray_texture_losses(
        self, result: SynthesizedBatch, is_adversarial: bool
    ) -> dict[str, Tensor]:
        weights, classifier = self._weights, self.networks.classifier
        if not result.batch.is_paired:
            return {}
        fake, num_classes = result.images.noisy, self._num_condition_classes
        terms = {}
        if weights.gray_texture:
            distance = texture_distance(result.batch.images, fake, result.inner, num_classes)
            terms["gray_texture"] = weights.gray_texture * distance
        if is_adversarial and classifier is not None:
            with frozen(classifier):
                loss = convincing_loss(classifier, fake, result.inner, num_classes)
            terms["gray_texture_adversarial"] = weights.gray_texture_adversarial * loss
        return terms

    def _reading_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Class-balanced cross-entropy of a label reader's logits [N,C,H,W]."""
        logits = logits.float().unflatten(0, labels.shape[:2])
        pixels = losses.pixel_weights(losses.class_weights(labels, self.num_classes), labels)
        return losses.balanced_cross_entropy(logits, labels, pixels)

    def _label_losses(
        self, result: SynthesizedBatch, logits: Tensor, is_adversarial: bool
    ) -> dict[str, Tensor]:
        """Losses of the second head: against true labels, else against pseudo labels (SemiCS2)."""
        weights, has = self._weights, result.batch.has_labels
        terms = {}
        if has.any():
            own, labels = logits[has], result.labels[has]
            entropy = losses.balanced_cross_entropy(own, labels, torch.ones_like(labels).float())
            terms["labels"] = weights.labels * (entropy + losses.soft_dice(own, labels))
        discriminator = self.networks.discriminator
        if (
            weights.pseudo_labels
            and is_adversarial
            and isinstance(discriminator, MultiScaleDiscriminator)
            and not has.all()
        ):
            own = logits[~has]
            pair = LabeledImages(result.batch.images[~has], own.detach().softmax(2))
            with torch.no_grad():
                trust = confidence(discriminator, pair)
            entropy = losses.balanced_cross_entropy(own, own.detach().argmax(2), trust)
            terms["pseudo_labels"] = weights.pseudo_labels * entropy
        return terms


@contextlib.contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Lets gradients pass through a network without collecting them for its weights."""
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in network.parameters():
            parameter.requires_grad_(True)


@dataclass(frozen=True)
class SegmentedBatch:
    """A batch with the label logits [B,S,C,H,W] of its images."""

    batch: StackBatch
    logits: Tensor


class SegmentationObjective:
    """Reads label logits from real images; nothing judges them but the labels."""

    halo = 0

    def __init__(self, settings: TrainingSettings, networks: Networks) -> None:
        self.settings = settings
        self.segmenter = networks.segmenter

    def forward(self, batch: StackBatch) -> SegmentedBatch:
        """The label logits of the images of a batch."""
        return SegmentedBatch(batch, self.segmenter(batch.images).float())

    def discriminator_losses(self, result: SegmentedBatch, step: int) -> dict[str, Tensor]:
        """Always empty: a segmenter has no discriminator."""
        return {}

    def generator_losses(self, result: SegmentedBatch, step: int) -> dict[str, Tensor]:
        """Weighted cross-entropy and Dice."""
        labels = result.batch.labels
        entropy = losses.balanced_cross_entropy(
            result.logits, labels, torch.ones_like(labels).float()
        )
        weight = self.settings.losses.labels
        return {
            "cross_entropy": weight * entropy,
            "dice_loss": weight * losses.soft_dice(result.logits, labels),
        }
