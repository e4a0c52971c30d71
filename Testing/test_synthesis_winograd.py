from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn
from torch.nn import functional

from AnatoMaskGANLib.synthesis.engine import fast_layers
from AnatoMaskGANLib.synthesis.engine.fast_layers import Convolution
from AnatoMaskGANLib.synthesis.engine.winograd import (
    winograd_convolution,
    winograd_pays,
    winograd_weight,
)


@pytest.mark.parametrize("dilation", [1, 2, 3, 8])
@pytest.mark.parametrize("grid", [(8, 12), (7, 9), (1, 5)])
def test_it_equals_the_convolution_in_double_precision(
    dilation: int, grid: tuple[int, int]
) -> None:
    draws = torch.Generator().manual_seed(0)
    features = torch.randn(1, 5, *grid, generator=draws)
    weight, bias = torch.randn(4, 5, 3, 3, generator=draws), torch.randn(4, generator=draws)
    expected = functional.conv2d(
        features.double(), weight.double(), bias.double(), padding=dilation, dilation=dilation
    )
    made = winograd_convolution(features, winograd_weight(weight), bias, dilation)
    torch.testing.assert_close(made.double(), expected, rtol=0, atol=1e-5)
    without = winograd_convolution(features, winograd_weight(weight), None, dilation)
    torch.testing.assert_close(without + bias[:, None, None], made, rtol=0, atol=1e-6)


def test_it_pays_for_many_features_on_grids_that_tiles_of_two_pixels_fit() -> None:
    assert winograd_pays(512, 256, (28, 28), 2)
    assert not winograd_pays(512, 64, (28, 28), 2)
    assert not winograd_pays(512, 256, (28, 28), 4)
    assert not winograd_pays(512, 256, (3, 3), 1)


def test_a_fast_layer_takes_it_and_equals_the_layer() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(256, 256, 3, padding=2, dilation=2)
    features = torch.randn(1, 256, 12, 16)
    fast = Convolution(layer, torch.float32)
    with torch.inference_mode():
        made = fast(features.contiguous(memory_format=torch.channels_last))
        assert fast._winograd is not None
        torch.testing.assert_close(made, layer(features), rtol=0, atol=1e-5)
    assert made.is_contiguous(memory_format=torch.channels_last)


def test_threads_that_come_first_at_once_make_its_weights_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[torch.Tensor] = []

    def slowly(weight: torch.Tensor) -> torch.Tensor:
        time.sleep(0.1)
        made.append(winograd_weight(weight))
        return made[-1]

    monkeypatch.setattr(fast_layers, "winograd_weight", slowly)
    fast = Convolution(nn.Conv2d(256, 256, 3, padding=1).requires_grad_(False), torch.float32)
    features = torch.randn(1, 256, 8, 8).contiguous(memory_format=torch.channels_last)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(fast, [features, features])
    assert len(made) == 1
    assert torch.equal(first, second)
