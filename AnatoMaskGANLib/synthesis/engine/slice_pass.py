"""Synthesis with the generators that treat every slice by itself (OASIS, U-Net).

The same face as `SlabCache` and `VolumePass`, without what these do for AnatoMaskGAN's own
generator: no dictionary, no messages between slices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import nn

from AnatoMaskGANLib.networks.noise import noise_field
from AnatoMaskGANLib.networks.slice_batch import SliceBatch
from AnatoMaskGANLib.synthesis.engine.slab_cache import SlabCache
from AnatoMaskGANLib.synthesis.engine.synthesis_box import SynthesisBox
from AnatoMaskGANLib.synthesis.engine.volume_pass import VolumePass
from AnatoMaskGANLib.synthesis.options import SamplingSettings

_BLOCK_SIZE = 8  # slices whose noise is drawn together


class SliceLabels:
    """The labels of a region. Slices have their numbers on the model grid."""

    def __init__(
        self,
        generator: nn.Module,
        labels_kji: np.ndarray,
        region: SynthesisBox,
        spacing_ijk_mm: Sequence[float],
        device: torch.device,
    ) -> None:
        self.generator = generator
        self.labels_kji = labels_kji
        self.region = region
        self.spacing_ijk_mm = spacing_ijk_mm
        self.device = device
        self.first, self.end = region.slices
        self.check: Callable[[], None] = lambda: None

    @property
    def numbers(self) -> range:
        """The slices of the region."""
        return range(self.first, self.end)


class SlicePass:
    """Synthesizes slices of a region with the noise of one seed."""

    def __init__(
        self,
        labels: SliceLabels,
        seed: int,
        noise_strength: float,
        noise_length_scale: float = 1.0,
    ) -> None:
        self.labels = labels
        self.seed = seed
        self.noise_strength = noise_strength
        self.noise_length_scale = noise_length_scale

    def images(self, numbers: Iterable[int] | None = None) -> Iterator[tuple[int, np.ndarray]]:
        """Number and image [H,W] float32 in [0,1] of the slices, or of these, in order."""
        wanted = sorted(self.labels.numbers if numbers is None else numbers)
        while wanted:
            block = [number for number in wanted if number < wanted[0] + _BLOCK_SIZE]
            noise = self._noise(block[0], block[-1] + 1)
            for number in block:
                self.labels.check()
                own = None if noise is None else noise[:, number - block[0]][None, :, None]
                yield number, self._image(number, own)
            wanted = wanted[len(block) :]

    def replace_labels(self, labels: SliceLabels, changed: set[int]) -> list[int]:
        """Goes over to an edited label map; what must be made again: the changed slices alone."""
        self.labels = labels
        return sorted(changed & set(labels.numbers))

    def _noise(self, first: int, end: int) -> torch.Tensor | None:
        """[Z,S,H,W] on the lattice of the whole grid."""
        labels, settings = self.labels, self.labels.generator.settings
        if not settings.use_noise3d or self.noise_strength == 0:
            return None
        region = labels.region
        return noise_field(
            self.seed,
            (first, *region.start_kji[1:]),
            (end - first, *region.shape_sjk[1:]),
            [step / self.noise_length_scale for step in reversed(labels.spacing_ijk_mm)],
            settings.noise_sigmas_mm,
            labels.device,
        )

    def _image(self, number: int, noise: torch.Tensor | None) -> np.ndarray:
        labels, spacing = self.labels, self.labels.spacing_ijk_mm
        part = labels.region.cut(labels.labels_kji, (number, number + 1))
        classes = torch.from_numpy(part.astype(np.int64)).to(labels.device)[None]
        position = torch.full((1, 1), number * spacing[2], device=labels.device)
        scale = self.noise_length_scale
        noise_spacing = (spacing[1] / scale, spacing[0] / scale)
        batch = SliceBatch(classes, position, noise, self.noise_strength, noise_spacing)
        return labels.generator(batch).image[0, 0, 0].float().cpu().numpy()


def start_pass(
    labels: SlabCache | SliceLabels,
    options: SamplingSettings,
    seed: int,
    keeps_all: bool = False,
) -> VolumePass | SlicePass:
    """The pass that fits the labels' generator; keeps_all as for `VolumePass`."""
    strength, length_scale = options.noise_strength, options.noise_length_scale
    if isinstance(labels, SliceLabels):
        return SlicePass(labels, seed, strength, length_scale)
    return VolumePass(labels, seed, strength, keeps_all=keeps_all, noise_length_scale=length_scale)
