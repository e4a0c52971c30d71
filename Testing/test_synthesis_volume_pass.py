from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import NUM_CLASSES, SPACING_IJK_MM, random_labels, tiny_generator, tiny_settings

from AnatoMaskGANLib.config import GENERATOR_PRESETS, GeneratorSettings, preset_generator
from AnatoMaskGANLib.networks.noise import noise_field
from AnatoMaskGANLib.networks.slice_batch import SliceBatch
from AnatoMaskGANLib.synthesis.engine.fast_generator import FastGenerator
from AnatoMaskGANLib.synthesis.engine.modulation_tables import ModulationTables
from AnatoMaskGANLib.synthesis.engine.passes import NoiseChoice
from AnatoMaskGANLib.synthesis.engine.slab_cache import SlabCache
from AnatoMaskGANLib.synthesis.engine.synthesis_box import BoxLabels, SynthesisBox, labeled_box
from AnatoMaskGANLib.synthesis.engine.volume_pass import VolumePass

SWITCHES: dict[str, dict[str, Any]] = {
    "everything on": {},
    "no fusion": {"use_gnn_fusion": False},
    "no noise": {"use_noise3d": False},
    "no context": {"context_radius": 0},
    "only SPADE": {"use_gnn_fusion": False, "use_noise3d": False, "context_radius": 0},
    "two rounds": {"fusion_rounds": 2},
    "separable": {"separable": True},
    "group norm": {"norm": "group"},
    "instance norm": {"norm": "instance"},
    "wide context": {"context_radius": 3},
    "many labels": {"num_classes": 140},
    "fusion at the finest grid": {"fusion_stage": 2},
}


def whole_stack(
    settings: GeneratorSettings,
    labels: np.ndarray,
    box: SynthesisBox,
    seed: int,
    strength: float,
    spread: float = 0.1,
) -> np.ndarray:
    """The images by one plain call of the generator on the whole stack, label maps convolved."""
    generator = tiny_generator(settings, spread=spread)
    stack = torch.from_numpy(box.cut(labels, box.slices).astype(np.int64))[None]
    spacing = SPACING_IJK_MM
    noise = noise_field(
        seed, box.start_kji, box.shape_sjk, spacing[::-1], settings.noise_sigmas_mm
    )[None]
    positions = torch.arange(box.shape_sjk[0])[None] * spacing[2]
    with torch.inference_mode():
        batch = SliceBatch(
            stack, positions, noise, strength, (spacing[1], spacing[0]), use_words=False
        )
        image = generator(batch).image
    return image[0, :, 0].numpy()


def one_pass(
    settings: GeneratorSettings,
    labels: np.ndarray,
    box: SynthesisBox,
    seed: int,
    strength: float,
    slab_size: int = 16,
    spread: float = 0.1,
) -> np.ndarray:
    generator = tiny_generator(settings, spread=spread)
    with torch.inference_mode():
        grid = BoxLabels(labels, box, SPACING_IJK_MM)
        shared = SlabCache(FastGenerator(generator), grid, slab_size)
        made = list(VolumePass(shared, NoiseChoice(seed, strength)).images())
    assert [number for number, image in made] == list(grid.numbers)
    return np.stack([image for number, image in made])


@pytest.mark.parametrize("switches", SWITCHES.values(), ids=SWITCHES.keys())
@pytest.mark.parametrize("strength", [0.0, 1.5])
def test_slice_by_slice_equals_the_generator_on_the_whole_stack(
    switches: dict[str, Any], strength: float
) -> None:
    settings = tiny_settings(**switches)
    labels = random_labels((9, 21, 26), settings.num_classes)
    box = labeled_box(labels, settings.stride)
    expected = whole_stack(settings, labels, box, 3, strength)
    made = one_pass(settings, labels, box, 3, strength, slab_size=4)
    assert expected.std() > 0.01
    np.testing.assert_allclose(made, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 16, 16), (2, 5, 33), (3, 40, 3)])
def test_one_slice_and_odd_sizes_equal_the_whole_stack(shape: tuple[int, int, int]) -> None:
    settings = tiny_settings()
    labels = random_labels(shape)
    box = labeled_box(labels, settings.stride)
    expected = whole_stack(settings, labels, box, 0, 1.0)
    np.testing.assert_allclose(one_pass(settings, labels, box, 0, 1.0), expected, rtol=0, atol=1e-5)


def test_labels_up_to_every_border_and_a_single_label_equal_the_whole_stack() -> None:
    settings = tiny_settings()
    for labels in (random_labels((4, 12, 12)), np.ones((4, 12, 12), dtype=np.uint8)):
        labels[:, 0], labels[:, :, -1] = 1, 1
        box = SynthesisBox((0, 4), (0, 12), (0, 12))
        expected = whole_stack(settings, labels, box, 0, 1.0)
        np.testing.assert_allclose(
            one_pass(settings, labels, box, 0, 1.0), expected, rtol=0, atol=1e-5
        )


def test_the_size_of_the_slabs_does_not_change_a_single_bit_of_the_noise() -> None:
    settings = tiny_settings()
    labels = random_labels((11, 20, 20))
    box = labeled_box(labels, settings.stride)
    whole = one_pass(settings, labels, box, 5, 1.0, slab_size=16)
    for slab_size in (1, 3, 5):
        made = one_pass(settings, labels, box, 5, 1.0, slab_size=slab_size)
        np.testing.assert_allclose(made, whole, rtol=0, atol=1e-6)


def test_a_coarse_grid_is_looked_up_even_if_no_two_pixels_share_a_neighborhood() -> None:
    fast = FastGenerator(tiny_generator())
    labels = torch.from_numpy(np.random.default_rng(0).integers(0, NUM_CLASSES, (1, 12, 12)))
    words = ModulationTables(fast, labels)
    coarse, _, fine = (words.stage_labels(0, stage, None).modulations[0] for stage in range(3))
    assert coarse.scale.shape[0] == 9 and coarse.index is not None
    assert fine.index is None


def test_a_changed_slice_reaches_its_neighbors() -> None:
    settings = tiny_settings(stack_radius=0)
    labels = random_labels((9, 20, 20))
    labels[0, 4, 4] = labels[8, 4, 4] = 1
    box = labeled_box(labels, settings.stride)
    before = one_pass(settings, labels, box, 0, 0.0)
    labels[4, 8:14, 8:14] = (labels[4, 8:14, 8:14] + 1) % NUM_CLASSES
    after = one_pass(settings, labels, box, 0, 0.0)
    assert labeled_box(labels, settings.stride) == box
    changed = np.flatnonzero(np.abs(after - before).max(axis=(1, 2)) > 1e-6)
    assert set(range(2, 7)) <= set(changed)


@pytest.mark.parametrize("preset", GENERATOR_PRESETS)
def test_the_presets_in_their_full_width_equal_the_whole_stack(preset: str) -> None:
    settings = preset_generator(preset, 36)
    labels = random_labels((2, 64, 32), settings.num_classes)
    box = SynthesisBox((0, 2), (0, 64), (0, 32))
    expected = whole_stack(settings, labels, box, 2, 1.0, spread=0.03)
    made = one_pass(settings, labels, box, 2, 1.0, spread=0.03)
    assert expected.std() > 0.01
    np.testing.assert_allclose(made, expected, rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("preset", GENERATOR_PRESETS)
def test_the_presets_in_their_full_size_equal_the_whole_stack(preset: str) -> None:
    settings = preset_generator(preset, 36)
    labels = random_labels((3, 224, 224), settings.num_classes)
    box = SynthesisBox((0, 3), (0, 224), (0, 224))
    expected = whole_stack(settings, labels, box, 2, 1.0, spread=0.03)
    made = one_pass(settings, labels, box, 2, 1.0, spread=0.03)
    assert expected.std() > 0.01
    np.testing.assert_allclose(made, expected, rtol=0, atol=1e-5)
