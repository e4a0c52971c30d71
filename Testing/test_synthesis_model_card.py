"""No number of a card makes the program take more time and memory than its model needs."""

from __future__ import annotations

import json
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch
from tiny_models import label_map_of, random_labels, tiny_card, tiny_generator, write_tiny_model

from AnatoMaskGANLib.config import (
    MOST_FEATURES,
    DiscriminatorSettings,
    GeneratorSettings,
    SettingsError,
)
from AnatoMaskGANLib.networks.baselines.segmenter import Segmenter
from AnatoMaskGANLib.networks.noise import noise_field
from AnatoMaskGANLib.synthesis import CheckpointError, MemoryLimitError, Synthesizer, read_model
from AnatoMaskGANLib.synthesis.models.folder import WEIGHTS_FILE
from AnatoMaskGANLib.synthesis.models.model_card import check_card
from AnatoMaskGANLib.synthesis.models.weights_file import read_weights_file
from AnatoMaskGANLib.synthesis.segmenting import VolumeSegmenter
from AnatoMaskGANLib.volumes import Volume
from AnatoMaskGANLib.volumes.resampling import num_model_voxels, to_model_grid

MOST_SECONDS = 2.0
MOST_BYTES = 64 * 2**20


def with_card(folder: Path, **changes: Any) -> Path:
    """A model whose file says other things of itself."""
    write_tiny_model(folder)
    path = folder / WEIGHTS_FILE
    with safetensors.safe_open(path, "pt") as file:
        header = dict(file.metadata())
    card = json.loads(header["card"])
    card["generator"].update(changes.pop("generator", {}))
    header["card"] = json.dumps(card | changes)
    safetensors.torch.save_file(safetensors.torch.load_file(path), path, header)
    return folder


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"generator": {"stack_radius": 10**9}}, "stack_radius"),
        ({"generator": {"context_radius": 10**9}}, "context_radius"),
        ({"generator": {"fusion_rounds": 10**9}}, "fusion_rounds"),
        ({"generator": {"spade_hidden": 10**9}}, "spade_hidden"),
        ({"generator": {"num_classes": 10**9}}, "num_classes"),
        ({"generator": {"channels": [16, 10**9, 8, 8]}}, "channels"),
        ({"generator": {"channels": [16] * 40}}, "channels"),
        ({"generator": {"label_outputs": 10**9}}, "label_outputs"),
        ({"generator": {"noise_sigmas_mm": [1.5, 1e9]}}, "noise_sigmas_mm"),
        ({"generator": {"noise_sigmas_mm": [1.5, float("nan")]}}, "noise_sigmas_mm"),
        ({"generator": {"noise_sigmas_mm": [1e-9, 1.5]}}, "noise_sigmas_mm"),
        ({"generator": {"noise_sigmas_mm": [2.0] * 1000}}, "noise_sigmas_mm"),
        ({"spacing_ijk_mm": [0.02, 0.02, 1e-6]}, "spacing"),
        ({"spacing_ijk_mm": [1.0, 1e6, 1.0]}, "spacing"),
        ({"spacing_ijk_mm": [0.01, 1.0, 1.0], "generator": {"noise_sigmas_mm": [900]}}, "noise of"),
        ({"window": [0, 1e39]}, "window"),
        ({"window": [-1e308, 1e308]}, "window"),
        ({"window": [1e9, 1e9 + 1]}, "window"),
        ({"window": [0, float("nan")]}, "window"),
        ({"label_statistics": {"1": [1e39, 0.1]}}, "label statistics"),
        ({"label_statistics": {"1": [0.5, float("nan")]}}, "label statistics"),
        ({"label_statistics": {"1": [0.5]}}, "label statistics"),
        ({"label_statistics": {"one": [0.5, 0.1]}}, "label statistics"),
    ],
)
def test_a_number_out_of_bounds_is_refused_at_once(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    folder = with_card(tmp_path / "model", **changes)
    started = time.monotonic()
    with pytest.raises(CheckpointError, match=message):
        read_model(folder)
    assert time.monotonic() - started < MOST_SECONDS


def test_the_labels_of_a_second_head_fit_its_classes(tmp_path: Path) -> None:
    from tiny_models import tiny_settings

    card = tiny_card(
        tiny_settings(label_outputs=2), output_labels={"name": "two", "labels": {"7": "seven"}}
    )
    with pytest.raises(CheckpointError, match="output labels of the card do not match its 2"):
        check_card(card, tmp_path)


def test_a_fine_grid_is_told_before_its_voxels_are_made() -> None:
    card = tiny_card(spacing_ijk_mm=(0.02, 0.02, 0.02))
    synthesizer = Synthesizer(card, tiny_generator(), torch.device("cpu"))
    label_map = label_map_of(random_labels((16, 16, 16)), (1.0, 1.0, 1.0))
    tracemalloc.start()
    try:
        with pytest.raises(MemoryLimitError, match="memory limit is 2048 MiB"):
            synthesizer.synthesize(label_map)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < MOST_BYTES


def test_a_fine_grid_of_a_segmenter_is_told_before_its_voxels_are_made() -> None:
    settings = GeneratorSettings(num_classes=4, kind="segmenter", channels=(8, 8, 8))
    card = tiny_card(settings, spacing_ijk_mm=(0.02, 0.02, 0.02))
    segmenter = VolumeSegmenter(card, Segmenter(settings), torch.device("cpu"))
    with pytest.raises(MemoryLimitError, match="expected at most 5e\\+08"):
        segmenter.segment(Volume(np.ones((32, 32, 32), np.float32), np.eye(4)))


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 2.0), (0.7, 1.3, 1.0), (3.0, 0.5, 5.0)])
def test_the_size_of_the_model_grid_is_told_as_it_becomes(
    spacing: tuple[float, float, float],
) -> None:
    label_map = label_map_of(random_labels((7, 12, 9)), (0.9, 1.1, 2.0))
    made = to_model_grid(label_map, spacing).labels_kji.size
    assert num_model_voxels(label_map, spacing) == made


def test_noise_of_a_long_length_takes_memory_for_the_voxels_alone() -> None:
    """[4,64,64] voxels are 64 KiB; the nodes of 1000 mm, each as often as there are voxels behind
    it, would be 16,000 slices."""
    import psutil

    noise_field(3, (0, 0, 0), (4, 64, 64), (1, 1, 1), (2.0,))
    process = psutil.Process()
    before = process.memory_info().rss
    field = noise_field(3, (0, 0, 0), (4, 64, 64), (1, 1, 1), (1000.0,))
    assert field.isfinite().all() and process.memory_info().rss - before < MOST_BYTES


def test_long_noise_is_the_same_in_a_small_part_as_in_a_large_one() -> None:
    """The large part repeats nodes, the small one looks them up."""
    whole = noise_field(3, (0, 0, 0), (40, 30, 30), (1, 1, 1), (30.0,))
    part = noise_field(3, (11, 5, 7), (2, 3, 4), (1, 1, 1), (30.0,))
    assert torch.equal(part, whole[:, 11:13, 5:8, 7:11])


@pytest.mark.parametrize("name", ["channels", "label_features"])
def test_the_discriminator_of_a_settings_file_has_bounds_too(name: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} is {MOST_FEATURES + 1}"):
        DiscriminatorSettings(**{name: MOST_FEATURES + 1})


def test_weights_that_cannot_be_opened_are_told(tmp_path: Path) -> None:
    (tmp_path / WEIGHTS_FILE).mkdir()
    with pytest.raises(CheckpointError, match="is not a readable safetensors file"):
        read_weights_file(tmp_path / WEIGHTS_FILE, with_content=True)
