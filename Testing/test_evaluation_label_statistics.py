"""Statistics of the intensities in each label."""

import math

import numpy as np
import pytest

from AnatoMaskGANLib.evaluation.label_statistics import label_statistics, summarize_labels


def test_the_statistics_of_a_label_are_those_of_its_voxels_only() -> None:
    labels = np.array([[[0, 3, 3, 5]]])
    real = np.array([[[0.9, 0.2, 0.4, 0.7]]])
    synthetic = np.array([[[0.0, 0.1, 0.5, 0.7]]])
    statistics = label_statistics(real, synthetic, labels)
    assert sorted(statistics) == [3, 5]
    label = statistics[3]
    assert label.num_voxels == 2
    assert (label.real_mean, label.synthetic_mean) == pytest.approx((0.3, 0.3))
    assert label.real_deviation == pytest.approx(0.1)
    assert label.deviation_ratio == pytest.approx(2.0)
    assert label.wasserstein == pytest.approx(0.1)


def test_a_shift_by_a_tenth_is_a_wasserstein_distance_of_a_tenth() -> None:
    real = np.random.default_rng(0).random((4, 10, 10)) * 0.5
    statistics = label_statistics(real, real + 0.1, np.ones(real.shape, dtype=int))
    assert statistics[1].wasserstein == pytest.approx(0.1)
    assert statistics[1].deviation_ratio == pytest.approx(1.0)


def test_the_wasserstein_distance_ignores_where_in_the_label_an_intensity_lies() -> None:
    generator = np.random.default_rng(0)
    real = generator.random((4, 10, 10))
    shuffled = generator.permutation(real.ravel()).reshape(real.shape)
    statistics = label_statistics(real, shuffled, np.ones(real.shape, dtype=int))
    assert statistics[1].wasserstein == pytest.approx(0.0, abs=1e-12)


def test_a_constant_real_label_has_no_deviation_ratio() -> None:
    statistics = label_statistics(np.ones((1, 1, 4)), np.ones((1, 1, 4)), np.ones((1, 1, 4), int))
    assert math.isnan(statistics[1].deviation_ratio)


def test_the_mean_over_labels_counts_each_large_label_once_and_leaves_small_ones_out() -> None:
    labels = np.concatenate([np.full(600, 1), np.full(6000, 2), np.full(499, 3)]).reshape(1, 1, -1)
    real = np.random.default_rng(0).random(labels.shape) * 0.5
    factor = np.select([labels == 1, labels == 2], [0.5, 1.1], 5.0)
    summary = summarize_labels(label_statistics(real, real * factor, labels))
    assert summary["label_deviation_ratio"] == pytest.approx((0.5 + 1.1) / 2)
    assert summary["label_deviation_share"] == 0.5


def test_no_large_label_gives_no_number_instead_of_a_good_one() -> None:
    assert math.isnan(summarize_labels({})["label_wasserstein"])
