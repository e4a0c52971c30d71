"""Superpixel guidance: patches of one intensity, which is their quantized mean."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.measure import label as connected

from AnatoMaskGANLib.preparation.superpixels import superpixel_guidance

SPACING = (1.0, 1.0, 2.0)


def two_halves(noise: float = 0.02) -> np.ndarray:
    image = np.full((4, 48, 48), 0.25)
    image[:, :, 24:] = 0.75
    return image + np.random.default_rng(0).normal(0, noise, image.shape)


def test_values_are_multiples_of_the_step() -> None:
    guidance = superpixel_guidance(two_halves(), SPACING, 40, step=10)
    levels = np.unique(np.round(guidance * 255, 4))
    assert np.all(levels % 10 == 0)
    assert guidance.dtype == np.float32 and 0 <= guidance.min() <= guidance.max() <= 1


def test_a_patch_has_the_mean_of_its_pixels_rounded_down() -> None:
    image = np.full((2, 32, 32), 0.3)
    assert superpixel_guidance(image, SPACING)[0, 0, 0] == pytest.approx(70 / 255)  # 76.5 -> 70
    guidance = superpixel_guidance(two_halves(0.0), SPACING, 16)
    assert np.allclose(guidance[:, :, :20], 60 / 255)  # 63.75
    assert np.allclose(guidance[:, :, 28:], 190 / 255)  # 191.25


def test_patches_respect_an_edge_of_the_image() -> None:
    guidance = superpixel_guidance(two_halves(), SPACING, 60)
    assert np.abs(guidance[:, :, :23] - 0.24).max() < 0.06
    assert np.abs(guidance[:, :, 25:] - 0.73).max() < 0.06


@pytest.mark.parametrize("per_slice", [True, False])
def test_the_number_of_patches_is_about_what_was_asked_for(per_slice: bool) -> None:
    image = np.random.default_rng(0).uniform(0, 1, (8, 64, 64))
    from scipy.ndimage import gaussian_filter

    image = gaussian_filter(image, 2)
    image = (image - image.min()) / (image.max() - image.min())
    guidance = superpixel_guidance(image, SPACING, 64, step=1, per_slice=per_slice)
    part = guidance[0] if per_slice else guidance
    # patches of the same value that touch count as one, so there are fewer
    assert 20 <= connected(np.round(part * 255).astype(int) + 1, connectivity=1).max() <= 110


def test_one_scale_of_likeness_holds_for_bright_and_for_dark_slices() -> None:
    """A slice of faint contrast is not stretched: its patches stay near squares."""
    faint = two_halves(0.0)
    faint[1] = 0.25 + (faint[1] - 0.25) * 0.02
    guidance = superpixel_guidance(faint, SPACING, 9, step=1)
    # nine squares of 16 columns: the middle ones lie across the faint edge and mix both halves
    assert len(np.unique(guidance[1])) >= 3
    assert len(np.unique(guidance[0])) == 2


def test_the_same_image_gives_the_same_guidance() -> None:
    first = superpixel_guidance(two_halves(), SPACING, 30)
    assert np.array_equal(first, superpixel_guidance(two_halves(), SPACING, 30))
