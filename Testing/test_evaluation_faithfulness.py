"""Dice overlap, and a segmenter on real and synthetic images."""

import numpy as np
import pytest
import torch
from monai.metrics import DiceMetric
from monai.networks.utils import one_hot

from AnatoMaskGANLib.evaluation.metrics.faithfulness import (
    dice_by_label,
    faithfulness,
    samples_agreement,
)
from AnatoMaskGANLib.volumes import LabelMap


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


def _label_map(labels: list[list[int]]) -> LabelMap:
    return LabelMap(np.array([labels], dtype=np.uint8), AFFINE, {1: "bright"})


def test_faithfulness_is_relative_to_what_the_segmenter_finds_in_the_real_image() -> None:
    truth = _label_map([[1, 1, 0], [1, 1, 0]])
    one_missed = _label_map([[0, 1, 0], [1, 1, 0]])  # Dice 6/7
    two_missed = _label_map([[0, 1, 0], [0, 1, 0]])  # Dice 4/6
    assert faithfulness(truth, one_missed, two_missed) == pytest.approx(
        {"dice_real": 6 / 7, "dice_synthetic": 4 / 6, "dice_ratio": (4 / 6) / (6 / 7)}
    )


def test_a_segmentation_on_another_grid_is_refused() -> None:
    truth, other = _label_map([[1, 1], [1, 1]]), _label_map([[1, 1, 1], [1, 1, 1]])
    with pytest.raises(ValueError, match="another grid"):
        faithfulness(truth, truth, other)


def test_samples_agree_by_the_dice_of_every_pair() -> None:
    first = _label_map([[1, 1, 0], [1, 1, 0]])
    second = _label_map([[0, 1, 0], [1, 1, 0]])
    assert samples_agreement([first, first]) == {"samples_dice": 1.0}
    pairs = (1.0, 6 / 7, 6 / 7)
    assert samples_agreement([first, first, second])["samples_dice"] == pytest.approx(
        sum(pairs) / 3
    )
