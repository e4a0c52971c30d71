"""The losses of G-TC: zero at equality; L_stat sees texture of wrong size and of wrong depth."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from AnatoMaskGANLib.networks.gray_texture import STATISTICS
from AnatoMaskGANLib.training.gray_texture_losses import (
    STATISTIC_WEIGHTS,
    statistics_distance,
    texture_distance,
)

LABELS = torch.zeros(1, 6, 48, 48, dtype=torch.long)
LABELS[:, :, 24:] = 1


def image(texture: torch.Tensor) -> torch.Tensor:
    return (0.3 + 0.4 * LABELS[:, :, None] + 0.05 * texture / texture.std()).clamp(0, 1)


def white(seed: int) -> torch.Tensor:
    return torch.randn(1, 6, 1, 48, 48, generator=torch.Generator().manual_seed(seed))


def distance(real: torch.Tensor, fake: torch.Tensor) -> float:
    return float(texture_distance(real, fake, LABELS, 2))


def test_it_is_exactly_zero_at_equality() -> None:
    assert distance(image(white(0)), image(white(0))) == 0.0


def test_another_draw_of_the_same_texture_is_nearer_than_none() -> None:
    flat = (0.3 + 0.4 * LABELS[:, :, None]).float()
    assert distance(image(white(0)), image(white(1))) < 0.1 * distance(image(white(0)), flat)


def test_texture_of_another_size_and_the_same_deviation_costs_more_than_another_draw() -> None:
    coarse = functional.avg_pool2d(white(1)[0], 5, 1, 2)[None]
    assert distance(image(white(0)), image(coarse)) > 3 * distance(image(white(0)), image(white(1)))


def test_the_same_texture_in_every_slice_costs_more_than_another_draw() -> None:
    repeated = white(1)[:, :1].expand(-1, 6, -1, -1, -1)
    assert distance(image(white(0)), image(repeated)) > 3 * distance(
        image(white(0)), image(white(1))
    )


@pytest.mark.parametrize("size", [(47, 33), (16, 18)])
def test_sizes_that_no_scale_divides_are_cut(size: tuple[int, int]) -> None:
    labels = torch.zeros(1, 2, *size, dtype=torch.long)
    real = torch.rand(1, 2, 1, *size)
    assert float(texture_distance(real, real.clone(), labels, 2)) == 0.0


def test_a_single_slice_has_no_step() -> None:
    real = image(white(0))[:, :1]
    assert float(texture_distance(real, real.clone(), LABELS[:, :1], 2)) == 0.0


def test_g_tc_is_zero_at_equality_and_means_cases_before_the_batch() -> None:
    real, present = torch.rand(2, 3, 4, 6), torch.ones(2, 3, 4, dtype=torch.bool)
    assert statistics_distance(real, real, present) == 0
    fake = real + 0.1
    present[1, 1:] = False  # a case with fewer classes weighs as much as the other
    assert float(statistics_distance(real, fake, present)) == pytest.approx(0.1, rel=1e-4)
    fake[1] += 0.1
    assert float(statistics_distance(real, fake, present)) == pytest.approx(0.15, rel=1e-4)


def test_every_statistic_has_its_weight() -> None:
    assert set(STATISTIC_WEIGHTS) == set(STATISTICS)
    real = torch.zeros(1, 1, 1, len(STATISTICS))
    present = torch.ones(1, 1, 1, dtype=torch.bool)
    for number, name in enumerate(STATISTICS):
        fake = torch.zeros_like(real)
        fake[..., number] = 1.0
        expected = STATISTIC_WEIGHTS[name] / sum(STATISTIC_WEIGHTS.values())
        assert float(statistics_distance(real, fake, present)) == pytest.approx(expected)
