"""The slice graph of the engine does not depend on how or where the engine computes."""

from __future__ import annotations

import pytest
import torch
from tiny_models import SPACING_IJK_MM, random_labels, tiny_generator, tiny_settings

from AnatoMaskGANLib.synthesis.engine.fast_generator import FastGenerator
from AnatoMaskGANLib.synthesis.engine.slab_cache import SlabCache
from AnatoMaskGANLib.synthesis.engine.synthesis_box import BoxLabels, SynthesisBox


def slab_cache(dtype: torch.dtype, slab_size: int) -> SlabCache:
    labels = random_labels((9, 16, 24))
    generator = tiny_generator(tiny_settings())
    box = SynthesisBox((0, 9), (0, 16), (0, 24))
    with torch.inference_mode():
        engine = FastGenerator(generator, dtype)
        return SlabCache(engine, BoxLabels(labels, box, SPACING_IJK_MM), slab_size)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_slice_graph_is_float32_on_the_cpu_whatever_the_precision_of_the_engine(
    dtype: torch.dtype,
) -> None:
    expected, found = slab_cache(torch.float32, 16).graph, slab_cache(dtype, 2).graph
    assert expected is not None and found is not None
    assert (found.patches.dtype, found.patches.device.type) == (torch.float32, "cpu")
    assert torch.equal(found.patches, expected.patches)
