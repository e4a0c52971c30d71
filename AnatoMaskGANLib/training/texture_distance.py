"""L_stat of G-TC for stacks: class statistics at several scales, of the stack, between slices."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from AnatoMaskGANLib.networks.gray_texture import (
    class_regions,
    gray_texture_statistics,
    stack_standard_deviation,
    through_plane_texture,
)
from AnatoMaskGANLib.training import losses

SCALES = (1, 2, 4)  # pixels over which the images are averaged first: j of Eq. 4


def texture_distance(real: Tensor, fake: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Mean distance of the class statistics over the scales, plus those of the steps between slices
    and of the deviation over the stack.

    real, fake: [B,S,1,H,W] in [0,1]; labels: [B,S,H,W]. Zero exactly at equality.

    # Differs from the paper: ours, because statistics of one scale within the slice are met by
    texture that is too coarse in plane and too smooth through the slices, and by small structures
    that vary too little.
    """
    stack = labels.shape[:2]
    total = fake.new_zeros(())
    for scale in SCALES:
        center = scale // 2
        height, width = (size // scale * scale for size in labels.shape[2:])
        whole = labels[:, :, :height, :width]
        sampled = whole[:, :, center::scale, center::scale].flatten(0, 1)
        regions = class_regions(sampled, num_classes)
        statistics = [
            gray_texture_statistics(_averaged(images, scale), regions).unflatten(0, stack)
            for images in (real, fake)
        ]
        present = regions.is_present.unflatten(0, stack)
        total = total + losses.gray_texture(*statistics, present) / len(SCALES)
    (real_deviation, is_present), (fake_deviation, _) = (
        stack_standard_deviation(images[:, :, 0], labels, num_classes) for images in (real, fake)
    )
    distance = (fake_deviation - real_deviation).abs()[:, None]
    total = total + losses.present_mean(distance, is_present[:, None])
    if stack[1] > 1:
        (real_steps, is_present), (fake_steps, _) = (
            through_plane_texture(images[:, :, 0], labels, num_classes) for images in (real, fake)
        )
        pairs = (stack[0], stack[1] - 1)
        distance = (fake_steps - real_steps).abs().unflatten(0, pairs)
        total = total + losses.present_mean(distance, is_present.unflatten(0, pairs))
    return total


def _averaged(images: Tensor, scale: int) -> Tensor:
    """[N,H/scale,W/scale] of [B,S,1,H,W]."""
    height, width = (size // scale * scale for size in images.shape[3:])
    whole = images[..., :height, :width].flatten(0, 1)
    return whole[:, 0] if scale == 1 else functional.avg_pool2d(whole, scale)[:, 0]
