from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_models import SPACING_IJK_MM, label_map_of, random_labels, tiny_card, tiny_settings

from AnatoMaskGANLib.config import GeneratorSettings
from AnatoMaskGANLib.networks.generator import build_generator
from AnatoMaskGANLib.networks.noise import noise_field
from AnatoMaskGANLib.networks.slice_batch import SliceBatch
from AnatoMaskGANLib.synthesis import CheckpointError, Synthesizer


def settings_of(kind: str) -> GeneratorSettings:
    return tiny_settings(kind=kind, norm="group", use_gnn_fusion=False)


def synthesizer_of(kind: str) -> Synthesizer:
    settings = settings_of(kind)
    torch.manual_seed(0)
    generator = build_generator(settings).eval()
    return Synthesizer(tiny_card(settings), generator, torch.device("cpu"))


@pytest.mark.parametrize("kind", ["oasis", "unet"])
def test_a_volume_is_what_the_generator_makes_of_each_slice(kind: str) -> None:
    synthesizer = synthesizer_of(kind)
    labels = random_labels((12, 16, 16))
    labels[0] = 0
    volume = synthesizer.synthesize(label_map_of(labels), seed=3)
    # The labels fill the grid, so the region is the grid and its margin of one stride or two.
    padded = np.pad(labels, ((0, 0), (8, 8), (8, 8)))
    noise = noise_field(3, (5, -8, -8), (1, 32, 32), SPACING_IJK_MM[::-1], (1.5, 4.0))
    with torch.no_grad():
        batch = SliceBatch(
            torch.from_numpy(padded[5:6].astype(np.int64))[None],
            torch.zeros(1, 1),
            noise[None],
            spacing_ji_mm=(SPACING_IJK_MM[1], SPACING_IJK_MM[0]),
        )
        image = synthesizer.model.generator(batch).image
    expected = image[0, 0, 0, 8:-8, 8:-8].numpy() * 100
    np.testing.assert_allclose(volume.voxels_kji[5], expected, atol=1e-3)


def test_16_bits_are_not_asked_of_it_in_vain_without_a_word(
    caplog: pytest.LogCaptureFixture,
) -> None:
    plain = synthesizer_of("unet")
    half = Synthesizer(plain.card, plain.model.generator, plain.model.device, half_precision=True)
    assert "unet networks run in float32 only" in caplog.text
    assert "Precision" not in half.synthesize(label_map_of(random_labels((4, 8, 8)))).provenance


@pytest.mark.parametrize("kind", ["oasis", "unet"])
def test_an_update_equals_a_synthesis_of_the_edited_map(kind: str) -> None:
    synthesizer = synthesizer_of(kind)
    labels = random_labels((12, 16, 16))
    session = synthesizer.session(label_map_of(labels), seed=3)
    edited = labels.copy()
    edited[4, 4:8, 4:8] = 1 + edited[4, 4:8, 4:8] % 5
    volume, changed = session.update(label_map_of(edited))
    again = synthesizer.synthesize(label_map_of(edited), seed=3)
    np.testing.assert_array_equal(volume.voxels_kji, again.voxels_kji)
    assert changed.start_kji[0] == 4 and changed.stop_kji[0] == 5


def test_a_segmenter_is_refused_with_the_command_that_takes_it() -> None:
    pytest.importorskip("monai")
    with pytest.raises(CheckpointError, match="anatomaskgan segment"):
        synthesizer_of("segmenter")
