"""The slices that the paper's figures are computed on."""

import numpy as np
import pytest
import torch

from AnatoMaskGANLib.evaluation.metrics.protocol import (
    compared_slices,
    resize_mask,
    resize_slice,
    to_unit_range,
)


def test_one_window_is_used_for_every_slice_so_that_wrong_brightness_shows() -> None:
    bright = to_unit_range(np.full((2, 4, 4), 80.0), (0.0, 100.0))
    dark = to_unit_range(np.full((2, 4, 4), 20.0), (0.0, 100.0))
    assert np.allclose(bright, 0.8) and np.allclose(dark, 0.2)


def test_intensities_outside_the_window_are_clipped() -> None:
    unit = to_unit_range(np.array([-2000.0, -1000.0, 0.0, 1000.0, 3000.0]), (-1000.0, 1000.0))
    assert unit.tolist() == [0.0, 0.0, 0.5, 1.0, 1.0]


@pytest.mark.parametrize("window", [(1.0, 1.0), (2.0, 1.0), (0.0, float("nan"))])
def test_an_empty_window_is_refused(window: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="intensity window"):
        to_unit_range(np.zeros(3), window)


def test_a_slice_counts_from_more_than_two_percent_labeled_pixels() -> None:
    labels = np.zeros((3, 10, 10), dtype=np.uint8)
    labels[1].flat[:2] = 1
    labels[2].flat[:3] = 7
    assert compared_slices(labels).tolist() == [2]


def test_a_case_without_any_countable_slice_is_refused_with_its_fullest_slice() -> None:
    labels = np.zeros((3, 10, 10), dtype=np.uint8)
    labels[0, 0, 0] = 1
    with pytest.raises(ValueError, match=r"1\.00%"):
        compared_slices(labels)


@pytest.mark.parametrize("shape", [(192, 160), (224, 224), (60, 71)])
def test_slices_are_enlarged_as_pytorch_does_it_bilinearly(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).random(shape, dtype=np.float32)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(image)[None, None], size=(224, 224), mode="bilinear", align_corners=False
    )[0, 0]
    assert np.allclose(resize_slice(image), expected.numpy(), atol=1e-5)


def test_slices_that_shrink_are_smoothed_first() -> None:
    checkers = np.indices((448, 448)).sum(axis=0) % 2
    inner = resize_slice(checkers.astype(np.float32))[8:-8, 8:-8]
    assert inner.min() > 0.4 and inner.max() < 0.6


def test_masks_are_resized_as_pytorch_does_it_with_the_nearest_neighbor() -> None:
    mask = np.random.default_rng(0).random((160, 300)) > 0.5
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(mask)[None, None].float(), size=(224, 224), mode="nearest-exact"
    )[0, 0]
    assert np.array_equal(resize_mask(mask), expected.numpy() > 0.5)
