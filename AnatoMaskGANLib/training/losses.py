"""Losses: pure functions of tensors (paper, Eq. 5)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional

STATISTIC_WEIGHTS = (1.0, 1.0, 0.5, 0.5, 1.0, 1.0)  # beta_j of G-TC, in the order of the statistics


def hinge_discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Zero where real logits are above 1 and synthetic ones below -1."""
    return functional.relu(1 - real_logits).mean() + functional.relu(1 + fake_logits).mean()


def hinge_generator(fake_logits: Tensor) -> Tensor:
    """Falls as the discriminator takes the synthetic image for real."""
    return -fake_logits.mean()


def feature_matching(real: Sequence[Sequence[Tensor]], fake: Sequence[Sequence[Tensor]]) -> Tensor:
    """Mean L1 distance between discriminator features of real and synthetic images (paper, Eq. 5).

    real, fake: for every scale the features of its blocks and, last, its logits, which are left
    out.
    """
    total = fake[0][0].new_zeros(())
    for real_scale, fake_scale in zip(real, fake, strict=True):
        for real_features, fake_features in zip(real_scale[:-1], fake_scale[:-1], strict=True):
            total = total + functional.l1_loss(fake_features, real_features.detach())
    return total / len(real)


def gray_texture(real: Tensor, fake: Tensor, is_present: Tensor) -> Tensor:
    """L_stat of G-TC: weighted L1 distance of class statistics, zero exactly at equality.

    real, fake: [N,C,6] of `gray_texture_statistics`; is_present: [N,C].
    """
    weights = fake.new_tensor(STATISTIC_WEIGHTS)
    distance = ((fake - real).abs() * weights).sum(-1) / weights.sum()
    return (distance * is_present).sum() / is_present.sum().clamp(min=1)
