"""Errors that other tests do not meet: each says what came and what was expected."""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from AnatoMaskGANLib.config import GeneratorSettings, SettingsError, settings_from_dict
from AnatoMaskGANLib.networks.normalization import normalization
from AnatoMaskGANLib.synthesis import CheckpointError, Synthesizer
from AnatoMaskGANLib.synthesis.devices import pick_device
from AnatoMaskGANLib.synthesis.edit_in_place import check_margin
from AnatoMaskGANLib.synthesis.errors import DeviceError
from AnatoMaskGANLib.synthesis.models.archive import install_model, verify_model
from AnatoMaskGANLib.synthesis.models.catalog import find_entry
from AnatoMaskGANLib.synthesis.segmenting import VolumeSegmenter
from AnatoMaskGANLib.synthesis.worker.exchange import MessageError, decoded
from AnatoMaskGANLib.training.settings import TrainingSettings
from AnatoMaskGANLib.volumes import LabelMap, Volume, VolumeError, load_label_table, read_label_map
from AnatoMaskGANLib.volumes.geometry import checked_ijk_to_ras
from AnatoMaskGANLib.volumes.slicer_segments import Segment, merged_layers
from Testing.fuzz import corpus
from Testing.tiny_models import (
    label_map_of,
    random_labels,
    tiny_card,
    tiny_generator,
    tiny_synthesizer,
    write_tiny_model,
)

ONES = np.ones((2, 2, 2), np.uint8)
FLAT = np.array([[1.0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1]])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: checked_ijk_to_ras(np.eye(3)), r"shape \(3, 3\); expected a 4x4 matrix"),
        (lambda: checked_ijk_to_ras(np.ones((4, 4))), r"expected \[0, 0, 0, 1\]"),
        (lambda: checked_ijk_to_ras(FLAT), "Expected three independent axes"),
        (lambda: LabelMap(ONES.astype(np.float32), np.eye(4)), "float32; expected integers"),
        (lambda: LabelMap(ONES[0], np.eye(4)), "expected three axes"),
        (lambda: Volume(ONES.astype(complex), np.eye(4)), "expected one real number"),
        (lambda: Volume(ONES[0], np.eye(4)), "expected three axes"),
        (lambda: Volume(ONES, np.eye(4), (1.0, 0.0)), "the lower one first"),
        (
            lambda: merged_layers(Path("a"), ONES[..., None], (Segment("liver", 1, 3, ""),)),
            "'liver' belongs to layer 3",
        ),
    ],
)
def test_arrays_and_places_that_are_none_are_told(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(VolumeError, match=message):
        make()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"generator": {"channels": 8}, "output": "o", "data": {"store": "s"}}, None),
        ([], "needs a mapping of settings, not list"),
        ({}, "TrainingSettings needs data, output, which are missing in the file"),
        ({"output": "o", "data": 3}, "needs a mapping of settings, not int"),
        ({"output": "o", "data": {"store": "s", "crop": 3}}, "crop is 3; expected a list"),
        ({"output": "o", "data": {"store": "s", "crop": [64]}}, "1 entries; expected 2"),
        ({"output": "o", "data": {"store": "s", "crop": [8, 8]}}, "16 or more"),
        ({"output": "o", "data": {"store": "s"}, "preset": "big"}, "preset is 'big'; allowed"),
        ({"output": "o", "data": {"store": "s"}, "outptu": 1}, "did you mean output"),
        ({"output": "o", "data": {"store": "s"}, "losses": {"r1": -1.0}}, "r1 is -1.0; allowed"),
        (
            {"output": "o", "data": {"store": "s"}, "optimizer": {"betas": [0.1, 1.0]}},
            "betas is .*allowed: two numbers",
        ),
        (
            {"output": "o", "data": {"store": "s"}, "validation": {"every": -1}},
            "validation has every -1",
        ),
    ],
)
def test_settings_that_make_no_sense_are_told(values: Any, message: str | None) -> None:
    if message is None:
        assert settings_from_dict(TrainingSettings, values).output == "o"
        return
    with pytest.raises(SettingsError, match=message):
        settings_from_dict(TrainingSettings, values)


def test_a_number_of_another_type_is_told() -> None:
    with pytest.raises(SettingsError, match="num_classes is 'six'"):
        settings_from_dict(GeneratorSettings, {"num_classes": "six"})


@pytest.mark.parametrize("margin_mm", [-1.0, 101.0, float("nan")])
def test_a_margin_that_is_no_length_is_told(margin_mm: float) -> None:
    with pytest.raises(ValueError, match="expected 0 to 100 mm"):
        check_margin(margin_mm)


@pytest.mark.parametrize(("line", "message"), [(b"{", "is not JSON"), (b"[]", "is a list")])
def test_a_message_that_is_none_is_told(line: bytes, message: str) -> None:
    with pytest.raises(MessageError, match=message):
        decoded(line)


def test_a_label_table_and_a_catalog_that_are_none_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("[]")
    with pytest.raises(VolumeError, match="holds a list; expected a JSON object"):
        load_label_table(path)
    path.write_text(corpus.catalog_seeds()[0].content.decode())
    with pytest.raises(CheckpointError, match="does not list a model 'x'; it lists ct"):
        find_entry(path, "x")


@pytest.mark.parametrize(
    ("sizes", "message"),
    [((5, 6, 3, 2), "has 4 dimensions"), ((2000, 2000, 2000, 1), "promises 2000 x 2000 x 2000")],
)
def test_an_mgh_file_of_other_sizes_is_told(
    tmp_path: Path, sizes: tuple[int, ...], message: str
) -> None:
    (whole,) = [seed for seed in corpus.label_map_seeds() if seed.name == "a.mgz"]
    content = bytearray(gzip.decompress(whole.content))
    struct.pack_into(">4i", content, 4, *sizes)
    path = tmp_path / "a.mgz"
    path.write_bytes(gzip.compress(bytes(content)))
    with pytest.raises(VolumeError, match=message):
        read_label_map(path)


def test_a_store_that_lies_about_its_places_and_arrays_is_told(tmp_path: Path) -> None:
    from AnatoMaskGANLib.volumes.case_store import INDEX, StoreError, open_store
    from Testing.tiny_runs import write_tiny_store

    with pytest.raises(StoreError, match="so it is not a case store"):
        open_store(tmp_path)
    index = json.loads((write_tiny_store(tmp_path) / INDEX).read_text())
    first = index["cases"][0]
    for changes, message in (
        ({"split": "holiday"}, "of the split 'holiday'"),
        ({"folder": "../outside"}, "outside the store"),
        ({"labeled_extent": [[0, 1]]}, "expected"),
    ):
        changed = index | {"cases": [first | changes, *index["cases"][1:]]}
        (tmp_path / INDEX).write_text(json.dumps(changed))
        with pytest.raises(StoreError, match=message):
            open_store(tmp_path)
    (tmp_path / INDEX).write_text("[]")
    with pytest.raises(StoreError, match="is not the index"):
        open_store(tmp_path)


def test_a_network_of_the_wrong_direction_and_an_unknown_normalization_are_told() -> None:
    """A generator makes images of labels, a segmenter labels of images."""
    card, generator = tiny_card(), tiny_generator()
    with pytest.raises(CheckpointError, match="use it with"):
        VolumeSegmenter(card, generator, torch.device("cpu"))
    settings = replace(card.generator, kind="segmenter")
    with pytest.raises(CheckpointError, match="anatomaskgan segment"):
        Synthesizer(replace(card, generator=settings), generator, torch.device("cpu"))
    with pytest.raises(ValueError, match="normalization 'layer' is not known"):
        normalization("layer", 8)


def test_a_live_label_map_of_another_grid_is_told() -> None:
    session = tiny_synthesizer().session(label_map_of(random_labels((3, 12, 12))))
    with pytest.raises(VolumeError, match="expected the same grid"):
        session.update(label_map_of(random_labels((4, 12, 12))))


def test_memory_of_apple_devices_and_options_of_messages_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="'mps' does not exist"):
        pick_device("mps")


def test_models_and_hashes_that_are_none_are_told(tmp_path: Path) -> None:
    model = write_tiny_model(tmp_path / "tiny")
    with pytest.raises(CheckpointError, match="is not a SHA-256"):
        verify_model(model, "xyz")
    with pytest.raises(CheckpointError, match="expected the archive or folder of a model"):
        install_model(tmp_path / "nowhere", target=tmp_path / "models")
