"""The perceptual distance by a network's feature maps."""

import numpy as np
import pytest

from AnatoMaskGANLib.evaluation.feature_distance import map_distance, mean_feature_distance


def test_the_distance_is_worked_out_by_hand() -> None:
    # one slice, two channels, two pixels: (3,4) and (1,0) against (4,3) and (2,0)
    real = np.array([[[[3.0, 1.0]], [[4.0, 0.0]]]])
    synthetic = np.array([[[[4.0, 2.0]], [[3.0, 0.0]]]])
    # unit vectors (.6,.8) and (.8,.6) differ by 0.08 squared; the second pixel's are the same
    assert map_distance([real], [synthetic]) == pytest.approx([0.04])
    assert map_distance([real, real], [synthetic, synthetic]) == pytest.approx([0.08])


def test_equal_maps_have_no_distance_and_opposite_ones_the_largest() -> None:
    maps = np.random.default_rng(0).normal(size=(3, 4, 5, 6))
    assert map_distance([maps], [maps]) == pytest.approx([0, 0, 0])
    assert map_distance([maps], [-maps]) == pytest.approx([4, 4, 4])


def test_every_compared_slice_counts_once_whatever_the_batches() -> None:
    labels = np.ones((19, 8, 8), dtype=np.uint8)
    real = np.random.default_rng(0).random((19, 8, 8), dtype=np.float32)
    synthetic = real[::-1].copy()
    seen = []

    def maps(slices: np.ndarray) -> list[np.ndarray]:
        seen.append(len(slices))
        return [np.stack([slices, 1 - slices], axis=1)]

    found = mean_feature_distance(maps, real, synthetic, labels)
    assert seen == [16, 16, 3, 3]
    assert found > 0
