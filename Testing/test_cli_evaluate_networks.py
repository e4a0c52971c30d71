"""Segmenters and feature extractors of an evaluation, from wherever they come."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny_models import tiny_card, tiny_synthesizer
from tiny_runs import SPACING_IJK_MM, tiny_case, tiny_run, write_tiny_store

from AnatoMaskGANLib.commands.evaluate.cases import CaseReader
from AnatoMaskGANLib.commands.evaluate.networks import (
    as_segmenter,
    encoder_maps,
    load_extractor,
    load_segmenter,
)
from AnatoMaskGANLib.evaluation.weights import WeightsError
from AnatoMaskGANLib.synthesis import CheckpointError
from AnatoMaskGANLib.training.loop import train
from AnatoMaskGANLib.volumes import LabelMap, Volume

IJK_TO_RAS = np.diag([*SPACING_IJK_MM, 1.0])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an image2mask run of two steps."""
    folder = tmp_path_factory.mktemp("segmenter")
    store = write_tiny_store(folder / "store", ("train", "train"))
    settings = tiny_run(
        store,
        folder / "run",
        direction="image2mask",
        optimizer={"steps": 2},
        validation={"every": 0, "select_by": "dice"},
        generator={"channels": [16, 16, 8, 8], "spade_hidden": 8, "fusion_stage": 0},
    )
    train(settings)
    return folder / "run"


def test_a_run_that_was_not_exported_segments(run: Path) -> None:
    image, labels = tiny_case(5)
    segmenter = load_segmenter(str(run), None, tiny_card(), "cpu")
    found = segmenter.segment(Volume(image.astype(np.float32), IJK_TO_RAS))
    assert found.labels_kji.shape == labels.shape
    assert set(found.names.values()) <= {"skin", "left bone", "right bone"}


def test_the_encoder_of_a_run_is_an_extractor(run: Path) -> None:
    slices = np.random.default_rng(0).random((4, 40, 36), dtype=np.float32)
    features = load_extractor(str(run), None, "cpu")(slices)
    assert features.shape == (4, 16)
    assert np.isfinite(features).all() and features.std(axis=0).max() > 0


@pytest.mark.parametrize(
    ("discriminator", "num_features"),
    [
        ({"kind": "patch", "channels": 8, "num_layers": 2, "num_scales": 2}, 2 * 16),
        ({"kind": "patch", "channels": 8, "num_layers": 2, "label_features": 0}, 16),
        ({"kind": "segmentation", "channels": 8, "num_layers": 2}, 32),
        ({"kind": "wavelet", "channels": 8, "num_layers": 2, "spectral_norm": False}, 32),
    ],
)
def test_the_discriminator_of_a_run_is_an_extractor(
    tmp_path: Path, discriminator: dict, num_features: int
) -> None:
    store = write_tiny_store(tmp_path / "store", ("train", "train"))
    losses = {"feature_matching": 0.0} if discriminator["kind"] != "patch" else {}
    train(
        tiny_run(
            store,
            tmp_path / "run",
            optimizer={"steps": 2},
            discriminator=discriminator,
            losses=losses,
            validation={"every": 0},
        )
    )
    slices = np.random.default_rng(0).random((9, 40, 36), dtype=np.float32)
    extract = load_extractor(str(tmp_path / "run"), None, "cpu")
    features = extract(slices)
    assert features.shape == (9, num_features)
    assert features.std(axis=0).max() > 0
    assert np.allclose(extract(slices[3:4]), features[3:4], atol=1e-4)


def test_a_run_without_a_discriminator_gives_no_features(tmp_path: Path) -> None:
    store = write_tiny_store(tmp_path / "store", ("train", "train"))
    losses = {"adversarial": 0.0, "feature_matching": 0.0}
    train(
        tiny_run(
            store,
            tmp_path / "run",
            optimizer={"steps": 1},
            losses=losses,
            validation={"every": 0},
        )
    )
    with pytest.raises(ValueError, match="has no discriminator"):
        load_extractor(str(tmp_path / "run"), None, "cpu")


def test_the_maps_of_every_level_are_given_for_neighboring_slices(run: Path) -> None:
    segmenter = load_segmenter(str(run), None, tiny_card(), "cpu")
    maps = encoder_maps(segmenter)(np.zeros((5, 40, 36), dtype=np.float32))
    assert [level.shape for level in maps] == [(5, 8, 20, 18), (5, 8, 10, 9), (5, 16, 10, 9)]


def test_a_script_needs_its_hash_and_a_model_must_be_a_segmenter(tmp_path: Path) -> None:
    script = tmp_path / "network.pt"
    script.write_bytes(b"anything")
    with pytest.raises(WeightsError, match="have no hash"):
        load_segmenter(str(script), None, tiny_card(), "cpu")
    with pytest.raises(WeightsError, match="have no hash"):
        load_extractor(str(script), None, "cpu")
    with pytest.raises(CheckpointError, match="no model"):
        load_segmenter("nothing of that name", None, tiny_card(), "cpu")


@dataclass
class FixedSegmenter:
    """Finds the same labels in every image."""

    found: LabelMap

    def segment(self, volume: Volume) -> LabelMap:
        return self.found


def segmented(values: list[int], names: dict[int, str]) -> list[int]:
    array = np.array(values, dtype=np.uint8).reshape(1, 1, -1)
    segmenter = FixedSegmenter(LabelMap(array, np.eye(4), names))
    found = as_segmenter(segmenter, CaseReader(tiny_synthesizer()))
    volume = Volume(np.zeros(array.shape, dtype=np.float32), np.eye(4))
    return found(volume).labels_kji.ravel().tolist()


def test_a_segmenters_labels_become_the_models_by_their_names() -> None:
    assert segmented([0, 7, 9], {7: "part 3", 9: "part 1"}) == [0, 3, 1]


def test_what_a_segmenter_finds_beside_the_models_labels_is_background() -> None:
    assert segmented([0, 7, 9], {7: "part 3", 9: "a vessel"}) == [0, 3, 0]
    assert segmented([0, 9, 9], {9: "a vessel"}) == [0, 0, 0]
    assert segmented([0, 0], {}) == [0, 0]


def test_a_script_shows_no_maps_of_its_levels() -> None:
    script = SimpleNamespace(network=torch.nn.Identity())
    with pytest.raises(ValueError, match="TorchScript segmenter cannot be reached. Give"):
        encoder_maps(script)
