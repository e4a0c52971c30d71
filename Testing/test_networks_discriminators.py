"""The multi-scale PatchGAN: judges slices with their neighbors and labels."""

from __future__ import annotations

import pytest
import torch

from AnatoMaskGANLib.config import DiscriminatorSettings
from AnatoMaskGANLib.networks.discriminators.patch import MultiScaleDiscriminator

SMALL = DiscriminatorSettings(channels=8)


def judge(discriminator, images, labels) -> torch.Tensor:
    with torch.no_grad():
        return discriminator(images, labels)[0][-1]


@pytest.mark.parametrize("num_slices", [1, 2, 5])
def test_every_slice_gets_a_map_of_logits_at_two_scales(num_slices: int) -> None:
    discriminator = MultiScaleDiscriminator(SMALL, num_classes=4)
    labels = torch.zeros(2, num_slices, 64, 48, dtype=torch.long)
    scales = discriminator(torch.rand(2, num_slices, 1, 64, 48), labels)
    assert len(scales) == 2
    for number, features in enumerate(scales):
        assert len(features) == SMALL.num_layers + 1
        logits = features[-1]
        assert logits.shape[:2] == (2 * num_slices, 1)
        assert logits.shape[2] < 64 // 4 // 2**number  # one logit judges a patch, not a pixel


def test_the_same_image_with_other_labels_is_judged_otherwise() -> None:
    torch.manual_seed(0)
    discriminator = MultiScaleDiscriminator(SMALL, num_classes=4).eval()
    images = torch.rand(1, 3, 1, 32, 32)
    labels = torch.randint(0, 4, (1, 3, 32, 32))
    assert not torch.equal(
        judge(discriminator, images, labels), judge(discriminator, images, 3 - labels)
    )


def test_without_label_features_the_labels_do_not_matter() -> None:
    torch.manual_seed(0)
    settings = DiscriminatorSettings(channels=8, label_features=0)
    discriminator = MultiScaleDiscriminator(settings, num_classes=4).eval()
    images, labels = torch.rand(1, 3, 1, 32, 32), torch.randint(0, 4, (1, 3, 32, 32))
    assert torch.equal(
        judge(discriminator, images, labels), judge(discriminator, images, 3 - labels)
    )


def test_a_slice_is_judged_together_with_its_neighbors() -> None:
    torch.manual_seed(0)
    discriminator = MultiScaleDiscriminator(SMALL, num_classes=4).eval()
    images, labels = torch.rand(1, 7, 1, 32, 32), torch.zeros(1, 7, 32, 32, dtype=torch.long)
    changed = images.clone()
    changed[:, 3] = torch.rand(1, 32, 32)
    difference = (
        judge(discriminator, images, labels) - judge(discriminator, changed, labels)
    ).abs()
    moved = (difference.amax((1, 2, 3)) > 0).tolist()
    assert moved == [False, False, True, True, True, False, False]


def test_every_parameter_gets_a_gradient() -> None:
    discriminator = MultiScaleDiscriminator(SMALL, num_classes=4)
    labels = torch.randint(0, 4, (1, 3, 64, 64))
    scales = discriminator(torch.rand(1, 3, 1, 64, 64), labels)
    sum(features[-1].square().mean() for features in scales).backward()
    assert all(parameter.grad is not None for parameter in discriminator.parameters())
    assert discriminator.label_embedding.weight.grad.abs().sum() > 0
