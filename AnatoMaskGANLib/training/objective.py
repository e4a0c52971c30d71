"""The objective of image synthesis: what is computed from a batch, in which order, for whom.

The generator makes every stack twice in one pass: without noise, held to the real image, and with
noise, judged by discriminator and G-TC. So noise carries what the labels cannot tell, and strength
0 stays the best deterministic estimate.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from AnatoMaskGANLib.networks.gray_texture import (
    ClassRegions,
    GrayTextureClassifier,
    class_regions,
    gray_texture_statistics,
    soft_histogram,
)
from AnatoMaskGANLib.training import losses
from AnatoMaskGANLib.training.condition_map import condition_map, condition_swaps
from AnatoMaskGANLib.training.discriminator_losses import (
    Judged,
    confidence,
    discriminator_terms,
    generator_terms,
)
from AnatoMaskGANLib.training.forward_passes import Images, deterministic_image, make_images
from AnatoMaskGANLib.training.perceptual import load_perceptual
from AnatoMaskGANLib.training.run_networks import Networks
from AnatoMaskGANLib.training.settings import TrainingSettings
from AnatoMaskGANLib.training.stacks import StackBatch
from AnatoMaskGANLib.training.texture_distance import texture_distance
from AnatoMaskGANLib.volumes.case_store import CaseStore


@dataclass(frozen=True)
class Made:
    """A batch with what the generator made of it."""

    batch: StackBatch
    condition: Tensor  # [B,S+2*halo,H,W]
    inner: Tensor  # [B,S,H,W] condition of the slices that are made
    labels: Tensor  # [B,S,H,W] labels of the slices that are made
    images: Images


class SynthesisObjective:
    """Makes images from labels (or superpixels) and says what they cost."""

    def __init__(
        self,
        settings: TrainingSettings,
        store: CaseStore,
        networks: Networks,
        device: torch.device,
    ) -> None:
        self.settings = settings
        self.networks = networks
        self.halo = networks.generator.settings.context_radius
        self.num_classes = store.num_classes
        self._spacing_ijk_mm = store.spacing_ijk_mm
        self._is_two_headed = settings.direction == "image+labels"
        self._swaps = condition_swaps(settings.data.guidance, store.swaps, store.num_classes).to(
            device
        )
        self._perceptual = load_perceptual(settings.losses, device)
        if not settings.use_gray_texture:
            self._weights = replace(settings.losses, gray_texture=0.0)
        else:
            self._weights = settings.losses

    def make(self, batch: StackBatch) -> Made:
        """Condition and images of a batch."""
        condition = condition_map(
            self.settings.data.guidance, batch.labels, batch.guidance, self.num_classes
        )
        images = make_images(
            self.networks.generator,
            condition,
            batch.positions_mm,
            batch.noise_seeds,
            self._spacing_ijk_mm,
            self.halo,
            self.settings.label_dictionary,
        )
        end = condition.shape[1] - self.halo
        inner, labels = condition[:, self.halo : end], batch.labels[:, self.halo : end]
        return Made(batch, condition, inner, labels, images)

    def judge_terms(self, made: Made, step: int) -> dict[str, Tensor]:
        """What discriminator, gray-texture classifier and label reader pay for detached images."""
        networks, weights = self.networks, self._weights
        if step < self.settings.optimizer.adversarial_start:
            return {}
        terms: dict[str, Tensor] = {}
        real = self._real(made)
        if networks.discriminator is not None and real is not None:
            is_penalized = weights.r1 > 0 and step % weights.r1_every == 0
            terms |= discriminator_terms(
                networks.discriminator,
                real,
                self._fake(made, is_detached=True),
                made.batch.noise_seeds,
                weights,
                is_penalized,
            )
        if networks.classifier is not None:
            terms |= self._classifier_terms(made, networks.classifier)
        if networks.label_reader is not None:
            logits = networks.label_reader(made.images.noisy.detach())
            terms["label_reader"] = self._reading_loss(logits, made.labels)
        return terms

    def own_terms(self, made: Made, step: int) -> dict[str, Tensor]:
        """Weighted terms of Eq. 5 and ours; their sum is the generator's loss."""
        terms: dict[str, Tensor] = {}
        if made.batch.is_paired:
            terms |= self._reconstruction_terms(made)
        terms |= self._shape_terms(made)
        is_adversarial = step >= self.settings.optimizer.adversarial_start
        terms |= self._gray_texture_terms(made, is_adversarial)
        networks = self.networks
        if is_adversarial and networks.discriminator is not None:
            with frozen(networks.discriminator):
                real = self._real(made) if made.batch.is_paired else None
                # Only stacks with labels have a real pair to match features with.
                fake = self._fake(made, is_detached=False, only_labeled=self._is_two_headed)
                if fake is not None:
                    terms |= generator_terms(networks.discriminator, real, fake, self._weights)
        if is_adversarial and networks.label_reader is not None:
            with frozen(networks.label_reader):
                logits = networks.label_reader(made.images.noisy)
            keeping = self._reading_loss(logits, made.labels)
            terms["label_keeping"] = self._weights.label_keeping * keeping
        if made.images.label_logits is not None:
            terms |= self._label_terms(made, is_adversarial)
        return terms

    def _real(self, made: Made) -> Judged | None:
        """Real images with their classes; with two heads, of the stacks that have labels."""
        if not self._is_two_headed:
            return Judged(made.batch.images, made.inner)
        has = made.batch.has_labels
        return Judged(made.batch.images[has], made.labels[has]) if has.any() else None

    def _fake(self, made: Made, is_detached: bool, only_labeled: bool = False) -> Judged | None:
        images, logits = made.images.noisy, made.images.label_logits
        classes = made.inner
        if self._is_two_headed:
            classes = logits.softmax(2)
            if only_labeled:
                has = made.batch.has_labels
                if not has.any():
                    return None
                images, classes = images[has], classes[has]
        return Judged(images.detach(), classes.detach()) if is_detached else Judged(images, classes)

    def _reconstruction_terms(self, made: Made) -> dict[str, Tensor]:
        weights, images, real = self._weights, made.images, made.batch.images
        kind = weights.reconstruction_kind
        pixels = losses.mask_weights(made.inner) if kind == "weighted_l1" else None
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

    def _shape_terms(self, made: Made) -> dict[str, Tensor]:
        weights = self._weights
        terms = {}
        if weights.body_mask:
            mask = losses.body_mask(made.images.noisy, made.inner, weights.body_threshold)
            terms["body_mask"] = weights.body_mask * mask
        if weights.flip_consistency:
            flipped = deterministic_image(
                self.networks.generator,
                self._swaps[made.condition.flip(-1)],
                made.batch.positions_mm,
                self._spacing_ijk_mm,
                self.halo,
            )
            distance = losses.distance("l1", flipped, made.images.deterministic.flip(-1))
            terms["flip_consistency"] = weights.flip_consistency * distance
        return terms

    def _gray_texture_terms(self, made: Made, is_adversarial: bool) -> dict[str, Tensor]:
        weights, classifier = self._weights, self.networks.classifier
        if not made.batch.is_paired or not (weights.gray_texture or classifier is not None):
            return {}
        terms = {}
        if weights.gray_texture:
            num_classes = self.networks.generator.settings.num_classes
            loss = texture_distance(made.batch.images, made.images.noisy, made.inner, num_classes)
            terms["gray_texture"] = weights.gray_texture * loss
        if is_adversarial and classifier is not None:
            regions, stack = self._regions(made)
            present = regions.is_present.unflatten(0, stack)
            fake = made.images.noisy.flatten(0, 2)
            statistics = gray_texture_statistics(fake, regions)
            with frozen(classifier):
                logits = classifier(statistics, soft_histogram(fake, regions))
            loss = losses.present_mean(-logits.unflatten(0, stack), present)
            terms["gray_texture_adversarial"] = weights.gray_texture_adversarial * loss
        return terms

    def _classifier_terms(self, made: Made, classifier: GrayTextureClassifier) -> dict[str, Tensor]:
        regions, stack = self._regions(made)
        present = regions.is_present.unflatten(0, stack)
        total = made.batch.images.new_zeros(())
        for images, sign in ((made.batch.images, -1.0), (made.images.noisy.detach(), 1.0)):
            flat = images.flatten(0, 2)
            logits = classifier(
                gray_texture_statistics(flat, regions), soft_histogram(flat, regions)
            )
            hinge = torch.relu(1 + sign * logits).unflatten(0, stack)
            total = total + losses.present_mean(hinge, present)
        return {"classifier": total}

    def _regions(self, made: Made) -> tuple[ClassRegions, tuple[int, int]]:
        num_classes = self.networks.generator.settings.num_classes
        return class_regions(made.inner.flatten(0, 1), num_classes), tuple(made.inner.shape[:2])

    def _reading_loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Class-balanced cross-entropy of a label reader's logits [N,C,H,W]."""
        logits = logits.float().unflatten(0, labels.shape[:2])
        pixels = losses.pixel_weights(losses.class_weights(labels, self.num_classes), labels)
        return losses.balanced_cross_entropy(logits, labels, pixels)

    def _label_terms(self, made: Made, is_adversarial: bool) -> dict[str, Tensor]:
        """Labels of the second head: true ones where there are, else pseudo labels (SemiCS2)."""
        weights, logits, has = self._weights, made.images.label_logits, made.batch.has_labels
        terms = {}
        if has.any():
            own, labels = logits[has], made.labels[has]
            entropy = losses.balanced_cross_entropy(own, labels, torch.ones_like(labels).float())
            terms["labels"] = weights.labels * (entropy + losses.soft_dice(own, labels))
        discriminator = self.networks.discriminator
        if weights.pseudo_labels and is_adversarial and not has.all():
            own = logits[~has]
            pair = Judged(made.batch.images[~has], own.detach().softmax(2))
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
