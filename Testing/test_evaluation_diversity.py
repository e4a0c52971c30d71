"""Differences between the samples of one label map."""

import numpy as np
import pytest

from AnatoMaskGANLib.evaluation.metrics.diversity import diversity, multi_scale_similarity


def _labels_and_image() -> tuple[np.ndarray, np.ndarray]:
    labels = np.zeros((20, 64, 64), dtype=np.uint8)
    labels[2:18, 16:48, 16:48] = 1
    image = np.random.default_rng(0).random(labels.shape, dtype=np.float32) * labels
    return labels, image


def test_equal_samples_have_no_diversity() -> None:
    labels, image = _labels_and_image()
    figures = diversity([image, image, image], labels)
    assert figures == pytest.approx({"diversity": 0.0, "diversity_foreground": 0.0}, abs=1e-6)


def test_diversity_grows_with_the_difference_of_the_samples() -> None:
    labels, image = _labels_and_image()

    def of_strength(strength: float) -> float:
        noise = np.random.default_rng(1).normal(0, strength, image.shape).astype(np.float32)
        return diversity([image, np.clip(image + noise * labels, 0, 1)], labels)["diversity"]

    assert 0 < of_strength(0.05) < of_strength(0.2) < 1


def test_the_deviation_between_samples_counts_labeled_voxels_only() -> None:
    labels, _ = _labels_and_image()
    dark = np.zeros(labels.shape, dtype=np.float32)
    light = np.where(labels, 0.2, 0.9).astype(np.float32)
    expected = np.std([0.0, 0.2], ddof=1)
    found = diversity([dark, light], labels)["diversity_foreground"]
    assert found == pytest.approx(expected, rel=1e-5)


def test_one_sample_cannot_be_diverse() -> None:
    labels, image = _labels_and_image()
    with pytest.raises(ValueError, match="at least two"):
        diversity([image], labels)


def test_ms_ssim_of_flat_images_is_the_coarsest_luminance_term() -> None:
    """Contrast terms of flat images are 1; the luminance enters at the last scale, power 0.1333."""
    a, b, c1 = 0.25, 0.75, 0.01**2
    luminance = (2 * a * b + c1) / (a * a + b * b + c1)
    first, second = np.full((2, 1, 224, 224), [[[[a]]], [[[b]]]], dtype=np.float32)
    assert multi_scale_similarity(first, second) == pytest.approx(luminance**0.1333, abs=1e-3)
