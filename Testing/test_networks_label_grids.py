"""The label dictionary gives the numbers of the plain convolutions."""

from __future__ import annotations

import pytest
import torch

from AnatoMaskGANLib.networks import label_words
from AnatoMaskGANLib.networks.label_grids import DenseLabelField, WordLabelField
from AnatoMaskGANLib.networks.label_words import LabelWords
from AnatoMaskGANLib.networks.spade import SPADE


def blocky_labels(num_slices: int, height: int, width: int, num_classes: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(num_classes)
    coarse = torch.randint(
        0, num_classes, (num_slices, height // 4, width // 4), generator=generator
    )
    return coarse.repeat_interleave(4, 1).repeat_interleave(4, 2)


@pytest.mark.parametrize("num_classes", [2, 36, 127, 128, 300])
@pytest.mark.parametrize("stride", [1, 2, 4])
def test_words_give_the_modulation_of_the_convolutions(num_classes: int, stride: int) -> None:
    torch.manual_seed(0)
    labels = blocky_labels(2, 24, 32, num_classes)
    spade = SPADE(6, num_classes, num_hidden=5)
    dense = DenseLabelField(labels, num_classes).modulation(spade.branch, stride)
    words = WordLabelField(labels, num_classes).modulation(spade.branch, stride)
    torch.testing.assert_close(words, dense, rtol=0, atol=1e-6)


def test_words_give_the_gradients_of_the_convolutions() -> None:
    labels = blocky_labels(1, 16, 16, 5)
    gradients = []
    for kind in (DenseLabelField, WordLabelField):
        torch.manual_seed(0)
        spade = SPADE(4, 5, num_hidden=3)
        spade(torch.randn(1, 4, 16, 16), kind(labels, 5), 1).square().sum().backward()
        gradients.append([parameter.grad for parameter in spade.parameters()])
    for dense, words in zip(*gradients, strict=True):
        torch.testing.assert_close(words, dense, rtol=1e-4, atol=1e-4)


def test_one_label_everywhere_has_a_word_for_every_kind_of_border() -> None:
    words = LabelWords(torch.zeros(1, 9, 9, dtype=torch.long), num_classes=2)
    # Along one axis a pixel is first, second, inner, last but one or last: five kinds, squared.
    assert words.words5.shape[0] == 25


def test_fractions_are_the_shares_of_the_classes_in_a_cell() -> None:
    labels = torch.tensor([[[0, 1, 2, 2], [1, 1, 2, 0]]])
    fractions = DenseLabelField(labels, 3).fractions(2)
    expected = torch.tensor([[[[0.25, 0.25]], [[0.75, 0.0]], [[0.0, 0.75]]]])
    torch.testing.assert_close(fractions, expected)


@pytest.mark.parametrize(("num_ids", "told"), [(200, "200 distinct label words"), (129, "rows")])
def test_more_words_than_can_be_numbered_are_refused(
    monkeypatch: pytest.MonkeyPatch, num_ids: int, told: str
) -> None:
    """Two million fit, which takes too long to draw here."""
    monkeypatch.setattr(label_words, "_PACKED_BITS", 7 if num_ids == 200 else 8)
    ids = torch.randint(0, num_ids, (1, 40, 40), generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match=f"{told}.* do not fit; synthesize fewer slices at once"):
        label_words._number_neighborhoods(ids, num_ids)
