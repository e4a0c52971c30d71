"""Synthesis with the generators that treat every slice by itself (OASIS, U-Net).

No tables and no messages between slices: the network itself makes every image.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch

from AnatoMaskGANLib.networks.slice_batch import ImageGenerator, SliceBatch
from AnatoMaskGANLib.synthesis.engine.memory_plan import Kept
from AnatoMaskGANLib.synthesis.engine.passes import Check, NoiseChoice, go_on
from AnatoMaskGANLib.synthesis.engine.synthesis_box import BoxLabels, SynthesisBox

_BLOCK_SIZE = 8  # slices whose noise is drawn together


class SliceEngine:
    """The `Engine` of a generator that treats every slice by itself."""

    dtype = torch.float32

    def __init__(self, generator: ImageGenerator, device: torch.device) -> None:
        self.generator = generator
        self.device = device

    def labels_of(
        self,
        labels: BoxLabels,
        kept: Kept,
        limit_bytes: int,
        num_voxels: int,
        previous: SliceLabels | None = None,
        changed: Iterable[int] = (),
    ) -> SliceLabels:
        """The labels as they are: nothing is found of them, so nothing is kept or taken over."""
        return SliceLabels(labels)

    def start_pass(self, labels: SliceLabels, noise: NoiseChoice, kept: Kept) -> SlicePass:
        """A pass through the slices of these labels."""
        return SlicePass(self.generator, labels, noise, self.device)


class SliceLabels:
    """The labels of a box."""

    def __init__(self, labels: BoxLabels) -> None:
        self.labels = labels
        self.slab_size = 1

    @property
    def box(self) -> SynthesisBox:
        """The part of the grid that is synthesized."""
        return self.labels.box

    @property
    def numbers(self) -> range:
        """The slices of the box."""
        return self.labels.numbers


class SlicePass:
    """Synthesizes slices of a box with the noise of one seed."""

    def __init__(
        self,
        generator: ImageGenerator,
        labels: SliceLabels,
        noise: NoiseChoice,
        device: torch.device,
    ) -> None:
        self.generator = generator
        self.labels = labels
        self.noise = noise
        self.device = device

    def images(
        self, numbers: Iterable[int] | None = None, check: Check = go_on
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Number and image [H,W] float32 in [0,1] of the slices, or of these, in order."""
        wanted = sorted(self.labels.numbers if numbers is None else numbers)
        while wanted:
            block = [number for number in wanted if number < wanted[0] + _BLOCK_SIZE]
            noise = self._drawn(range(block[0], block[-1] + 1))
            for number in block:
                check()
                own = None if noise is None else noise[:, number - block[0]][None, :, None]
                yield number, self._image(number, own)
            wanted = wanted[len(block) :]

    def replace_labels(self, labels: SliceLabels, changed: set[int]) -> list[int]:
        """Goes over to an edited label map; what must be made again: the changed slices alone."""
        self.labels = labels
        return sorted(changed & set(labels.numbers))

    def _drawn(self, slices: range) -> torch.Tensor | None:
        """[Z,S,H,W] noise of some slices, where the generator adds any."""
        settings = self.generator.settings
        if not self.noise.is_added_by(settings):
            return None
        return self.noise.drawn(settings, self.labels.labels, slices, self.device)

    def _image(self, number: int, noise: torch.Tensor | None) -> np.ndarray:
        labels = self.labels.labels
        classes = torch.from_numpy(labels.cut(number, number + 1)).to(self.device)[None]
        position = torch.full((1, 1), number * labels.spacing_ijk_mm[2], device=self.device)
        _, *spacing_ji_mm = self.noise.spacing_kji_mm(labels)
        batch = SliceBatch(
            classes, position, noise, self.noise.strength, (spacing_ji_mm[0], spacing_ji_mm[1])
        )
        return self.generator(batch).image[0, 0, 0].float().cpu().numpy()
