"""The network that generator settings describe."""

from __future__ import annotations

from torch import nn

from AnatoMaskGANLib.config import GeneratorSettings
from AnatoMaskGANLib.networks.baselines.oasis import OasisGenerator
from AnatoMaskGANLib.networks.baselines.segmenter import Segmenter
from AnatoMaskGANLib.networks.baselines.unet import UNetGenerator
from AnatoMaskGANLib.networks.generator import Generator


def build_generator(settings: GeneratorSettings) -> nn.Module:
    """A new network of settings.kind; all but the segmenter are called as `Generator` is."""
    if settings.kind == "oasis":
        return OasisGenerator(settings)
    if settings.kind == "unet":
        return UNetGenerator(settings)
    if settings.kind == "segmenter":
        return Segmenter(settings)
    return Generator(settings)
