"""Which intensities become 0 and 1."""

from __future__ import annotations

import numpy as np
import pytest

from AnatoMaskGANLib.preparation.intensities import check_window, percentile_window
from AnatoMaskGANLib.preparation.settings import PreparationError


def test_percentiles_are_those_of_all_and_of_the_bright_voxels() -> None:
    voxels = np.concatenate([np.zeros(1000), np.arange(101)])
    low, high = percentile_window(voxels, (0, 50))
    mean = voxels.mean()  # 4.6: the voxels above it are 5 to 100
    assert (low, high) == (0.0, np.median(np.arange(np.ceil(mean), 101)))


def test_more_background_does_not_change_the_upper_end() -> None:
    anatomy = np.random.default_rng(0).uniform(400, 900, 5000)
    little = percentile_window(np.concatenate([np.zeros(2000), anatomy]), (0.5, 99.5))
    much = percentile_window(np.concatenate([np.zeros(20000), anatomy]), (0.5, 99.5))
    assert little == pytest.approx(much, rel=1e-2)


def test_an_image_without_contrast_is_refused() -> None:
    voxels = np.zeros(100000)
    voxels[0] = 1e-9
    with pytest.raises(PreparationError, match="expected an image with contrast"):
        percentile_window(np.full(10, 3.0), (0.5, 99.5))


def test_a_window_of_another_unit_is_refused() -> None:
    unit_image = np.random.default_rng(0).uniform(0, 1, 1000)
    check_window(unit_image, (-160, 240))
    with pytest.raises(PreparationError, match="check the unit of the image"):
        check_window(unit_image * 60000 + 2000, (-160, 240))
