"""Dice overlap, and a segmenter on real and synthetic images."""

import numpy as np
import pytest
import torch
from monai.metrics import DiceMetric
from monai.networks.utils import one_hot

from AnatoMaskGANLib.evaluation.faithfulness import dice_by_label, faithfulness
from AnatoMaskGANLib.volumes import LabelMap, Volume


def test_dice_is_worked_out_by_hand() -> None:
    reference = np.array([1, 1, 1, 2, 0, 7])
    predicted = np.array([1, 1, 2, 2, 0, 0])
    assert dice_by_label(reference, predicted) == pytest.approx({1: 4 / 5, 2: 2 / 3, 7: 0.0})


def test_dice_agrees_with_monai() -> None:
    reference, predicted = np.random.default_rng(0).integers(0, 4, (2, 8, 9, 10))
    maps = [one_hot(torch.from_numpy(x)[None, None], 4) for x in (predicted, reference)]
    expected = DiceMetric(include_background=False)(*maps)[0]
    assert list(dice_by_label(reference, predicted).values()) == pytest.approx(expected.tolist())


def test_a_label_that_only_the_segmenter_sees_does_not_count_as_a_label_of_the_case() -> None:
    assert dice_by_label(np.array([1, 0]), np.array([1, 5])) == {1: 1.0}


AFFINE = np.diag([1.0, 1.0, 2.0, 1.0])


def _threshold_segmenter(volume: Volume) -> LabelMap:
    return LabelMap((volume.voxels_kji > 50).astype(np.uint8), volume.ijk_to_ras, {1: "bright"})


def test_faithfulness_is_relative_to_what_the_segmenter_finds_in_the_real_image() -> None:
    labels = np.zeros((1, 2, 4), dtype=np.uint8)
    labels[0, :, :2] = 1
    real = labels * 100.0
    real[0, 0, 0] = 0  # the segmenter misses a voxel of the real image: Dice 6/7
    synthetic = labels * 100.0
    synthetic[0, :, 0] = 0  # and two of the synthetic one: Dice 4/6
    figures = faithfulness(
        _threshold_segmenter,
        Volume(real.astype(np.float32), AFFINE),
        Volume(synthetic.astype(np.float32), AFFINE),
        LabelMap(labels, AFFINE, {1: "bright"}),
    )
    assert figures == pytest.approx(
        {"dice_real": 6 / 7, "dice_synthetic": 4 / 6, "dice_ratio": (4 / 6) / (6 / 7)}
    )


def test_a_segmentation_on_another_grid_is_refused() -> None:
    volume = Volume(np.ones((2, 2, 2), np.float32), AFFINE)
    label_map = LabelMap(np.ones((2, 2, 2), np.uint8), AFFINE, {1: "bright"})
    with pytest.raises(ValueError, match="another grid"):
        faithfulness(
            lambda _: LabelMap(np.ones((2, 2, 3), np.uint8), AFFINE, {1: "bright"}),
            volume,
            volume,
            label_map,
        )
