"""Spectral normalization of a generator's residual blocks."""

from __future__ import annotations

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

BLOCK_CONVOLUTIONS = ("conv0", "conv1", "shortcut")


def normalize_spectrally(network: nn.Module) -> None:
    """Normalizes, in place, every convolution inside the blocks' conv0, conv1 and shortcut."""
    for name, module in list(network.named_modules()):
        is_in_block = bool(set(name.split(".")) & set(BLOCK_CONVOLUTIONS))
        if is_in_block and isinstance(module, nn.Conv2d):
            spectral_norm(module)
