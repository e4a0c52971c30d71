from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import (
    label_map_of,
    random_labels,
    tiny_card,
    tiny_generator,
    tiny_synthesizer,
    write_tiny_model,
)

from AnatoMaskGANLib.synthesis import (
    DeviceError,
    SynthesisCancelledError,
    Synthesizer,
    loaded_model,
)
from AnatoMaskGANLib.synthesis.engine.modulation_tables import ModulationTables
from AnatoMaskGANLib.synthesis.options import Progress
from AnatoMaskGANLib.volumes import LabelMap, UnmatchedLabelsError, same_grid


@pytest.fixture(scope="module")
def synthesizer() -> Synthesizer:
    return tiny_synthesizer()


def oblique(labels: np.ndarray) -> LabelMap:
    """Turned by 20 degrees about the slice axis, anisotropic, slices running down, left-handed."""
    angle = np.deg2rad(20)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0]])
    ijk_to_ras = np.eye(4)
    ijk_to_ras[:2, :3] = turn
    ijk_to_ras[2, 2] = -1
    ijk_to_ras[:3, :3] *= (0.8, 1.3, 2.5)
    ijk_to_ras[:3, 3] = (-40, 12, 77)
    names = {value: f"part {value}" for value in range(1, 6)}
    return LabelMap(labels, ijk_to_ras, names)


def test_the_volume_has_exactly_the_grid_of_an_oblique_label_map(synthesizer: Synthesizer) -> None:
    label_map = oblique(random_labels((7, 19, 23)))
    volume = synthesizer.synthesize(label_map)
    assert volume.voxels_kji.dtype == np.float32
    assert np.isfinite(volume.voxels_kji).all()
    np.testing.assert_array_equal(volume.ijk_to_ras, label_map.ijk_to_ras)
    assert same_grid(volume, label_map)


def test_the_same_seed_gives_the_same_volume_and_another_one_another(
    synthesizer: Synthesizer,
) -> None:
    label_map = label_map_of(random_labels((5, 20, 20)))
    first, again, other = (
        synthesizer.synthesize(label_map, seed=seed).voxels_kji for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1


def test_without_noise_the_seed_does_not_matter(synthesizer: Synthesizer) -> None:
    label_map = label_map_of(random_labels((5, 20, 20)))
    volumes = [synthesizer.synthesize(label_map, seed=seed, noise_strength=0.0) for seed in (1, 2)]
    np.testing.assert_array_equal(volumes[0].voxels_kji, volumes[1].voxels_kji)


def test_intensities_lie_in_the_window_of_the_model_and_outside_is_its_lower_end(
    synthesizer: Synthesizer,
) -> None:
    labels = np.zeros((6, 60, 60), dtype=np.uint8)
    labels[2:4, 25:35, 25:35] = 1
    voxels = synthesizer.synthesize(label_map_of(labels)).voxels_kji
    assert voxels.min() == 0 and voxels.max() <= 100
    assert (voxels[[0, 1, 4, 5]] == 0).all()
    assert (voxels[2:4, 25:35, 25:35] > 0).all()


def test_a_volume_tells_how_it_was_made(synthesizer: Synthesizer) -> None:
    label_map = label_map_of(random_labels((3, 12, 12)))
    record = synthesizer.synthesize(label_map, seed=4, noise_strength=0.5).provenance
    assert record["SyntheticData"] == "YES"
    assert record["Seed"] == "4" and record["NoiseStrength"] == "0.5"
    assert record["LabelMapSHA256"] == label_map.sha256()


def test_progress_runs_from_0_to_1(synthesizer: Synthesizer) -> None:
    shares: list[float] = []
    label_map = label_map_of(random_labels((5, 12, 12)))
    synthesizer.synthesize(label_map, progress=Progress(lambda share, text: shares.append(share)))
    assert shares[0] == 0 and shares[-1] == 1
    assert shares == sorted(shares) and len(shares) >= 5


def test_a_cancelled_synthesis_stops_after_the_slice_that_it_is_at(
    synthesizer: Synthesizer,
) -> None:
    asked: list[bool] = []

    def is_cancelled() -> bool:
        asked.append(True)
        return len(asked) == 3

    label_map = label_map_of(random_labels((20, 12, 12)))
    with pytest.raises(SynthesisCancelledError):
        synthesizer.synthesize(label_map, progress=Progress(is_cancelled=is_cancelled))
    assert len(asked) == 3


def test_labels_that_the_model_does_not_know_stop_it_or_become_background(
    synthesizer: Synthesizer,
) -> None:
    labels = random_labels((4, 16, 16))
    labels[2, 4:8, 4:8] = 9
    names = {value: f"part {value}" for value in range(1, 6)} | {9: "antenna"}
    label_map = LabelMap(labels, np.diag([1.0, 1.0, 2.0, 1.0]), names)
    with pytest.raises(UnmatchedLabelsError, match="antenna"):
        synthesizer.synthesize(label_map)
    volume = synthesizer.synthesize(label_map, unmatched="background")
    without = label_map_of(np.where(labels == 9, 0, labels))
    np.testing.assert_array_equal(volume.voxels_kji, synthesizer.synthesize(without).voxels_kji)


@pytest.mark.parametrize("strength", [-1.0, float("nan"), float("inf"), 101.0, 1e30])
def test_a_noise_strength_that_makes_no_sense_is_refused(
    synthesizer: Synthesizer, strength: float
) -> None:
    with pytest.raises(ValueError, match="noise_strength"):
        synthesizer.synthesize(label_map_of(random_labels((2, 12, 12))), noise_strength=strength)


def test_the_largest_noise_strength_gives_numbers(synthesizer: Synthesizer) -> None:
    label_map = label_map_of(random_labels((2, 12, 12)))
    made = synthesizer.synthesize(label_map, noise_strength=100.0).voxels_kji
    assert np.isfinite(made).all()


def correlation_along_rows(voxels_kji: np.ndarray, base_kji: np.ndarray, step: int) -> float:
    """Of what the noise adds, between voxels that many columns apart."""
    noise = voxels_kji - base_kji
    return float(np.corrcoef(noise[:, :, step:].ravel(), noise[:, :, :-step].ravel())[0, 1])


def test_longer_noise_is_coarser_and_the_record_tells_it(synthesizer: Synthesizer) -> None:
    label_map = label_map_of(np.full((6, 40, 40), 2, dtype=np.uint8))
    base = synthesizer.synthesize(label_map, noise_strength=0.0).voxels_kji
    made = {
        scale: synthesizer.synthesize(label_map, seed=3, noise_length_scale=scale)
        for scale in (0.5, 1.0, 2.0)
    }
    near = [correlation_along_rows(volume.voxels_kji, base, 3) for volume in made.values()]
    assert near[0] < near[1] < near[2]
    assert [volume.provenance["NoiseLengthScale"] for volume in made.values()] == [
        "0.5",
        "1.0",
        "2.0",
    ]
    plain = synthesizer.synthesize(label_map, seed=3)
    np.testing.assert_array_equal(made[1.0].voxels_kji, plain.voxels_kji)
    session = synthesizer.session(label_map, seed=3, noise_length_scale=2.0)
    np.testing.assert_array_equal(session.volume.voxels_kji, made[2.0].voxels_kji)


@pytest.mark.parametrize("scale", [0.0, -1.0, 5.0, float("nan")])
def test_a_scale_of_the_noise_that_makes_no_sense_is_refused(
    synthesizer: Synthesizer, scale: float
) -> None:
    with pytest.raises(ValueError, match="expected a number from 0.25 to 4"):
        synthesizer.synthesize(label_map_of(random_labels((3, 8, 8))), noise_length_scale=scale)


def test_a_synthesizer_from_a_model_folder_gives_the_same_volume(
    synthesizer: Synthesizer, tmp_path: Path
) -> None:
    label_map = label_map_of(random_labels((4, 16, 16)))
    loaded = Synthesizer.from_checkpoint(write_tiny_model(tmp_path / "tiny"), device="cpu")
    np.testing.assert_array_equal(
        loaded.synthesize(label_map).voxels_kji, synthesizer.synthesize(label_map).voxels_kji
    )


@pytest.mark.parametrize("device", ["cuda:99", "abacus", "meta"])
def test_a_device_that_is_not_there_is_refused(tmp_path: Path, device: str) -> None:
    folder = write_tiny_model(tmp_path / "tiny")
    with pytest.raises(DeviceError, match=device):
        Synthesizer.from_checkpoint(folder, device=device)


def test_samples_that_share_their_dictionaries_equal_single_ones(
    synthesizer: Synthesizer,
) -> None:
    label_map = label_map_of(random_labels((9, 20, 20)))
    shares: list[float] = []
    samples = list(
        synthesizer.synthesize_samples(
            label_map,
            progress=Progress(lambda share, text: shares.append(share)),
            seeds=[5, 2, 5],
        )
    )
    for seed, sample in zip([5, 2, 5], samples, strict=True):
        assert sample.provenance["Seed"] == str(seed)
        single = synthesizer.synthesize(label_map, seed=seed)
        np.testing.assert_allclose(sample.voxels_kji, single.voxels_kji, rtol=0, atol=1e-4)
    assert shares == sorted(shares) and shares[-1] == 1


def test_slices_side_by_side_in_threads_equal_one_after_the_other() -> None:
    label_map = label_map_of(random_labels((20, 20, 20)))
    threads = torch.get_num_threads()
    volumes = []
    try:
        for number in (1, 3):
            torch.set_num_threads(number)
            volumes.append(tiny_synthesizer().synthesize(label_map).voxels_kji)
            assert torch.get_num_threads() == number
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_allclose(volumes[0], volumes[1], rtol=0, atol=1e-4)


def test_a_gpu_without_memory_is_answered_by_smaller_slabs_and_a_log_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    label_map = label_map_of(random_labels((20, 20, 20)))
    synthesizer = tiny_synthesizer()
    expected = synthesizer.synthesize(label_map).voxels_kji
    made = ModulationTables.__init__

    def with_little_memory(self: ModulationTables, generator: Any, labels: Any, check: Any) -> None:
        if labels.shape[0] > 4:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        made(self, generator, labels, check)

    monkeypatch.setattr(ModulationTables, "__init__", with_little_memory)
    volume = synthesizer.synthesize(label_map)
    np.testing.assert_allclose(volume.voxels_kji, expected, rtol=0, atol=1e-4)
    assert "too little memory for" in caplog.text

    def without_memory(self: ModulationTables, *arguments: Any) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(ModulationTables, "__init__", without_memory)
    with pytest.raises(MemoryError, match="too small for one slice"):
        synthesizer.synthesize(label_map)


def test_a_device_without_use_for_16_bits_goes_on_with_32_and_tells_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(loaded_model, "half_precision_on", lambda device: None)
    synthesizer = Synthesizer(tiny_card(), tiny_generator(), torch.device("cpu"), True)
    assert synthesizer.model.engine.dtype == torch.float32
    assert "cpu is not faster in 16 bits" in caplog.text
