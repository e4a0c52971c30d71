"""G-TC: zero at equality, and growing with blur, noise and zeroing."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from AnatoMaskGANLib.networks.gray_texture import (
    GrayTextureClassifier,
    class_regions,
    gray_texture_statistics,
    soft_histogram,
    stack_standard_deviation,
    through_plane_texture,
)
from AnatoMaskGANLib.training.gray_texture_losses import statistics_distance

NUM_CLASSES = 6


@pytest.fixture
def labels() -> torch.Tensor:
    coarse = torch.randint(0, NUM_CLASSES, (8, 8, 8), generator=torch.Generator().manual_seed(0))
    return coarse.repeat_interleave(8, 1).repeat_interleave(8, 2)


@pytest.fixture
def real(labels: torch.Tensor) -> torch.Tensor:
    white = torch.randn(8, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    texture = functional.avg_pool2d(white, 3, 1, 1)[:, 0]
    return (0.2 + 0.1 * labels + 0.1 * texture).clamp(0, 1)


def loss(real: torch.Tensor, fake: torch.Tensor, labels: torch.Tensor) -> float:
    regions = class_regions(labels, NUM_CLASSES)
    statistics = [gray_texture_statistics(images, regions) for images in (real, fake)]
    return float(statistics_distance(*(s[None] for s in statistics), regions.is_present[None]))


def test_the_loss_is_exactly_zero_at_equality(real, labels) -> None:
    assert loss(real, real.clone(), labels) == 0.0


def test_the_loss_grows_with_blur(real, labels) -> None:
    blurred = [functional.avg_pool2d(real[:, None], k, 1, k // 2)[:, 0] for k in (3, 5, 9)]
    losses = [loss(real, image, labels) for image in blurred]
    assert 0 < losses[0] < losses[1] < losses[2]


def test_the_loss_grows_with_noise_and_zeroing(real, labels) -> None:
    white = torch.randn(real.shape, generator=torch.Generator().manual_seed(2))
    losses = [loss(real, real + amount * white, labels) for amount in (0.02, 0.1, 0.3)]
    losses.append(loss(real, torch.zeros_like(real), labels))
    assert losses == sorted(losses)
    assert losses[0] > 0


def test_statistics_are_those_worked_out_by_hand() -> None:
    labels = torch.zeros(1, 8, 8, dtype=torch.long)
    labels[:, :, 4:] = 1
    ramp = torch.arange(8.0).expand(1, 8, 8) / 16  # class 0: 0 to 3/16; class 1: 4/16 to 7/16
    statistics = gray_texture_statistics(ramp, class_regions(labels, 2))
    mean, deviation, highest, lowest, texture, rms = statistics[0, 1].tolist()
    assert mean == pytest.approx(5.5 / 16)
    assert deviation == pytest.approx(math.sqrt(1.25) / 16, rel=1e-3)
    soft = sum(math.exp(8 * v / 16) for v in (4, 5, 6, 7)) / 4
    assert highest == pytest.approx(math.log(soft) / 8, rel=1e-4)
    assert lowest < mean < highest
    # Sobel / 8 of a ramp is its step between two pixels; the column at the image border sees half.
    inner = (1 / 16 * 2 + 1 / 32) / 3
    assert texture == pytest.approx(inner, rel=2e-3)
    assert rms == pytest.approx(math.sqrt((2 / 256 + 1 / 1024) / 3), rel=2e-3)


def test_the_outline_of_a_class_is_no_texture() -> None:
    labels = torch.zeros(1, 16, 16, dtype=torch.long)
    labels[:, 4:12, 4:12] = 1
    flat = labels.float() * 0.9
    statistics = gray_texture_statistics(flat, class_regions(labels, 2))
    assert statistics[0, 1, 4] == pytest.approx(1e-3, abs=1e-4)  # the square root of the epsilon


def test_a_class_below_sixteen_pixels_is_not_judged() -> None:
    labels = torch.zeros(1, 8, 8, dtype=torch.long)
    labels[0, 0, :3] = 1
    regions = class_regions(labels, 2)
    assert regions.is_present.tolist() == [[True, False]]
    assert gray_texture_statistics(torch.rand(1, 8, 8), regions)[0, 1].abs().sum() == 0


def test_the_soft_histogram_splits_a_pixel_between_two_bins() -> None:
    labels = torch.zeros(1, 4, 4, dtype=torch.long)
    images = torch.full((1, 4, 4), 10.25 / 31)
    histogram = soft_histogram(images, class_regions(labels, 1))[0, 0]
    assert histogram[10].item() == pytest.approx(0.75, abs=1e-4)
    assert histogram[11].item() == pytest.approx(0.25, abs=1e-4)
    assert histogram.sum().item() == pytest.approx(1.0)


def test_gradients_reach_the_image_and_are_finite(real, labels) -> None:
    fake = real.clone().add_(0.05).requires_grad_()
    regions = class_regions(labels, NUM_CLASSES)
    classifier = GrayTextureClassifier(NUM_CLASSES)
    statistics = gray_texture_statistics(fake, regions)
    logits = classifier(statistics, soft_histogram(fake, regions))
    (
        statistics_distance(
            gray_texture_statistics(real, regions)[None], statistics[None], regions.is_present[None]
        )
        + logits.mean()
    ).backward()
    assert fake.grad.isfinite().all()
    assert fake.grad.abs().sum() > 0
    assert all(parameter.grad.abs().sum() > 0 for parameter in classifier.parameters())


def test_through_plane_texture_is_the_mean_step_between_slices_inside_a_class() -> None:
    labels = torch.zeros(1, 2, 8, 8, dtype=torch.long)
    labels[:, 1, 6:] = (
        1  # two rows change their class: they and the outline beside them do not count
    )
    images = torch.zeros(1, 2, 8, 8)
    images[:, 1] = 0.25
    images[:, 1, 5:] = 1.0
    steps, is_judged = through_plane_texture(images, labels, 2)
    assert steps[0].tolist() == [0.25, 0.0]
    assert is_judged[0].tolist() == [True, False]


def test_stack_deviation_counts_how_the_slices_of_a_stack_differ() -> None:
    labels = torch.zeros(2, 3, 8, 8, dtype=torch.long)
    labels[1, 0, 0, :5] = 1  # five pixels: too few to be judged
    images = torch.zeros(2, 3, 8, 8)
    images[0, 2] = 0.6  # uniform in each slice, different between them
    deviation, is_judged = stack_standard_deviation(images, labels, 2)
    assert deviation[0, 0].item() == pytest.approx(images[0].std(correction=0).item(), abs=1e-3)
    assert is_judged.tolist() == [[True, False], [True, False]]
    assert deviation[1, 0].item() < 2e-3
