"""PSNR, SSIM, absolute error, and the steps from voxel to voxel."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.metrics import SSIMMetric
from scipy.ndimage import gaussian_filter

from AnatoMaskGANLib.evaluation.metrics.fidelity import (
    absolute_error,
    adjacent_similarity,
    adjacent_similarity_ratio,
    mean_step,
    peak_signal_to_noise_db,
    similarity_map,
    slice_fidelity,
    step_ratios,
    volume_similarity,
)


def test_an_error_of_a_tenth_everywhere_is_twenty_decibels() -> None:
    assert peak_signal_to_noise_db(np.full((8, 8), 0.3), np.full((8, 8), 0.4)) == pytest.approx(20)


def test_equal_images_have_infinite_psnr() -> None:
    assert peak_signal_to_noise_db(np.ones((4, 4)), np.ones((4, 4))) == math.inf


def test_the_data_range_is_one_and_not_the_range_of_the_image() -> None:
    """A faint image in [0, 0.1] is not judged by its own brightest pixel (a classic slip)."""
    faint = np.random.default_rng(0).random((32, 32)) * 0.1
    noisy = faint + 0.01
    assert peak_signal_to_noise_db(faint, noisy) == pytest.approx(40)
    similarity, _ = similarity_map(faint, np.random.default_rng(1).random((32, 32)) * 0.1)
    assert similarity < 0.7


def test_two_unrelated_images_do_not_look_alike() -> None:
    """With a data range of 255 on [0,1] images, this pair scores 0.997 (a classic slip)."""
    first, second = np.random.default_rng(0).random((2, 224, 224))
    assert similarity_map(first, second)[0] < 0.05


def test_ssim_of_two_flat_images_is_the_luminance_term() -> None:
    a, b, c1 = 0.25, 0.75, 0.01**2
    expected = (2 * a * b + c1) / (a * a + b * b + c1)
    assert similarity_map(np.full((9, 9), a), np.full((9, 9), b))[0] == pytest.approx(expected)


def test_ssim_agrees_with_monai() -> None:
    """MONAI divides by N, scikit-image by N-1 in the (co)variances; hence the tolerance."""
    generator = np.random.default_rng(0)
    real = generator.random((64, 64)).astype(np.float32)
    synthetic = np.clip(real + 0.2 * generator.standard_normal((64, 64)), 0, 1).astype(np.float32)
    monai = SSIMMetric(spatial_dims=2, data_range=1.0, win_size=7, kernel_type="uniform")
    expected = monai(torch.from_numpy(synthetic)[None, None], torch.from_numpy(real)[None, None])
    assert similarity_map(real, synthetic)[0] == pytest.approx(expected.item(), abs=2e-3)


def test_three_dimensional_ssim_agrees_with_monai() -> None:
    generator = np.random.default_rng(0)
    real = generator.random((20, 22, 24)).astype(np.float32)
    synthetic = np.clip(real + 0.2 * generator.standard_normal(real.shape), 0, 1)
    synthetic = synthetic.astype(np.float32)
    monai = SSIMMetric(spatial_dims=3, data_range=1.0, win_size=7, kernel_type="uniform")
    expected = monai(torch.from_numpy(synthetic)[None, None], torch.from_numpy(real)[None, None])
    assert volume_similarity(real, synthetic) == pytest.approx(expected.item(), abs=1e-3)


def test_three_dimensional_ssim_of_a_thin_volume_is_not_a_number() -> None:
    assert math.isnan(volume_similarity(np.zeros((6, 20, 20)), np.zeros((6, 20, 20))))


def _case_with_empty_background() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    labels = np.zeros((2, 224, 224), dtype=np.uint8)
    labels[:, :112, :112] = 1
    real = np.where(labels, 0.5, 0.0).astype(np.float32)
    return real, np.where(labels, 0.6, 0.0).astype(np.float32), labels


def test_a_black_background_earns_no_credit_in_the_foreground_figures() -> None:
    """An error of 0.1 in a quarter of the picture: 26 dB over all, 20 dB where anatomy is."""
    figures = slice_fidelity(*_case_with_empty_background())
    assert figures["psnr"] == pytest.approx(20 + 10 * math.log10(4), abs=1e-4)
    assert figures["psnr_foreground"] == pytest.approx(20, abs=1e-4)
    assert figures["ssim_foreground"] < figures["ssim"]


def test_a_figure_is_the_mean_over_slices_and_not_over_pixels() -> None:
    labels = np.ones((2, 30, 30), dtype=np.uint8)
    real = np.zeros((2, 30, 30), dtype=np.float32)
    synthetic = np.stack([np.full((30, 30), 0.1), np.full((30, 30), 0.01)]).astype(np.float32)
    assert slice_fidelity(real, synthetic, labels)["psnr"] == pytest.approx(30, abs=1e-3)


def test_slices_without_anatomy_do_not_count() -> None:
    labels = np.ones((3, 30, 30), dtype=np.uint8)
    labels[2] = 0
    real = np.zeros((3, 30, 30), dtype=np.float32)
    synthetic = np.full((3, 30, 30), 0.1, dtype=np.float32)
    synthetic[2] = 0
    assert slice_fidelity(real, synthetic, labels)["psnr"] == pytest.approx(20, abs=1e-3)


def test_the_absolute_error_is_in_units_and_not_clipped() -> None:
    labels = np.array([[[0, 0, 1, 1]]])
    real = np.array([[[0, 0, 100, 3000]]], dtype=np.int16)
    synthetic = np.array([[[0, 0, 140, 1000]]], dtype=np.float32)
    assert absolute_error(real, synthetic, labels) == {"mae": 510.0, "mae_foreground": 1020.0}


def test_unsigned_integers_do_not_wrap_around() -> None:
    labels = np.ones((1, 1, 1), dtype=np.uint8)
    error = absolute_error(np.array([[[10]]], np.uint8), np.array([[[20]]], np.uint8), labels)
    assert error["mae"] == 10


def test_the_mean_step_through_the_slices_is_the_mean_absolute_difference() -> None:
    image = np.array([0.0, 0.1, 0.4]).reshape(3, 1, 1)
    assert mean_step(image, np.ones((3, 1, 1)), axis=0) == pytest.approx(0.2)


def test_steps_over_the_outline_do_not_count() -> None:
    image = np.array([0.0, 0.9, 0.8, 0.0]).reshape(4, 1, 1)
    labels = np.array([0, 1, 2, 0]).reshape(4, 1, 1)
    assert mean_step(image, labels, axis=0) == pytest.approx(0.1)


def test_the_steps_of_a_single_slice_are_not_a_number() -> None:
    assert math.isnan(mean_step(np.zeros((1, 5, 5)), np.ones((1, 5, 5)), axis=0))


def test_ratios_are_one_for_the_real_image_itself() -> None:
    image = np.random.default_rng(0).random((4, 6, 8))
    labels = np.ones(image.shape, dtype=np.uint8)
    assert step_ratios(image, image, labels) == {"dz_ratio": 1.0, "dxy_ratio": 1.0}


def test_half_the_contrast_is_half_the_ratio() -> None:
    image = np.random.default_rng(0).random((4, 6, 8))
    labels = np.ones(image.shape, dtype=np.uint8)
    assert step_ratios(image, image / 2, labels)["dz_ratio"] == pytest.approx(0.5)


def test_through_plane_and_in_plane_are_told_apart() -> None:
    """Slices that are right one by one but do not belong together: |dz| rises, |dxy| does not."""
    image = gaussian_filter(np.random.default_rng(0).random((12, 40, 40)), 2.0)
    shuffled = image[np.random.default_rng(1).permutation(12)]
    ratios = step_ratios(image, shuffled, np.ones(image.shape, dtype=np.uint8))
    assert ratios["dxy_ratio"] == pytest.approx(1.0)
    assert ratios["dz_ratio"] > 2


def test_neighboring_slices_that_are_equal_have_similarity_one() -> None:
    image = np.repeat(np.random.default_rng(0).random((1, 30, 30)), 3, axis=0).astype(np.float32)
    labels = np.ones(image.shape, dtype=np.uint8)
    assert adjacent_similarity(image, labels) == pytest.approx(1.0)


def test_flicker_lowers_and_blur_raises_the_similarity_of_neighbors() -> None:
    generator = np.random.default_rng(0)
    real = gaussian_filter(generator.random((8, 40, 40)), 1.0).astype(np.float32)
    labels = np.ones(real.shape, dtype=np.uint8)
    flickering = real + generator.normal(0, 0.1, real.shape).astype(np.float32)
    blurred = gaussian_filter(real, (2.0, 0, 0))
    assert adjacent_similarity_ratio(real, real, labels) == pytest.approx(1.0)
    assert adjacent_similarity_ratio(real, flickering, labels) < 0.9
    assert adjacent_similarity_ratio(real, blurred, labels) > 1.05


def test_slices_on_both_sides_of_a_gap_are_not_neighbors() -> None:
    labels = np.ones((3, 20, 20), dtype=np.uint8)
    labels[1] = 0
    assert math.isnan(adjacent_similarity(np.zeros((3, 20, 20), dtype=np.float32), labels))
