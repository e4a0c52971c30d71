from __future__ import annotations

import torch

from AnatoMaskGANLib.config import DiscriminatorSettings
from AnatoMaskGANLib.networks.discriminators.segmentation import SegmentationUNet

SETTINGS = DiscriminatorSettings(kind="segmentation", channels=8, num_layers=2)


def test_every_pixel_gets_a_logit_for_each_output_at_any_size() -> None:
    network = SegmentationUNet(SETTINGS, 6)
    assert network(torch.rand(2, 3, 1, 19, 22)).shape == (6, 6, 19, 22)


def test_every_parameter_gets_a_gradient() -> None:
    torch.manual_seed(0)
    network = SegmentationUNet(SETTINGS, 6)
    network(torch.rand(1, 3, 1, 16, 16)).square().sum().backward()
    assert [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_a_slice_sees_its_neighbors_only() -> None:
    torch.manual_seed(0)
    network = SegmentationUNet(SETTINGS, 6).eval()
    images = torch.rand(1, 7, 1, 16, 16)
    changed = images.clone()
    changed[:, 6] = 0
    with torch.no_grad():
        a, b = network(images), network(changed)
    assert torch.equal(a[:5], b[:5])
    assert not torch.equal(a[5], b[5])
