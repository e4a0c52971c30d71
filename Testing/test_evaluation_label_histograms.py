from __future__ import annotations

import numpy as np

from AnatoMaskGANLib.evaluation.label_histograms import ALL_LABELS, NUM_BINS, label_histograms

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
