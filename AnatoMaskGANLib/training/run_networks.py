"""The networks of a run, built from its settings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import nn

from AnatoMaskGANLib.config import (
    DiscriminatorSettings,
    GeneratorSettings,
    preset_generator,
    settings_from_dict,
    settings_to_dict,
)
from AnatoMaskGANLib.networks.baselines.segmenter import Segmenter
from AnatoMaskGANLib.networks.discriminators.patch import MultiScaleDiscriminator
from AnatoMaskGANLib.networks.discriminators.segmentation import SegmentationUNet
from AnatoMaskGANLib.networks.discriminators.wavelet import WaveletDiscriminator
from AnatoMaskGANLib.networks.generator import build_generator
from AnatoMaskGANLib.networks.gray_texture import GrayTextureClassifier
from AnatoMaskGANLib.networks.slice_batch import ImageGenerator
from AnatoMaskGANLib.training.condition_map import num_condition_classes
from AnatoMaskGANLib.training.settings import TrainingSettings, generator_kind

_PLAIN_SPADE = {"use_gnn_fusion": False, "use_noise3d": False, "context_radius": 0}
Discriminator = MultiScaleDiscriminator | SegmentationUNet | WaveletDiscriminator


@dataclass
class Networks:
    """All networks that a run trains."""

    generator: ImageGenerator | Segmenter
    """Generator of settings.generator; for image2mask, the segmenter."""
    discriminator: Discriminator | None = None
    classifier: GrayTextureClassifier | None = None
    label_reader: SegmentationUNet | None = None
    """unpaired: a segmentation network that reads the labels back from a synthetic image."""

    @property
    def image_generator(self) -> ImageGenerator:
        """The generator, of a run that makes images."""
        return cast(ImageGenerator, self.generator)

    @property
    def segmenter(self) -> Segmenter:
        """The segmenter, of a run of image2mask."""
        return cast(Segmenter, self.generator)

    def named(self) -> dict[str, nn.Module]:
        """The networks that this run has, by name."""
        return {name: network for name, network in vars(self).items() if network is not None}

    def discriminators(self) -> list[nn.Module]:
        """All networks that judge the generator's images: every one but the generator."""
        return [network for name, network in self.named().items() if name != "generator"]


def generator_settings(settings: TrainingSettings, num_classes: int) -> GeneratorSettings:
    """The preset with the run's changes, for a store of num_classes label classes."""
    kind = generator_kind(settings)
    is_two_headed = settings.direction == "image+labels"
    is_segmenter = settings.direction == "image2mask"
    num_inputs = (
        num_classes if is_segmenter else num_condition_classes(settings.data.guidance, num_classes)
    )
    changes = dict(settings.generator)
    if kind == "spade":
        changes = _PLAIN_SPADE | changes
    if kind == "oasis":
        changes = {"use_gnn_fusion": False, "use_noise3d": True} | changes
    changes |= {"kind": "anatomaskgan" if kind == "spade" else kind}
    changes |= {"label_outputs": num_classes if is_two_headed else 0}
    plain = settings_to_dict(preset_generator(settings.preset, num_inputs)) | changes
    return settings_from_dict(GeneratorSettings, plain)


def build_networks(settings: TrainingSettings, num_classes: int, device: torch.device) -> Networks:
    """New networks with weights drawn from the run's seed.

    The global random generator is left as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        networks = _build(settings, num_classes)
    for network in networks.named().values():
        network.to(device)
    return networks


def _build(settings: TrainingSettings, num_classes: int) -> Networks:
    shape = generator_settings(settings, num_classes)
    networks = Networks(build_generator(shape))
    if settings.direction == "image2mask":
        return networks
    losses = settings.losses
    if losses.adversarial or losses.feature_matching:
        is_two_headed = settings.direction == "image+labels"
        condition_classes = num_classes if is_two_headed else shape.num_classes
        networks.discriminator = _build_discriminator(
            settings.discriminator, condition_classes, num_classes
        )
    if settings.use_gray_texture and losses.gray_texture_adversarial:
        networks.classifier = GrayTextureClassifier(shape.num_classes)
    if settings.data.supervision == "unpaired":
        reader = replace(settings.discriminator, slices_seen=1)
        networks.label_reader = SegmentationUNet(reader, num_classes)
    return networks


def _build_discriminator(
    settings: DiscriminatorSettings, condition_classes: int, num_classes: int
) -> Discriminator:
    if settings.kind == "segmentation":
        return SegmentationUNet(settings, num_classes + 1)  # the last class is "synthetic"
    if settings.kind == "wavelet":
        return WaveletDiscriminator(settings)
    return MultiScaleDiscriminator(settings, condition_classes)
