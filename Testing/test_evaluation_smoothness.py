"""Ratios of steps and of similarity between neighboring slices, worked out by hand."""

import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from AnatoMaskGANLib.evaluation.smoothness import (
    adjacent_similarity,
    adjacent_similarity_ratio,
    mean_step,
    step_ratios,
)


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
