"""The network that generator settings describe."""

from __future__ import annotations

from torch import nn

from AnatoMaskGANLib.config import GeneratorSettings
from AnatoMaskGANLib.networks.generator import Generator
from AnatoMaskGANLib.networks.oasis import OasisGenerator
from AnatoMaskGANLib.networks.segmenter import Segmenter
from AnatoMaskGANLib.networks.unet import UNetGenerator


def build_generator(settings: GeneratorSettings) -> nn.Module:
    """A new network of settings.kind; all but the segmenter are called as `Generator` is."""
    if settings.kind == "oasis":
        return OasisGenerator(settings)
    if settings.kind == "unet":
        return UNetGenerator(settings)
    if settings.kind == "segmenter":
        return Segmenter(settings)
    return Generator(settings)
