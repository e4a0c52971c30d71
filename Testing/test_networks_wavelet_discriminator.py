from __future__ import annotations

import pytest
import torch

from AnatoMaskGANLib.config import DiscriminatorSettings
from AnatoMaskGANLib.networks.discriminators.wavelet import (
    WaveletDiscriminator,
    haar_bands,
    minibatch_standard_deviation,
)

SETTINGS = DiscriminatorSettings(
    kind="wavelet", channels=8, num_layers=2, slices_seen=1, spectral_norm=False
)


def test_haar_bands_are_those_worked_out_by_hand() -> None:
    block = torch.tensor([[1.0, 2.0], [3.0, 6.0]])[None, None]
    assert haar_bands(block).flatten().tolist() == [6.0, -3.0, -2.0, 1.0]


def test_haar_bands_keep_the_energy() -> None:
    images = torch.randn(2, 3, 8, 10)
    assert haar_bands(images).square().sum() == pytest.approx(float(images.square().sum()), 1e-5)


def test_equal_slices_have_no_deviation_and_different_ones_have() -> None:
    slices = torch.ones(4, 2, 3, 3)
    assert minibatch_standard_deviation(slices)[:, 2].max() < 1e-3
    slices[0] = 5
    assert minibatch_standard_deviation(slices)[:, 2].min() > 0.1
    assert minibatch_standard_deviation(slices).shape == (4, 3, 3, 3)


def test_every_slice_gets_one_logit_at_any_size_and_every_parameter_a_gradient() -> None:
    torch.manual_seed(0)
    network = WaveletDiscriminator(SETTINGS)
    logits = network(torch.rand(2, 3, 1, 21, 30))
    assert logits.shape == (6, 1)
    logits.square().sum().backward()
    assert [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_fine_texture_reaches_the_logit() -> None:
    """A checkerboard that vanishes in the mean of 2x2 pixels is seen in the sub-bands."""
    torch.manual_seed(0)
    network = WaveletDiscriminator(SETTINGS).eval()
    gray = torch.full((1, 1, 1, 16, 16), 0.5)
    board = gray + 0.1 * (-1.0) ** (torch.arange(16)[:, None] + torch.arange(16))
    with torch.no_grad():
        assert not torch.allclose(network(gray), network(board))
