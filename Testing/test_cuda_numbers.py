"""CPU and GPU agree: synthesis, half precision, live updates and training.

    python -m pytest -m cuda -s

Skipped without an NVIDIA GPU. Differences are told as shares of the model's intensity window, the
largest of all voxels and the mean. PyTorch lets a GPU round the inputs of float32 convolutions to
10 bits (TF32) unless it is told otherwise; both ways are held to a bound.
"""

from __future__ import annotations

from collections.abc import Iterator
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
from AnatoMaskGANLib.synthesis import Synthesizer
from AnatoMaskGANLib.training.loop import train
from AnatoMaskGANLib.volumes import LabelMap, Volume, read_label_map

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no NVIDIA GPU"),
]

# Largest and mean difference from the CPU, as shares of the window.
FLOAT32 = (1e-4, 1e-5)
TF32 = (2e-2, 1e-3)
FLOAT16 = (2e-2, 2e-3)
# An update makes few slices, for which the GPU may choose other algorithms than for many.
UPDATE = (1e-4, 1e-5)
LOSS_TOLERANCE = 2e-3
WEIGHT_TOLERANCE = 5e-3


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
def sample() -> LabelMap:
    """40 axial slices of the bundled brain."""
    folder = resources_folder() / "SampleData" / "brain-t1-sub-19"
    whole = read_label_map(folder / "seg.nii.gz")
    labels = np.ascontiguousarray(whole.labels_kji[70:110])
    return LabelMap(labels, whole.ijk_to_ras, whole.names, whole.codes)


@cache
def bundled_on_cpu() -> Volume:
    return Synthesizer.from_checkpoint("brain-t1", "cpu").synthesize(sample(), seed=3)


def assert_agree(
    found: np.ndarray, expected: Volume, bounds: tuple[float, float], what: str
) -> None:
    low, high = expected.window
    shares = np.abs(found - expected.voxels_kji) / (high - low)
    print(f"\n{what}: largest {shares.max():.2e}, mean {shares.mean():.2e} of the window")
    assert shares.max() <= bounds[0] and shares.mean() <= bounds[1]


def test_gpu_and_cpu_make_the_same_volume_of_the_same_seed(allows_tf32: bool) -> None:
    label_map = label_map_of(random_labels((20, 44, 36)))
    for seed, strength in ((0, 1.0), (7, 0.0), (8, 2.0)):
        expected = tiny("cpu").synthesize(label_map, seed, strength)
        found = tiny("cuda").synthesize(label_map, seed, strength)
        assert dict(found.provenance) == dict(expected.provenance)
        bounds = TF32 if allows_tf32 else FLOAT32
        assert_agree(found.voxels_kji, expected, bounds, f"tiny, strength {strength:g}")


def test_gpu_and_cpu_make_the_same_volume_with_the_bundled_model(allows_tf32: bool) -> None:
    found = Synthesizer.from_checkpoint("brain-t1", "cuda").synthesize(sample(), seed=3)
    bounds = TF32 if allows_tf32 else FLOAT32
    assert_agree(found.voxels_kji, bundled_on_cpu(), bounds, "brain-t1")


def test_half_precision_on_a_gpu_stays_near_the_cpu() -> None:
    found = Synthesizer.from_checkpoint("brain-t1", "cuda", half_precision=True)
    volume = found.synthesize(sample(), seed=3)
    assert_agree(volume.voxels_kji, bundled_on_cpu(), FLOAT16, "brain-t1, float16")
    label_map = label_map_of(random_labels((20, 44, 36)))
    expected = tiny("cpu").synthesize(label_map, seed=1)
    found = tiny("cuda", True).synthesize(label_map, seed=1)
    assert_agree(found.voxels_kji, expected, FLOAT16, "tiny, float16")


def test_the_same_seed_gives_the_same_volume_on_a_gpu_again() -> None:
    label_map = label_map_of(random_labels((20, 44, 36)))
    first = tiny("cuda").synthesize(label_map, seed=5)
    second = tiny("cuda").synthesize(label_map, seed=5)
    assert_agree(second.voxels_kji, first, UPDATE, "twice")


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
