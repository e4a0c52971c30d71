"""What a generator makes of a batch: without noise, with noise, and the labels of a second head."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from AnatoMaskGANLib.networks.generator import Generator
from AnatoMaskGANLib.networks.noise import noise_field


@dataclass(frozen=True)
class Images:
    """Made stacks: [B,S,1,H,W] each."""

    deterministic: Tensor
    noisy: Tensor
    label_logits: Tensor | None = None  # [B,S,C,H,W] of the deterministic pass


def make_images(
    generator: nn.Module,
    condition: Tensor,
    positions_mm: Tensor,
    noise_seeds: tuple[int, ...],
    spacing_ijk_mm: tuple[float, float, float],
    halo: int,
    use_words: bool = True,
) -> Images:
    """Both images of every stack; they are the same tensor where the generator has no noise.

    condition: [B,S+2*halo,H,W] condition classes. Noise depends on a stack's seed alone.
    use_words: as for `Generator.forward`.
    """
    settings = generator.settings
    spacing_ji_mm = (spacing_ijk_mm[1], spacing_ijk_mm[0])
    if not settings.use_noise3d:
        heads = _heads(
            generator, condition, positions_mm, None, 0.0, spacing_ji_mm, halo, use_words
        )
        return Images(heads[0], heads[0], heads[1])
    num_slices, height, width = positions_mm.shape[1], *condition.shape[2:]
    noise = torch.stack(
        [
            noise_field(
                seed,
                (0, 0, 0),
                (num_slices, height, width),
                spacing_ijk_mm[::-1],
                settings.noise_sigmas_mm,
                condition.device,
            )
            for seed in noise_seeds
        ]
    )
    cases = condition.shape[0]
    strength = torch.tensor([0.0, 1.0], device=noise.device).repeat_interleave(cases)
    # One pass for both, so that batch statistics are those of both.
    image, logits = _heads(
        generator,
        condition.repeat(2, 1, 1, 1),
        positions_mm.repeat(2, 1),
        noise.repeat(2, 1, 1, 1, 1),
        strength,
        spacing_ji_mm,
        halo,
        use_words,
    )
    return Images(*image.chunk(2), None if logits is None else logits[:cases])


def deterministic_image(
    generator: nn.Module,
    condition: Tensor,
    positions_mm: Tensor,
    spacing_ijk_mm: tuple[float, float, float],
    halo: int,
) -> Tensor:
    """The image without noise alone, [B,S,1,H,W]."""
    spacing_ji_mm = (spacing_ijk_mm[1], spacing_ijk_mm[0])
    return _heads(generator, condition, positions_mm, None, 0.0, spacing_ji_mm, halo)[0]


def _heads(
    generator: nn.Module,
    condition: Tensor,
    positions_mm: Tensor,
    noise: Tensor | None,
    strength: Tensor | float,
    spacing_ji_mm: tuple[float, float],
    halo: int,
    use_words: bool = True,
) -> tuple[Tensor, Tensor | None]:
    arguments = (condition, positions_mm, noise, strength, spacing_ji_mm, halo)
    if not isinstance(generator, Generator):
        return generator(*arguments).float(), None
    image, logits = generator.forward_heads(*arguments, use_words)
    return image.float(), None if logits is None else logits.float()
