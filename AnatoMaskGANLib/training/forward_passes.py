"""Passes of a batch through a generator: without noise, with noise, and labels of a second head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from AnatoMaskGANLib.networks.noise import noise_field
from AnatoMaskGANLib.networks.slice_batch import GeneratorOutput, ImageGenerator, SliceBatch


@dataclass(frozen=True)
class Images:
    """Made stacks: [B,S,1,H,W] each."""

    deterministic: Tensor
    noisy: Tensor
    label_logits: Tensor | None = None  # [B,S,C,H,W] of the deterministic pass


def make_images(
    generator: ImageGenerator,
    condition: Tensor,
    positions_mm: Tensor,
    noise_seeds: tuple[int, ...],
    spacing_ijk_mm: tuple[float, float, float],
    halo: int,
    use_words: bool = True,
) -> Images:
    """Both images of every stack; they are the same tensor where the generator has no noise.

    condition: [B,S+2*halo,H,W] condition classes. Noise depends on a stack's seed alone.
    use_words: as for `SliceBatch`.
    """
    settings = generator.settings
    spacing_ji_mm = (spacing_ijk_mm[1], spacing_ijk_mm[0])
    if not settings.use_noise3d:
        still = SliceBatch(condition, positions_mm, None, 0.0, spacing_ji_mm, halo, use_words)
        made = _in_float32(generator(still))
        return Images(made.image, made.image, made.label_logits)
    shape = (positions_mm.shape[1], *condition.shape[2:])
    noise = torch.stack(
        [
            _noise_of(seed, shape, spacing_ijk_mm, settings.noise_sigmas_mm, condition.device)
            for seed in noise_seeds
        ]
    )
    cases = condition.shape[0]
    # Both go through in one pass, so that the batch statistics are those of both.
    both = SliceBatch(
        condition.repeat(2, 1, 1, 1),
        positions_mm.repeat(2, 1),
        noise.repeat(2, 1, 1, 1, 1),
        torch.tensor([0.0, 1.0], device=noise.device).repeat_interleave(cases),
        spacing_ji_mm,
        halo,
        use_words,
    )
    image, logits = _in_float32(generator(both))
    deterministic, noisy = image.chunk(2)
    return Images(deterministic, noisy, None if logits is None else logits[:cases])


def deterministic_image(
    generator: ImageGenerator,
    condition: Tensor,
    positions_mm: Tensor,
    spacing_ijk_mm: tuple[float, float, float],
    halo: int,
) -> Tensor:
    """The image without noise alone, [B,S,1,H,W]."""
    spacing_ji_mm = (spacing_ijk_mm[1], spacing_ijk_mm[0])
    still = SliceBatch(condition, positions_mm, None, 0.0, spacing_ji_mm, halo)
    return _in_float32(generator(still)).image


def _noise_of(
    seed: int,
    shape_sjk: Sequence[int],
    spacing_ijk_mm: tuple[float, float, float],
    sigmas_mm: Sequence[float],
    device: torch.device,
) -> Tensor:
    """[Z,S,H,W] of a stack that begins at the lattice's origin."""
    return noise_field(seed, (0, 0, 0), shape_sjk, spacing_ijk_mm[::-1], sigmas_mm, device)


def _in_float32(made: GeneratorOutput) -> GeneratorOutput:
    logits = made.label_logits
    return GeneratorOutput(made.image.float(), None if logits is None else logits.float())
