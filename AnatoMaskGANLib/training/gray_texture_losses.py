"""The losses of G-TC: distance of class statistics, and the gray-texture classifier against the
generator (paper, section III-C, Eq. 3 and 4).

Letters: B cases, S slices, C label classes, H rows (J), W columns (I).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from AnatoMaskGANLib.networks.gray_texture import (
    STATISTICS,
    ClassRegions,
    GrayTextureClassifier,
    class_regions,
    gray_texture_statistics,
    soft_histogram,
    stack_standard_deviation,
    through_plane_texture,
)

SCALES = (1, 2, 4)  # pixels over which the images are averaged first: j of Eq. 4

STATISTIC_WEIGHTS = {
    "mean": 1.0,
    "standard deviation": 1.0,
    "soft maximum": 0.5,
    "soft minimum": 0.5,
    "mean gradient": 1.0,
    "rms gradient": 1.0,
}
"""beta_j of L_stat, for each of the `STATISTICS`."""


def texture_distance(real: Tensor, fake: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """L_stat for stacks: mean distance of the class statistics over the scales, plus those of the
    steps between slices and of the standard deviation over the stack.

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
        real_statistics, fake_statistics = (
            gray_texture_statistics(_averaged(images, scale), regions).unflatten(0, stack)
            for images in (real, fake)
        )
        present = regions.is_present.unflatten(0, stack)
        distance = statistics_distance(real_statistics, fake_statistics, present)
        total = total + distance / len(SCALES)
    (real_deviation, is_present), (fake_deviation, _) = (
        stack_standard_deviation(images[:, :, 0], labels, num_classes) for images in (real, fake)
    )
    distance = (fake_deviation - real_deviation).abs()[:, None]
    total = total + present_mean(distance, is_present[:, None])
    if stack[1] > 1:
        (real_steps, is_present), (fake_steps, _) = (
            through_plane_texture(images[:, :, 0], labels, num_classes) for images in (real, fake)
        )
        pairs = (stack[0], stack[1] - 1)
        distance = (fake_steps - real_steps).abs().unflatten(0, pairs)
        total = total + present_mean(distance, is_present.unflatten(0, pairs))
    return total


def statistics_distance(real: Tensor, fake: Tensor, is_present: Tensor) -> Tensor:
    """Weighted L1 distance of class statistics, zero exactly at equality.

    real, fake: [B,S,C,6] of `gray_texture_statistics`; is_present: [B,S,C]. The mean over a case's
    classes is taken first, so that a batch is the mean of its cases.
    """
    weights = fake.new_tensor([STATISTIC_WEIGHTS[name] for name in STATISTICS])
    distances = ((fake - real).abs() * weights).sum(-1) / weights.sum()
    return present_mean(distances, is_present)


def classifier_loss(
    classifier: GrayTextureClassifier,
    real: Tensor,
    fake: Tensor,
    labels: Tensor,
    num_classes: int,
) -> Tensor:
    """Hinge loss of the classifier for real and (detached) synthetic stacks, each class judged.

    real, fake: [B,S,1,H,W] in [0,1]; labels: [B,S,H,W].
    """
    regions = class_regions(labels.flatten(0, 1), num_classes)
    total = real.new_zeros(())
    for images, sign in ((real, -1.0), (fake, 1.0)):
        logits = _classify(classifier, images, regions)
        hinge = torch.relu(1 + sign * logits)
        total = total + _present_mean_of(hinge, regions, labels)
    return total


def convincing_loss(
    classifier: GrayTextureClassifier, fake: Tensor, labels: Tensor, num_classes: int
) -> Tensor:
    """The loss of the generator: it falls as the classifier takes each class for real."""
    regions = class_regions(labels.flatten(0, 1), num_classes)
    return _present_mean_of(-_classify(classifier, fake, regions), regions, labels)


def present_mean(values: Tensor, is_present: Tensor) -> Tensor:
    """Mean over the cases of the mean of their present values; both [B,S,C]."""
    sums = (values * is_present).sum((1, 2))
    return (sums / is_present.sum((1, 2)).clamp(min=1)).mean()


def _classify(classifier: GrayTextureClassifier, images: Tensor, regions: ClassRegions) -> Tensor:
    """Logits [B*S,C] of stacks [B,S,1,H,W]."""
    flat = images.flatten(0, 2)
    return classifier(gray_texture_statistics(flat, regions), soft_histogram(flat, regions))


def _present_mean_of(values: Tensor, regions: ClassRegions, labels: Tensor) -> Tensor:
    """The present mean of values [B*S,C] of the regions of labels [B,S,H,W]."""
    stack = labels.shape[:2]
    return present_mean(values.unflatten(0, stack), regions.is_present.unflatten(0, stack))


def _averaged(images: Tensor, scale: int) -> Tensor:
    """[B*S,H/scale,W/scale] of [B,S,1,H,W]."""
    height, width = (size // scale * scale for size in images.shape[3:])
    whole = images[..., :height, :width].flatten(0, 1)
    return whole[:, 0] if scale == 1 else functional.avg_pool2d(whole, scale)[:, 0]
