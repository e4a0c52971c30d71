from __future__ import annotations

import math

import pytest
from tiny_models import label_map_of, random_labels, tiny_card, tiny_generator, tiny_settings

from AnatoMaskGANLib.config import preset_generator
from AnatoMaskGANLib.synthesis import MemoryLimitError, Synthesizer
from AnatoMaskGANLib.synthesis.devices import pick_device
from AnatoMaskGANLib.synthesis.engine.memory_plan import (
    NOTHING_KEPT,
    PROGRAM_BYTES,
    Kept,
    memory_need,
    slab_size_within,
)
from AnatoMaskGANLib.synthesis.engine.synthesis_box import SynthesisBox

GIB = 2**30


def slab_size(limit_bytes: int, num_slices: int, settings=None, size: int = 512) -> int:
    box = SynthesisBox((0, num_slices), (0, size), (0, size))
    voxels = num_slices * size**2
    return slab_size_within(
        limit_bytes, settings or preset_generator("compact", 36), box, voxels, 2, 5 * 2**20
    )


def test_a_large_volume_fits_into_four_gib_in_slabs() -> None:
    assert 1 <= slab_size(4 * GIB, 400) < 400


def test_more_memory_gives_larger_slabs_up_to_the_whole_box() -> None:
    sizes = [slab_size(limit * GIB, 100) for limit in (2, 3, 4, 64)]
    assert sizes == sorted(sizes) and sizes[0] < sizes[-1] == 100


def test_wider_networks_get_smaller_slabs() -> None:
    wide = slab_size(8 * GIB, 200, preset_generator("paper", 36), 224)
    assert wide < slab_size(8 * GIB, 200, size=224)


def test_a_limit_below_the_least_is_refused_with_the_least() -> None:
    with pytest.raises(MemoryLimitError, match="at least (\\d+) MiB") as caught:
        slab_size(PROGRAM_BYTES, 400)
    least = int(str(caught.value).split("at least ")[1].split()[0])
    assert slab_size(least * 2**20, 400) == 1
    with pytest.raises(MemoryLimitError):
        slab_size((least - 1) * 2**20, 400)


def test_the_need_is_what_the_refusal_names() -> None:
    need = memory_need(preset_generator("compact", 36), (400, 512, 512), 400 * 512**2, 2, 5 * 2**20)
    with pytest.raises(MemoryLimitError, match=f"at least {math.ceil(need.least / 2**20)} MiB"):
        slab_size(PROGRAM_BYTES, 400)
    assert slab_size(need.least + 1, 400) == 1


def test_a_synthesizer_refuses_a_limit_that_is_too_low_for_the_map() -> None:
    settings = tiny_settings()
    synthesizer = Synthesizer(
        tiny_card(settings), tiny_generator(settings), pick_device("cpu"), memory_limit_bytes=2**20
    )
    with pytest.raises(MemoryLimitError, match="Raise the limit"):
        synthesizer.synthesize(label_map_of(random_labels((3, 12, 12))))


def test_a_session_needs_memory_for_what_every_slice_encoded() -> None:
    box = SynthesisBox((0, 400), (0, 512), (0, 512))
    sizes = [
        slab_size_within(
            8 * GIB, preset_generator("compact", 36), box, 400 * 512**2, 2, 5 * 2**20, kept
        )
        for kept in (NOTHING_KEPT, Kept(slices=True))
    ]
    assert sizes[1] < sizes[0]
