"""The OASIS generator: 3-D noise beside the label map at every SPADE layer (Schoenfeld 2021).

# Differs from the source: the noise is the smooth random field of `noise.py`, one channel for every
correlation length of the settings, so that any slab or tile draws the same values; the source
draws 64 channels of white noise, which 64 entries in noise_sigmas_mm come near to.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from AnatoMaskGANLib.config import GeneratorSettings
from AnatoMaskGANLib.networks.label_grids import LabelField
from AnatoMaskGANLib.networks.slice_batch import slice_batch
from AnatoMaskGANLib.networks.spade import LEAK, convolution, normalization
from AnatoMaskGANLib.networks.spectral import normalize_spectrally


class NoisySPADE(nn.Module):
    """Normalizes [N,F,h,w] features and modulates them by labels and noise of the same grid."""

    def __init__(self, num_features: int, num_conditions: int, num_hidden: int, norm: str) -> None:
        super().__init__()
        self.normalize = normalization(norm, num_features)
        self.hidden = nn.Conv2d(num_conditions, num_hidden, 3, padding=1)
        self.modulation = nn.Conv2d(num_hidden, 2 * num_features, 3, padding=1)

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        """condition: [N,C+Z,h,w], one-hot labels and noise."""
        hidden = functional.relu(self.hidden(condition))
        gamma, beta = self.modulation(hidden).chunk(2, dim=1)
        return self.normalize(features) * (1 + gamma) + beta


class NoisyBlock(nn.Module):
    """Residual block [N,Fin,h,w] -> [N,Fout,h,w] with a noisy SPADE before each convolution."""

    def __init__(
        self, settings: GeneratorSettings, num_conditions: int, num_inputs: int, num_outputs: int
    ) -> None:
        super().__init__()
        num_middle = min(num_inputs, num_outputs)
        hidden, norm = settings.spade_hidden, settings.norm
        self.spade0 = NoisySPADE(num_inputs, num_conditions, hidden, norm)
        self.spade1 = NoisySPADE(num_middle, num_conditions, hidden, norm)
        self.conv0 = convolution(num_inputs, num_middle, settings.separable)
        self.conv1 = convolution(num_middle, num_outputs, settings.separable)
        self.shortcut = (
            nn.Identity()
            if num_inputs == num_outputs
            else nn.Conv2d(num_inputs, num_outputs, 1, bias=False)
        )

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        out = self.conv0(functional.leaky_relu(self.spade0(features, condition), LEAK))
        out = self.conv1(functional.leaky_relu(self.spade1(out, condition), LEAK))
        return self.shortcut(features) + out


class OasisGenerator(nn.Module):
    """Every slice by itself; neighboring slices agree through the noise alone."""

    def __init__(self, settings: GeneratorSettings) -> None:
        super().__init__()
        self.settings = settings
        channels = settings.channels
        num_conditions = settings.num_classes + len(settings.noise_sigmas_mm)
        self.start = nn.Conv2d(num_conditions, channels[0], 3, padding=1)
        self.blocks = nn.ModuleList(
            NoisyBlock(settings, num_conditions, channels[number], channels[number + 1])
            for number in range(len(channels) - 1)
        )
        self.image = nn.Conv2d(channels[-1], 1, 3, padding=1)
        if settings.spectral_norm:
            normalize_spectrally(self)

    def forward(
        self,
        labels: Tensor,
        positions_mm: Tensor,
        noise: Tensor | None = None,
        strength: Tensor | float = 1.0,
        spacing_ji_mm: Sequence[float] = (1.0, 1.0),
        halo: int = 0,
    ) -> Tensor:
        """Image [B,S,1,H,W] in [0,1]; arguments as those of `Generator.forward`."""
        settings = self.settings
        slices = slice_batch(
            labels,
            positions_mm.shape[1],
            noise,
            strength,
            spacing_ji_mm,
            settings.noise_sigmas_mm,
            halo,
            settings.stride,
        )
        field = LabelField(slices.labels, settings.num_classes)
        start = torch.cat([field.fractions(settings.stride), slices.noise_at(settings.stride)], 1)
        state = self.start(start)
        for number, block in enumerate(self.blocks):
            if number > 0:
                state = functional.interpolate(state, scale_factor=2, mode="nearest")
            stride = settings.stride // 2**number
            one_hot = functional.one_hot(field.labels_at(stride), settings.num_classes)
            condition = [one_hot.permute(0, 3, 1, 2).float(), slices.noise_at(stride)]
            state = block(state, torch.cat(condition, dim=1))
        image = torch.sigmoid(self.image(functional.leaky_relu(state, LEAK)))
        return slices.as_stack(image)
