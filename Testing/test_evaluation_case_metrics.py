"""The metrics of one case, whatever the orientation of its grid, and real against real."""

from __future__ import annotations

import math

import numpy as np
import pytest

from AnatoMaskGANLib.evaluation.metrics.case_metrics import (
    Subject,
    own_spacing_ras_mm,
    paired_metrics,
    to_grid_case,
    unpaired_metrics,
)
from AnatoMaskGANLib.volumes import LabelMap, Volume

WINDOW = (0.0, 100.0)


def _ras_case() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    labels = np.zeros((12, 20, 16), dtype=np.uint8)
    labels[2:10, 3:17, 3:13] = 1
    labels[4:8, 6:12, 5:10] = 2
    real = generator.random(labels.shape, dtype=np.float32) * 100 * (labels > 0)
    synthetic = np.clip(real + generator.normal(0, 8, labels.shape), 0, 100).astype(np.float32)
    return real, synthetic, labels, np.diag([1.0, 1.5, 3.0, 1.0])


def _metrics_of(
    real: Volume, synthetic: Volume, label_map: LabelMap, window: tuple[float, float]
) -> dict[str, float]:
    return paired_metrics(to_grid_case(real, synthetic, label_map, window))[0]


def test_the_figures_do_not_depend_on_how_the_grid_is_stored() -> None:
    real, synthetic, labels, affine = _ras_case()
    names = {1: "a", 2: "b"}
    expected = _metrics_of(
        Volume(real, affine), Volume(synthetic, affine), LabelMap(labels, affine, names), WINDOW
    )
    # The same anatomy stored with I to inferior, J to left and K to posterior.
    stored = [
        np.ascontiguousarray(array.transpose(1, 2, 0)[::-1, ::-1, ::-1])
        for array in (real, synthetic, labels)
    ]
    turned = np.zeros((4, 4))
    turned[2, 0], turned[0, 1], turned[1, 2], turned[3, 3] = -3.0, -1.0, -1.5, 1.0
    figures = _metrics_of(
        Volume(stored[0], turned),
        Volume(stored[1], turned),
        LabelMap(stored[2], turned, names),
        WINDOW,
    )
    assert own_spacing_ras_mm(LabelMap(stored[2], turned, names)) == (1.0, 1.5, 3.0)
    assert figures == pytest.approx(expected, rel=1e-6)


def test_the_real_image_against_itself_is_perfect_in_every_figure() -> None:
    real, _, labels, affine = _ras_case()
    volume = Volume(real, affine)
    figures = _metrics_of(volume, volume, LabelMap(labels, affine, {1: "a", 2: "b"}), WINDOW)
    assert figures["psnr"] == math.inf
    assert figures["mae"] == 0
    for key in ("ssim", "ssim_foreground", "ssim_3d", "dz_ratio", "adjacent_ssim_ratio"):
        assert figures[key] == pytest.approx(1.0)


def test_an_image_that_is_right_only_after_stretching_each_slice_is_not_right() -> None:
    """Half the contrast: stretched by its own extremes, every slice would equal the real one."""
    real, _, labels, affine = _ras_case()
    figures = _metrics_of(
        Volume(real, affine),
        Volume(real / 2, affine),
        LabelMap(labels, affine, {1: "a", 2: "b"}),
        WINDOW,
    )
    assert figures["psnr_foreground"] < 15
    assert figures["label_deviation_ratio"] == pytest.approx(0.5, abs=1e-3)


def test_a_volume_on_another_grid_is_refused() -> None:
    real, synthetic, labels, affine = _ras_case()
    shifted = affine.copy()
    shifted[0, 3] = 5.0
    with pytest.raises(ValueError, match="synthetic volume"):
        _metrics_of(
            Volume(real, affine),
            Volume(synthetic, shifted),
            LabelMap(labels, affine, {1: "a", 2: "b"}),
            WINDOW,
        )


def _subject(values: list[float], labels: list[int]) -> Subject:
    """Two equal slices, so that the step between them is 0 unless one is changed."""
    image = np.array(values, dtype=np.float32).reshape(1, 1, -1).repeat(2, axis=0)
    return Subject(image, np.array(labels, dtype=np.uint8).reshape(1, 1, -1).repeat(2, axis=0))


def test_statistics_of_a_label_are_worked_out_by_hand() -> None:
    own = _subject([0.2, 0.4, 0.9], [1, 1, 0])
    other = _subject([0.1, 0.5, 0.9, 0.9], [1, 1, 2, 0])
    _, labels = unpaired_metrics(own, other)
    assert list(labels) == [1]  # the other label is in one scan alone
    assert labels[1].num_voxels == 4
    assert labels[1].standard_deviation_ratio == pytest.approx(2.0)  # 0.2 over 0.1
    assert labels[1].wasserstein == pytest.approx(0.1)


def test_steps_between_slices_are_compared_without_pairs_of_voxels() -> None:
    own, other = _subject([0.2, 0.4], [1, 1]), _subject([0.2, 0.4, 0.2], [1, 1, 1])
    own.image_kji[1] += 0.2
    other.image_kji[1] += 0.1
    figures, _ = unpaired_metrics(own, other)
    assert figures["dz_ratio"] == pytest.approx(0.5)


def test_a_scan_against_itself_is_right_everywhere() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, (12, 12, 12)).astype(np.uint8)
    subject = Subject(generator.random(labels.shape, dtype=np.float32), labels)
    figures, _ = unpaired_metrics(subject, subject)
    assert figures == pytest.approx(
        {
            "dz_ratio": 1,
            "dxy_ratio": figures["dxy_ratio"],
            "label_wasserstein": 0,
            "label_deviation_ratio": 1,
            "label_deviation_share": 1,
        },
        nan_ok=True,
    )
