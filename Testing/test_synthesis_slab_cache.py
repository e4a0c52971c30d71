"""The slice graph of the engine does not depend on how or where the engine computes."""

from __future__ import annotations

import pytest
import torch
from tiny_models import SPACING_IJK_MM, random_labels, tiny_generator, tiny_settings
from torch import Tensor

from AnatoMaskGANLib.synthesis.engine.fast_generator import FastGenerator
from AnatoMaskGANLib.synthesis.engine.slab_cache import SlabCache
from AnatoMaskGANLib.synthesis.engine.synthesis_box import BoxLabels, SynthesisBox


def graph_patches(dtype: torch.dtype, slab_size: int) -> Tensor:
    """The slice graph of the same labels, with an engine of this precision and slab size."""
    box = SynthesisBox((0, 9), (0, 16), (0, 24))
    labels = BoxLabels(random_labels((9, 16, 24)), box, SPACING_IJK_MM)
    with torch.inference_mode():
        engine = FastGenerator(tiny_generator(tiny_settings()), dtype)
        graph = SlabCache(engine, labels, slab_size).graph
    assert graph is not None
    return graph.patches


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_slice_graph_is_float32_on_the_cpu_whatever_the_precision_of_the_engine(
    dtype: torch.dtype,
) -> None:
    expected, found = graph_patches(torch.float32, 16), graph_patches(dtype, 2)
    assert (found.dtype, found.device.type) == (torch.float32, "cpu")
    assert expected.std() > 0
    assert torch.equal(found, expected)
