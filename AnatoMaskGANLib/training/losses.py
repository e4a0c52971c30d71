"""Losses: pure functions of tensors (paper, Eq. 5).

Letters: B cases, S slices, C label classes, H rows (J), W columns (I). The losses of G-TC are in
`gray_texture_losses`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch.nn import functional


def total(values: Iterable[Tensor]) -> Tensor:
    """The sum of losses, one or more."""
    first, *others = values
    for value in others:
        first = first + value
    return first


def discriminator(kind: str, real: Tensor, fake: Tensor) -> Tensor:
    """The loss of the discriminator for its logits of real and synthetic images.

    kind: hinge, ls (targets 1 and 0), original (logistic) or w (Wasserstein).
    """
    if kind == "hinge":
        return functional.relu(1 - real).mean() + functional.relu(1 + fake).mean()
    if kind == "ls":
        return 0.5 * ((real - 1).square().mean() + fake.square().mean())
    if kind == "original":
        return functional.softplus(-real).mean() + functional.softplus(fake).mean()
    if kind == "w":
        return fake.mean() - real.mean()
    raise ValueError(f"adversarial loss {kind!r} is not known; choose hinge, ls, original or w")


def generator(kind: str, fake: Tensor) -> Tensor:
    """The loss of the generator: it falls as the discriminator takes the image for real."""
    if kind == "ls":
        return 0.5 * (fake - 1).square().mean()
    if kind == "original":
        return functional.softplus(-fake).mean()
    return -fake.mean()


def distance(kind: str, synthetic: Tensor, real: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean l1, l2 or weighted_l1 distance of images [B,S,1,H,W].

    weights: [B,S,1,H,W] of the pixels, for weighted_l1 only.
    """
    if kind == "l2":
        return functional.mse_loss(synthetic, real)
    if kind == "weighted_l1" and weights is not None:
        return ((synthetic - real).abs() * weights).mean()
    return functional.l1_loss(synthetic, real)


def mask_weights(labels: Tensor) -> Tensor:
    """Weights [B,S,1,H,W] of the weighted L1: 1 inside the labels, a Gaussian about them outside.

    Its center and width are the centroid and the spread of the slice's labels [B,S,H,W]; a slice
    without labels weighs 1 everywhere.
    """
    inside = (labels > 0).float()
    area = inside.sum((2, 3), keepdim=True)
    rows = torch.arange(labels.shape[2], device=labels.device).view(1, 1, -1, 1).float()
    columns = torch.arange(labels.shape[3], device=labels.device).view(1, 1, 1, -1).float()
    squared = torch.zeros_like(inside)
    for place in (rows, columns):
        center = (inside * place).sum((2, 3), keepdim=True) / area.clamp(min=1)
        spread = (inside * (place - center) ** 2).sum((2, 3), keepdim=True) / area.clamp(min=1)
        squared = squared + (place - center) ** 2 / spread.clamp(min=1)
    weights = torch.where(inside > 0, inside, (-0.5 * squared).exp())
    return torch.where(area > 0, weights, torch.ones_like(weights))[:, :, None]


def body_mask(images: Tensor, labels: Tensor, threshold: float, softness: float = 0.02) -> Tensor:
    """1 - Dice of the soft body mask of images [B,S,1,H,W] and the labels' foreground [B,S,H,W].

    The mask is a sigmoid of the intensity about the threshold. A hard threshold, as in the source
    of this loss, would have no gradient.
    """
    mask = torch.sigmoid((images[:, :, 0] - threshold) / softness)
    foreground = (labels > 0).float()
    overlap = (mask * foreground).sum((1, 2, 3))
    sizes = mask.sum((1, 2, 3)) + foreground.sum((1, 2, 3))
    return 1 - ((2 * overlap + 1) / (sizes + 1)).mean()


def class_weights(labels: Tensor, num_classes: int) -> Tensor:
    """[B,C] pixels / (classes present x pixels of the class) of every case; 0 for absent classes.

    labels: [B,...]. Every class of a case then weighs the same in a mean over its pixels (OASIS).
    """
    flat = labels.flatten(1)
    counts = torch.zeros(flat.shape[0], num_classes, device=labels.device)
    counts.scatter_add_(1, flat, torch.ones_like(flat, dtype=counts.dtype))
    present = (counts > 0).sum(1, keepdim=True)
    weights = flat.shape[1] / (present * counts.clamp(min=1))
    return weights * (counts > 0)


def balanced_cross_entropy(logits: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Mean cross-entropy of logits [B,S,C,H,W], every pixel with its weight [B,S,H,W]."""
    entropy = functional.cross_entropy(logits.flatten(0, 1), target.flatten(0, 1), reduction="none")
    return (entropy * weights.flatten(0, 1)).mean()


def pixel_weights(weights: Tensor, labels: Tensor) -> Tensor:
    """[B,S,H,W] the weight of every pixel's class; weights: [B,C]."""
    flat = labels.flatten(1)
    return weights.gather(1, flat).view(labels.shape)


def soft_dice(logits: Tensor, labels: Tensor) -> Tensor:
    """1 - mean soft Dice over the foreground classes present; logits [B,S,C,H,W], labels
    [B,S,H,W].

    Zero loss where only background is present.
    """
    found = logits.softmax(2).transpose(1, 2).flatten(2)  # [B,C,S*H*W] probabilities
    truth = functional.one_hot(labels.flatten(1), logits.shape[2]).transpose(1, 2).float()
    overlap, size = (found * truth).sum(2), found.sum(2) + truth.sum(2)
    present = truth.sum(2) > 0
    present[:, 0] = False
    dice = (2 * overlap + 1) / (size + 1)
    loss = ((1 - dice) * present).sum(1) / present.sum(1).clamp(min=1)
    return loss.mean()


def gradient_penalty(images: Tensor, logits: Tensor) -> Tensor:
    """R1 without its factor: mean over slices of the squared gradient norm at real images.

    images: [B,S,1,H,W] that require gradients; logits: the discriminator's, whose sum is taken.
    """
    gradient = torch.autograd.grad(logits.sum(), images, create_graph=True)[0]
    return gradient.square().sum((2, 3, 4)).mean()


def feature_matching(real: Sequence[Sequence[Tensor]], fake: Sequence[Sequence[Tensor]]) -> Tensor:
    """Mean L1 distance between discriminator features of real and synthetic images (paper, Eq. 5).

    real, fake: for every scale the features of its blocks, then its logits, which are left out.
    """
    total = fake[0][0].new_zeros(())
    for real_scale, fake_scale in zip(real, fake, strict=True):
        for real_features, fake_features in zip(real_scale[:-1], fake_scale[:-1], strict=True):
            total = total + functional.l1_loss(fake_features, real_features.detach())
    return total / len(real)
