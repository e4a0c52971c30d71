"""3D-SNI: the noise is a unit-variance Gaussian field in millimeters on the voxel lattice."""

from __future__ import annotations

import math

import pytest
import torch

from AnatoMaskGANLib.networks.label_grids import DenseLabelField
from AnatoMaskGANLib.networks.noise import NoiseInjection, SliceNoise, noise_field

SIGMAS_MM = (0.7, 2.0, 6.0, 20.0)


def fields(sigma_mm: float, shape: tuple[int, int, int], spacing: tuple[float, float, float]):
    """Many independent fields of one sigma: [seeds,S,H,W]."""
    return torch.stack(
        [noise_field(s, (0, 0, 0), shape, spacing, (sigma_mm,))[0] for s in range(300)]
    )


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (5.0, 1.5, 0.7)])
@pytest.mark.parametrize("sigma_mm", SIGMAS_MM)
def test_noise_has_mean_zero_and_variance_one_at_every_voxel(sigma_mm, spacing) -> None:
    samples = fields(sigma_mm, (3, 5, 7), spacing)
    assert samples.mean(0).abs().max() < 0.3  # five standard errors of 300 samples
    assert abs(samples.mean()) < 0.1
    assert abs(samples.var(0).mean() - 1) < 0.1


@pytest.mark.parametrize("distance", [1, 2, 3, 4])
def test_slices_d_mm_apart_correlate_by_the_gaussian_law(distance: int) -> None:
    spacing_mm, sigma_mm = 5.0, 6.0
    field = noise_field(7, (0, 0, 0), (40, 160, 160), (spacing_mm, 1.5, 1.5), (sigma_mm,))[0]
    first, second = field[:-distance].reshape(-1), field[distance:].reshape(-1)
    correlation = torch.corrcoef(torch.stack([first, second]))[0, 1]
    expected = math.exp(-((distance * spacing_mm) ** 2) / (4 * sigma_mm**2))
    assert abs(float(correlation) - expected) < 0.05


def test_one_vector_a_slice_fails_this_law() -> None:
    per_slice = torch.randn(40, 1, 1).expand(40, 160, 160)  # the noise of the paper's public code
    correlation = torch.corrcoef(
        torch.stack([per_slice[:-1].reshape(-1), per_slice[1:].reshape(-1)])
    )
    assert abs(float(correlation[0, 1]) - math.exp(-25 / 144)) > 0.3


@pytest.mark.parametrize("start", [(3, 0, 0), (0, 5, 9), (-4, -7, 2)])
def test_any_tile_of_the_lattice_draws_the_same_values_to_the_bit(start) -> None:
    whole = noise_field(11, (-4, -7, 0), (16, 40, 50), (1.0, 1.0, 1.0), SIGMAS_MM)
    part = noise_field(11, start, (5, 13, 17), (1.0, 1.0, 1.0), SIGMAS_MM)
    k, j, i = (s - f for s, f in zip(start, (-4, -7, 0), strict=True))
    assert torch.equal(whole[:, k : k + 5, j : j + 13, i : i + 17], part)


def test_seeds_and_octaves_are_independent() -> None:
    shape, spacing = (8, 64, 64), (1.0, 1.0, 1.0)
    a, b = (noise_field(seed, (0, 0, 0), shape, spacing, (2.0, 2.0)) for seed in (1, 2))
    stacked = torch.stack([a[0], a[1], b[0], b[1]]).reshape(4, -1)
    off_diagonal = torch.corrcoef(stacked) - torch.eye(4)
    assert off_diagonal.abs().max() < 0.06


def test_a_sigma_far_below_the_spacing_gives_white_noise() -> None:
    field = noise_field(3, (0, 0, 0), (24, 96, 96), (1.0, 1.0, 1.0), (0.1,) * 4)
    assert (field.var(dim=(1, 2, 3)) - 1).abs().max() < 0.02
    for dim in (1, 2, 3):
        size = field.shape[dim] - 1
        first, second = (field.narrow(dim, start, size).reshape(4, -1) for start in (0, 1))
        # five standard errors of 210,000 pairs
        assert ((first * second).mean(1)).abs().max() < 0.011
    between_channels = torch.corrcoef(field.reshape(4, -1)) - torch.eye(4)
    assert between_channels.abs().max() < 0.011


@pytest.mark.parametrize("halves", [False, True])
def test_noise_pooled_to_a_stage_keeps_variance_one(halves: bool) -> None:
    spacing = (1.0, 1.0, 1.0)
    samples = torch.cat(
        [
            SliceNoise(
                noise_field(s, (0, 0, 0), (1, 64, 64), spacing, SIGMAS_MM).transpose(0, 1),
                1.0,
                (1.0, 1.0),
                SIGMAS_MM,
                halves,
            ).pooled(8)
            for s in range(120)
        ]
    )
    assert (samples.var(dim=(0, 2, 3)) - 1).abs().max() < 0.2


def test_a_mean_from_the_finer_stages_mean_is_the_mean_of_the_pixels() -> None:
    torch.manual_seed(0)
    values = torch.randn(2, 2, 32, 32)
    noise = [SliceNoise(values, 1.0, (1.0, 2.0), (1.5, 4.0), halves) for halves in (False, True)]
    for stride in (1, 2, 4, 16):
        plain, from_finer = (one.pooled(stride) for one in noise)
        torch.testing.assert_close(from_finer, plain, rtol=0, atol=1e-5)


def test_strength_zero_leaves_the_features_as_they_are() -> None:
    torch.manual_seed(0)
    injection = NoiseInjection(8, 3, 2)
    features, values = torch.randn(1, 8, 4, 4), torch.randn(1, 2, 4, 4)
    none, full = (SliceNoise(values, strength, (1.0, 1.0), (2.0, 6.0)) for strength in (0.0, 1.0))
    field = DenseLabelField(torch.ones(1, 4, 4, dtype=torch.long), 3)
    assert torch.equal(injection(features, none, field, 1), features)
    assert not torch.equal(injection(features, full, field, 1), features)
