from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from AnatoMaskGANLib.training import losses

KINDS = ("hinge", "ls", "original", "w")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("hinge", (0 + 0.5) / 2 + (2.0 + 0) / 2),
        ("ls", 0.5 * ((1 + 0.25) / 2 + (1 + 4) / 2)),
        (
            "original",
            (math.log1p(math.exp(-2)) + math.log1p(math.exp(-0.5))) / 2
            + (math.log1p(math.exp(1)) + math.log1p(math.exp(-2))) / 2,
        ),
        ("w", (1 - 2) / 2 - (2 + 0.5) / 2),
    ],
)
def test_the_discriminators_losses_are_those_worked_out_by_hand(kind: str, expected: float) -> None:
    real, fake = torch.tensor([2.0, 0.5]), torch.tensor([1.0, -2.0])
    assert float(losses.discriminator(kind, real, fake)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_generator_pays_less_for_what_is_taken_for_real(kind: str) -> None:
    convinced, caught = (losses.generator(kind, torch.full((3,), value)) for value in (0.9, -1.0))
    assert convinced < caught


def test_an_unknown_adversarial_loss_is_told_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="hinge, ls, original or w"):
        losses.discriminator("hing", torch.zeros(1), torch.zeros(1))


def test_weights_are_one_inside_the_mask_and_fall_as_a_gaussian_outside() -> None:
    labels = torch.zeros(1, 2, 1, 9, dtype=torch.long)
    labels[0, 0, 0, 3:6] = 2  # centroid 4, variance (1 + 0 + 1) / 3, at least 1
    weights = losses.mask_weights(labels)[0, :, 0, 0]
    assert weights[0, 3:6].tolist() == [1, 1, 1]
    assert weights[0, 6] == pytest.approx(math.exp(-0.5 * 4))
    assert weights[0, 2] == weights[0, 6]
    assert weights[0, 8] == pytest.approx(math.exp(-0.5 * 16))
    assert weights[1].tolist() == [1] * 9


def test_weighted_l1_counts_errors_by_their_weights() -> None:
    made, real = torch.tensor([[[[[1.0, 1.0]]]]]), torch.zeros(1, 1, 1, 1, 2)
    weights = torch.tensor([[[[[1.0, 0.5]]]]])
    assert losses.distance("weighted_l1", made, real, weights) == 0.75
    assert losses.distance("l1", made, real) == 1.0
    assert losses.distance("l2", made, 3 * made) == 4.0


def test_the_body_mask_loss_is_zero_on_the_labels_shape_and_has_a_gradient() -> None:
    labels = torch.zeros(1, 1, 8, 8, dtype=torch.long)
    labels[..., 2:6, 2:6] = 3
    fitting = (labels > 0).float()[:, :, None].requires_grad_(True)
    assert float(losses.body_mask(fitting.detach(), labels, 0.5)) < 1e-3
    moved = fitting.detach().roll(2, -1).requires_grad_(True)
    loss = losses.body_mask(0.5 + 0.1 * (moved - 0.5), labels, 0.5)
    loss.backward()
    assert float(loss) == pytest.approx(1 - 17 / 33, abs=0.05)  # half of 16 pixels overlap
    assert moved.grad.abs().sum() > 0


def test_class_weights_make_every_present_class_weigh_the_same() -> None:
    labels = torch.tensor([[[[0, 0, 0, 2]]], [[[1, 1, 1, 1]]]])
    weights = losses.class_weights(labels, 3)
    assert weights[0].tolist() == pytest.approx([4 / (2 * 3), 0, 4 / 2])
    assert weights[1].tolist() == pytest.approx([0, 1, 0])
    pixels = losses.pixel_weights(weights, labels)
    assert pixels[0].sum() == pytest.approx(4)
    assert pixels[0, 0, 0, 3] == pytest.approx(2)


def test_balanced_cross_entropy_with_even_weights_is_torchs_own() -> None:
    logits, labels = torch.randn(2, 3, 4, 5, 6), torch.randint(4, (2, 3, 5, 6))
    even = torch.ones(2, 3, 5, 6)
    expected = functional.cross_entropy(logits.flatten(0, 1), labels.flatten(0, 1))
    assert torch.allclose(losses.balanced_cross_entropy(logits, labels, even), expected)


def test_soft_dice_is_zero_for_the_right_classes_and_one_for_wrong_ones() -> None:
    labels = torch.zeros(1, 1, 16, 16, dtype=torch.long)
    labels[..., 4:12, 4:12] = 1
    right = 40.0 * functional.one_hot(labels, 3).movedim(-1, 2).float()
    assert float(losses.soft_dice(right, labels)) == pytest.approx(0, abs=1e-5)
    wrong = 40.0 * functional.one_hot(2 * labels, 3).movedim(-1, 2).float()
    assert float(losses.soft_dice(wrong, labels)) > 0.95
    assert float(losses.soft_dice(right, torch.zeros_like(labels))) == 0


def test_r1_of_a_linear_judge_is_its_squared_slope() -> None:
    images = torch.rand(2, 3, 1, 4, 4, requires_grad=True)
    penalty = losses.gradient_penalty(images, 3 * images.sum())
    assert float(penalty) == pytest.approx(9 * 16)


def test_feature_matching_leaves_the_logits_out() -> None:
    features = [[torch.ones(2), torch.zeros(1)], [torch.ones(2), torch.ones(1)]]
    others = [[torch.zeros(2), torch.zeros(1)], [torch.ones(2), 5 * torch.ones(1)]]
    assert losses.feature_matching(features, others) == 0.5
