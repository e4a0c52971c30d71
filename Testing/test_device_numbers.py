"""CPU and GPU agree, and so do precisions: synthesis, live updates and training.

    python -m pytest Testing/test_device_numbers.py -s

Those on a GPU are skipped without an NVIDIA GPU; float16 and bfloat16 are tried on the CPU as well,
which rounds weights, tables and activations as a GPU does, if slowly. Differences are told as
shares of the model's intensity window, the largest of all voxels and the mean. PyTorch lets a GPU
round the inputs of float32 convolutions to 10 bits (TF32) unless it is told otherwise; both ways
are held to a bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_models import label_map_of, random_labels, tiny_card, tiny_generator
from tiny_runs import tiny_run, write_tiny_store

from AnatoMaskGANLib.resources import resources_folder
from AnatoMaskGANLib.synthesis import Synthesizer, loaded_model
from AnatoMaskGANLib.training.loop import train
from AnatoMaskGANLib.volumes import LabelMap, Volume, read_label_map

# Largest and mean difference from float32 on the CPU, as shares of the window. Float16, TF32 keep
# 10 bits, bfloat16 7; by what they really differ on a CPU stands in Documentation/reliability.md.
FLOAT32 = (1e-4, 1e-5)
TF32 = FLOAT16 = (5e-3, 5e-4)
BFLOAT16 = (4e-2, 4e-3)
# An update makes few slices, for which the GPU may choose other algorithms than for many.
UPDATE = (1e-4, 1e-5)
LOSS_TOLERANCE = 2e-3
WEIGHT_TOLERANCE = 5e-3


def needs_gpu(test: Callable) -> Callable:
    """Marks a test that needs an NVIDIA GPU."""
    is_absent = not torch.cuda.is_available()
    return pytest.mark.cuda(pytest.mark.skipif(is_absent, reason="there is no NVIDIA GPU")(test))


@pytest.fixture(params=[False, True], ids=["float32", "tf32"])
def allows_tf32(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Convolutions and products of matrices in full float32, and as PyTorch has them unasked."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = request.param
    torch.backends.cuda.matmul.allow_tf32 = request.param and before[1]
    yield request.param
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before


def tiny(device: str, is_half: bool = False) -> Synthesizer:
    """A synthesizer of the tests' small generator."""
    return Synthesizer(tiny_card(), tiny_generator(), torch.device(device), is_half)


@cache
def sample(num_slices: int) -> LabelMap:
    """Axial slices from the middle of the bundled brain."""
    folder = resources_folder() / "SampleData" / "brain-t1-sub-19"
    whole = read_label_map(folder / "seg.nii.gz")
    labels = np.ascontiguousarray(whole.labels_kji[70 : 70 + num_slices])
    return LabelMap(labels, whole.ijk_to_ras, whole.names, whole.codes)


@cache
def bundled_on_cpu(num_slices: int) -> Volume:
    return Synthesizer.from_checkpoint("brain-t1", "cpu").synthesize(sample(num_slices), seed=3)


def assert_agree(
    found: np.ndarray, expected: Volume, bounds: tuple[float, float], what: str
) -> None:
    low, high = expected.window
    shares = np.abs(found - expected.voxels_kji) / (high - low)
    print(f"\n{what}: largest {shares.max():.2e}, mean {shares.mean():.2e} of the window")
    assert shares.max() <= bounds[0] and shares.mean() <= bounds[1]


@pytest.mark.parametrize(("precision", "bounds"), [("float16", FLOAT16), ("bfloat16", BFLOAT16)])
def test_16_bits_stay_near_32_on_the_cpu(
    monkeypatch: pytest.MonkeyPatch, precision: str, bounds: tuple[float, float]
) -> None:
    dtype = getattr(torch, precision)
    monkeypatch.setattr(loaded_model, "half_precision_on", lambda device: dtype)
    bundled = Synthesizer.from_checkpoint("brain-t1", "cpu", half_precision=True)
    volume = bundled.synthesize(sample(12), seed=3)
    assert volume.voxels_kji.dtype == np.float32
    assert volume.provenance["Precision"] == precision
    assert_agree(volume.voxels_kji, bundled_on_cpu(12), bounds, f"brain-t1, {precision}")
    label_map = label_map_of(random_labels((20, 44, 36)))
    for seed, strength in ((0, 1.0), (7, 0.0), (8, 2.0)):
        expected = tiny("cpu").synthesize(label_map, seed=seed, noise_strength=strength)
        found = tiny("cpu", True).synthesize(label_map, seed=seed, noise_strength=strength)
        assert_agree(found.voxels_kji, expected, bounds, f"tiny, {precision}, {strength:g}")


@needs_gpu
def test_gpu_and_cpu_make_the_same_volume_of_the_same_seed(allows_tf32: bool) -> None:
    label_map = label_map_of(random_labels((20, 44, 36)))
    for seed, strength in ((0, 1.0), (7, 0.0), (8, 2.0)):
        expected = tiny("cpu").synthesize(label_map, seed=seed, noise_strength=strength)
        found = tiny("cuda").synthesize(label_map, seed=seed, noise_strength=strength)
        assert dict(found.provenance) == dict(expected.provenance)
        bounds = TF32 if allows_tf32 else FLOAT32
        assert_agree(found.voxels_kji, expected, bounds, f"tiny, strength {strength:g}")


@needs_gpu
def test_gpu_and_cpu_make_the_same_volume_with_the_bundled_model(allows_tf32: bool) -> None:
    found = Synthesizer.from_checkpoint("brain-t1", "cuda").synthesize(sample(40), seed=3)
    bounds = TF32 if allows_tf32 else FLOAT32
    assert_agree(found.voxels_kji, bundled_on_cpu(40), bounds, "brain-t1")


@needs_gpu
def test_half_precision_on_a_gpu_stays_near_the_cpu() -> None:
    found = Synthesizer.from_checkpoint("brain-t1", "cuda", half_precision=True)
    volume = found.synthesize(sample(40), seed=3)
    assert_agree(volume.voxels_kji, bundled_on_cpu(40), FLOAT16, "brain-t1, float16")
    label_map = label_map_of(random_labels((20, 44, 36)))
    expected = tiny("cpu").synthesize(label_map, seed=1)
    found = tiny("cuda", True).synthesize(label_map, seed=1)
    assert_agree(found.voxels_kji, expected, FLOAT16, "tiny, float16")


@needs_gpu
def test_the_same_seed_gives_the_same_volume_on_a_gpu_again() -> None:
    label_map = label_map_of(random_labels((20, 44, 36)))
    first = tiny("cuda").synthesize(label_map, seed=5)
    second = tiny("cuda").synthesize(label_map, seed=5)
    assert_agree(second.voxels_kji, first, UPDATE, "twice")


@needs_gpu
def test_an_update_on_a_gpu_equals_a_full_synthesis_there() -> None:
    labels = random_labels((20, 44, 36))
    synthesizer = tiny("cuda")
    session = synthesizer.session(label_map_of(labels), seed=4)
    for step in range(3):
        labels = labels.copy()
        labels[5 + 4 * step, 10:20, 10:20] = 1 + step
        volume, _ = session.update(label_map_of(labels))
        expected = synthesizer.synthesize(label_map_of(labels), seed=4)
        assert_agree(volume.voxels_kji, expected, UPDATE, f"update {step}")


@needs_gpu
def test_training_steps_on_a_gpu_are_those_on_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    store = write_tiny_store(tmp_path / "store")
    changes: dict[str, Any] = {
        "optimizer": {"steps": 3, "lr_generator": 1e-4, "lr_discriminator": 1e-4},
        "losses": {"r1": 1.0, "r1_every": 2},
        "validation": {"every": 0},
    }
    losses: dict[str, list[dict[str, float]]] = {"cpu": [], "cuda": []}
    for device, told in losses.items():
        train(
            tiny_run(store, tmp_path / device, **changes),
            device,
            on_event=lambda event, told=told: (
                told.append(event["losses"]) if event["event"] == "step" else None
            ),
        )
    assert len(losses["cpu"]) == len(losses["cuda"]) == 3
    for on_cpu, on_gpu in zip(losses["cpu"], losses["cuda"], strict=True):
        assert on_cpu.keys() == on_gpu.keys()
        print("\nlosses", max(abs(on_cpu[n] - on_gpu[n]) / max(1, abs(on_cpu[n])) for n in on_cpu))
        for name, value in on_cpu.items():
            assert on_gpu[name] == pytest.approx(value, rel=LOSS_TOLERANCE, abs=LOSS_TOLERANCE)
    weights = [load_file(tmp_path / device / "latest.safetensors") for device in losses]
    names = [n for n in weights[0] if n.startswith(("module/generator/", "module/ema/"))]
    assert names
    largest = max(float((weights[0][n] - weights[1][n]).abs().max()) for n in names)
    print(f"weights differ by {largest:.2e} at most")
    assert largest <= WEIGHT_TOLERANCE
