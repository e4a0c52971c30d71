"""Statistics and histograms of the intensities inside each label."""

from __future__ import annotations

import math

import numpy as np
import pytest

from AnatoMaskGANLib.evaluation.metrics.label_intensities import (
    ALL_LABELS,
    NUM_BINS,
    label_histograms,
    label_statistics,
    summarize_labels,
)


def test_the_statistics_of_a_label_are_those_of_its_voxels_only() -> None:
    labels = np.array([[[0, 3, 3, 5]]])
    real = np.array([[[0.9, 0.2, 0.4, 0.7]]])
    synthetic = np.array([[[0.0, 0.1, 0.5, 0.7]]])
    statistics = label_statistics(real, synthetic, labels)
    assert sorted(statistics) == [3, 5]
    label = statistics[3]
    assert label.num_voxels == 2
    assert (label.real_mean, label.synthetic_mean) == pytest.approx((0.3, 0.3))
    assert label.real_standard_deviation == pytest.approx(0.1)
    assert label.standard_deviation_ratio == pytest.approx(2.0)
    assert label.wasserstein == pytest.approx(0.1)


def test_a_shift_by_a_tenth_is_a_wasserstein_distance_of_a_tenth() -> None:
    real = np.random.default_rng(0).random((4, 10, 10)) * 0.5
    statistics = label_statistics(real, real + 0.1, np.ones(real.shape, dtype=int))
    assert statistics[1].wasserstein == pytest.approx(0.1)
    assert statistics[1].standard_deviation_ratio == pytest.approx(1.0)


def test_the_wasserstein_distance_ignores_where_in_the_label_an_intensity_lies() -> None:
    generator = np.random.default_rng(0)
    real = generator.random((4, 10, 10))
    shuffled = generator.permutation(real.ravel()).reshape(real.shape)
    statistics = label_statistics(real, shuffled, np.ones(real.shape, dtype=int))
    assert statistics[1].wasserstein == pytest.approx(0.0, abs=1e-12)


def test_a_constant_real_label_has_no_deviation_ratio() -> None:
    statistics = label_statistics(np.ones((1, 1, 4)), np.ones((1, 1, 4)), np.ones((1, 1, 4), int))
    assert math.isnan(statistics[1].standard_deviation_ratio)


def test_the_mean_over_labels_counts_each_large_label_once_and_leaves_small_ones_out() -> None:
    labels = np.concatenate([np.full(600, 1), np.full(6000, 2), np.full(499, 3)]).reshape(1, 1, -1)
    real = np.random.default_rng(0).random(labels.shape) * 0.5
    factor = np.select([labels == 1, labels == 2], [0.5, 1.1], 5.0)
    summary = summarize_labels(label_statistics(real, real * factor, labels))
    assert summary["label_deviation_ratio"] == pytest.approx((0.5 + 1.1) / 2)
    assert summary["label_deviation_share"] == 0.5


def test_no_large_label_gives_no_number_instead_of_a_good_one() -> None:
    assert math.isnan(summarize_labels({})["label_wasserstein"])


LABELS = np.array([[[0, 1, 1, 1, 1, 2, 2]]])
REAL = np.array([[[99.0, 0.0, 0.0, 10.0, 10.0, 50.0, 60.0]]])
SYNTHETIC = np.array([[[-99.0, 0.0, 10.0, 10.0, 10.0, 50.0, 50.0]]])


def test_each_label_has_its_own_bins_in_percent_of_its_voxels() -> None:
    histograms = label_histograms(REAL, SYNTHETIC, LABELS)
    assert sorted(histograms) == [ALL_LABELS, 1, 2]
    first = histograms[1]
    assert list(first.centers) == list(range(11))
    assert (first.real_percent[0], first.real_percent[-1]) == (50, 50)
    assert (first.synthetic_percent[0], first.synthetic_percent[-1]) == (25, 75)


def test_scans_of_whole_numbers_leave_no_bin_empty_by_rounding() -> None:
    draws = np.random.default_rng(0)
    real = np.rint(draws.normal(100, 20, (20, 60, 60)))
    synthetic = draws.normal(100, 20, real.shape)
    histogram = label_histograms(real, synthetic, np.ones(real.shape, int))[1]
    assert set(np.diff(histogram.centers)) == {2.0}
    middle = abs(histogram.centers - 100) < 20
    assert (histogram.real_percent[middle] > 2).all()
    np.testing.assert_allclose(
        histogram.real_percent[middle], histogram.synthetic_percent[middle], atol=0.5
    )


def test_the_background_counts_nowhere() -> None:
    together = label_histograms(REAL, SYNTHETIC, LABELS)[ALL_LABELS]
    assert together.centers.min() >= 0 and together.centers.max() <= 60
    assert together.real_percent.sum() > 65  # 6 labeled voxels, the outermost two may be beyond


def test_a_single_intensity_falls_into_one_bin() -> None:
    same = np.full((2, 3, 4), 7.0)
    histogram = label_histograms(same, same, np.ones((2, 3, 4), int))[1]
    assert histogram.real_percent.max() == 100


def test_images_of_fractions_get_a_fixed_number_of_bins() -> None:
    histogram = label_histograms(REAL + 0.5, SYNTHETIC, LABELS)[1]
    assert len(histogram.centers) == NUM_BINS


def test_a_few_odd_voxels_do_not_press_the_others_together() -> None:
    draws = np.random.default_rng(0)
    real = draws.normal(100, 5, (10, 50, 50))
    real[0, 0, :5] = 1e6
    histogram = label_histograms(real, real, np.ones(real.shape, int))[1]
    assert histogram.centers.max() < 200


def test_without_a_label_there_is_no_histogram() -> None:
    assert label_histograms(REAL, SYNTHETIC, np.zeros_like(LABELS)) == {}
