"""The networks of a run, built from its settings."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import nn

from AnatoMaskGANLib import config
from AnatoMaskGANLib.config import DiscriminatorSettings, GeneratorSettings, settings_to_dict
from AnatoMaskGANLib.networks.discriminators.patch import MultiScaleDiscriminator
from AnatoMaskGANLib.networks.discriminators.segmentation import SegmentationUNet
from AnatoMaskGANLib.networks.discriminators.wavelet import WaveletDiscriminator
from AnatoMaskGANLib.networks.generator import build_generator
from AnatoMaskGANLib.networks.gray_texture import GrayTextureClassifier
from AnatoMaskGANLib.training.combinations import generator_kind
from AnatoMaskGANLib.training.condition_map import num_condition_classes
from AnatoMaskGANLib.training.settings import TrainingSettings

PLAIN_SPADE = {"use_gnn_fusion": False, "use_noise3d": False, "context_radius": 0}
Discriminator = MultiScaleDiscriminator | SegmentationUNet | WaveletDiscriminator


@dataclass
class Networks:
    """Everything that is trained."""

    generator: nn.Module
    """Of settings.generator; the segmenter of image2mask stands here too."""
    discriminator: Discriminator | None = None
    classifier: GrayTextureClassifier | None = None
    label_reader: SegmentationUNet | None = None
    """unpaired: reads the labels back from a synthetic image."""

    def named(self) -> dict[str, nn.Module]:
        """The networks that there are, by name."""
        return {name: network for name, network in vars(self).items() if network is not None}

    def judges(self) -> list[nn.Module]:
        """All that is trained beside the generator."""
        return [network for name, network in self.named().items() if name != "generator"]


def generator_settings(settings: TrainingSettings, num_classes: int) -> GeneratorSettings:
    """The preset with the run's changes, for a store of num_classes label classes."""
    preset = {"compact": config.compact_generator, "paper": config.paper_generator}[settings.preset]
    kind = generator_kind(settings)
    is_two_headed = settings.direction == "image+labels"
    is_segmenter = settings.direction == "image2mask"
    num_inputs = (
        num_classes if is_segmenter else num_condition_classes(settings.data.guidance, num_classes)
    )
    changes = dict(settings.generator)
    if kind == "spade":
        changes = PLAIN_SPADE | changes
    if kind == "oasis":
        changes = {"use_gnn_fusion": False, "use_noise3d": True} | changes
    changes |= {"kind": "anatomaskgan" if kind == "spade" else kind}
    changes |= {"label_outputs": num_classes if is_two_headed else 0}
    plain = settings_to_dict(preset(num_inputs)) | changes
    return config.settings_from_dict(GeneratorSettings, plain)


def build_networks(settings: TrainingSettings, num_classes: int, device: torch.device) -> Networks:
    """New networks with weights drawn from the run's seed; the global generator is left alone."""
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
        judged_classes = num_classes if settings.direction == "image+labels" else shape.num_classes
        networks.discriminator = _build_discriminator(
            settings.discriminator, judged_classes, num_classes
        )
    if settings.use_gray_texture and losses.gray_texture_adversarial:
        networks.classifier = GrayTextureClassifier(shape.num_classes)
    if settings.data.supervision == "unpaired":
        reader = replace(settings.discriminator, slices_seen=1)
        networks.label_reader = SegmentationUNet(reader, num_classes)
    return networks


def _build_discriminator(
    settings: DiscriminatorSettings, judged_classes: int, num_classes: int
) -> Discriminator:
    if settings.kind == "segmentation":
        return SegmentationUNet(settings, num_classes + 1)  # the last class is "synthetic"
    if settings.kind == "wavelet":
        return WaveletDiscriminator(settings)
    return MultiScaleDiscriminator(settings, judged_classes)
