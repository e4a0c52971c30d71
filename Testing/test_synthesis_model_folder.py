from __future__ import annotations

import hashlib
import json
import os
import pickle
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch
from tiny_models import tiny_card, tiny_generator, write_tiny_model

from AnatoMaskGANLib.cli import main
from AnatoMaskGANLib.resources import resources_folder
from AnatoMaskGANLib.synthesis import CheckpointError, list_models, read_model, write_model
from AnatoMaskGANLib.synthesis.models.archive import pack_model
from AnatoMaskGANLib.synthesis.models.folder import (
    WEIGHTS_FILE,
    find_model,
    read_card,
    user_models_folder,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_tiny_model(tmp_path / "tiny")


def rewrite(
    folder: Path,
    change_header: Callable[[dict[str, str]], None] = lambda header: None,
    change_tensors: Callable[[dict[str, torch.Tensor]], None] = lambda tensors: None,
) -> None:
    path = folder / WEIGHTS_FILE
    with safetensors.safe_open(path, "pt") as file:
        header = dict(file.metadata())
    tensors = safetensors.torch.load_file(path)
    change_header(header)
    change_tensors(tensors)
    safetensors.torch.save_file(tensors, path, header)


def change_card(folder: Path, **changes: object) -> None:
    def change(header: dict[str, str]) -> None:
        header["card"] = json.dumps(json.loads(header["card"]) | changes)

    rewrite(folder, change)


def test_card_and_weights_survive_the_way_through_a_folder(folder: Path) -> None:
    card, generator = read_model(folder)
    wanted = tiny_generator()
    assert card.generator == wanted.settings and card.window == (0.0, 100.0)
    for name, value in wanted.state_dict().items():
        torch.testing.assert_close(generator.state_dict()[name], value, rtol=0, atol=0)
    assert len(card.sha256) == 64
    assert card.sha256 in (folder / "card.md").read_text()


def test_an_installed_model_is_found_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANATOMASKGAN_MODELS", str(tmp_path))
    write_tiny_model(tmp_path / "tiny")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / WEIGHTS_FILE).write_bytes(b"no model")
    names = [card.name for card in list_models()]
    assert "tiny" in names and "broken" not in names
    assert read_model("tiny")[0].path == str(tmp_path / "tiny")


def test_a_folder_in_the_current_one_does_not_take_the_place_of_a_named_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANATOMASKGAN_MODELS", str(tmp_path / "installed"))
    write_tiny_model(tmp_path / "installed" / "tiny", description="Installed.")
    here = tmp_path / "here"
    for name in ("tiny", "only here"):
        write_tiny_model(here / name, description="Here.")
    (here / "brain-t1").mkdir()
    monkeypatch.chdir(here)
    assert find_model("brain-t1") == resources_folder() / "Models" / "brain-t1"
    assert read_card(find_model("tiny")).description == "Installed."
    for path in ("./tiny", "tiny/", Path("tiny"), "only here", str(here / "tiny")):
        assert read_card(find_model(path)).description == "Here.", path
    with pytest.raises(CheckpointError, match="does not contain"):
        find_model("./brain-t1")


def test_a_copied_model_is_listed_under_the_name_by_which_it_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANATOMASKGAN_MODELS", str(tmp_path))
    for name in ("tiny", "tiny-2"):
        write_tiny_model(tmp_path / name)
    assert [card.name for card in list_models()] == ["brain-t1", "tiny", "tiny-2"]
    assert main(["models", "list"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert [find_model(name).name for name in listed] == ["brain-t1", "tiny", "tiny-2"]


@pytest.mark.parametrize("name", ["nothing", "../tiny", "", ".", "/nowhere/at/all"])
def test_a_model_that_is_not_there_is_told_with_the_known_ones(name: str) -> None:
    with pytest.raises(CheckpointError, match="There is no model|is not a model|does not contain"):
        read_model(name)


def test_every_truncation_is_refused(folder: Path) -> None:
    path = folder / WEIGHTS_FILE
    whole = path.read_bytes()
    for length in (0, 1, 7, 8, 9, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match="safetensors|cannot be read"):
            read_model(folder)


def test_bytes_changed_in_the_header_are_refused_or_change_nothing(folder: Path) -> None:
    path = folder / WEIGHTS_FILE
    whole = path.read_bytes()
    size = 8 + int.from_bytes(whole[:8], "little")
    draws = np.random.default_rng(0)
    for place in draws.integers(0, size, 60):
        changed = bytearray(whole)
        changed[place] ^= 0xFF
        path.write_bytes(changed)
        with pytest.raises(CheckpointError):
            read_model(folder)


def test_a_pickle_is_never_read(tmp_path: Path) -> None:
    ran = tmp_path / "ran"

    class Attack:
        def __reduce__(self) -> tuple:
            return (Path.touch, (ran,))

    folder = tmp_path / "model"
    folder.mkdir()
    pickle_file = tmp_path / "model.pt"
    for path in (folder / WEIGHTS_FILE, pickle_file):
        path.write_bytes(pickle.dumps(Attack()))
    torch.save({"weight": torch.zeros(2)}, tmp_path / "model.pth")
    for path in (folder, pickle_file, tmp_path / "model.pth"):
        with pytest.raises(CheckpointError, match="[Pp]ickled"):
            read_model(path)
    assert not ran.exists()


def test_a_safetensors_file_of_something_else_is_refused(tmp_path: Path) -> None:
    safetensors.torch.save_file({"weight": torch.zeros(2)}, tmp_path / WEIGHTS_FILE)
    with pytest.raises(CheckpointError, match="another program"):
        read_model(tmp_path)


def test_another_format_version_is_refused(folder: Path) -> None:
    rewrite(folder, lambda header: header.update(version="2"))
    with pytest.raises(CheckpointError, match="version 2"):
        read_model(folder)


def test_an_unknown_key_in_the_card_is_refused_with_its_name(folder: Path) -> None:
    change_card(folder, surprise=1)
    with pytest.raises(CheckpointError, match="surprise"):
        read_model(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"window": [1.0, 1.0]}, "window"),
        ({"spacing_ijk_mm": [1.0, 0.0, 1.0]}, "spacing"),
        ({"label_table": {"name": "x", "labels": {"99": "too many"}}}, "classes"),
        ({"label_table": {"name": "x"}}, "label table"),
        ({"generator": {"num_classes": 6, "norm": "magic"}}, "norm"),
        ({"generator": {"num_classes": 6, "depth": 3}}, "depth"),
        ({"name": 7}, "name"),
    ],
)
def test_a_card_that_makes_no_sense_is_refused(
    folder: Path, change: dict[str, object], message: str
) -> None:
    change_card(folder, **change)
    with pytest.raises(CheckpointError, match=message):
        read_model(folder)


def test_weights_that_do_not_fit_the_card_are_refused(folder: Path) -> None:
    rewrite(folder, change_tensors=lambda tensors: tensors.pop("image.bias"))
    with pytest.raises(CheckpointError, match="do not match"):
        read_model(folder)


def test_an_additional_tensor_is_refused(folder: Path) -> None:
    rewrite(folder, change_tensors=lambda tensors: tensors.update(extra=torch.zeros(1)))
    with pytest.raises(CheckpointError, match="do not match"):
        read_model(folder)


def test_weights_that_are_not_numbers_are_refused(folder: Path) -> None:
    rewrite(folder, change_tensors=lambda tensors: tensors["image.bias"].fill_(float("nan")))
    with pytest.raises(CheckpointError, match="not numbers"):
        read_model(folder)


def test_a_card_that_does_not_fit_is_not_written(tmp_path: Path) -> None:
    card = tiny_card(window=(2.0, 1.0))
    with pytest.raises(CheckpointError, match="window"):
        write_model(tmp_path / "model", card, tiny_generator())
    assert not (tmp_path / "model").exists()


def test_weights_that_do_not_fit_in_memory_are_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(content: bytes) -> None:
        raise MemoryError("no room for 3 GB")

    monkeypatch.setattr(safetensors.torch, "load", fail)
    with pytest.raises(CheckpointError, match="safetensors cannot be read: no room for 3 GB"):
        read_model(folder)


def test_a_user_without_a_home_folder_has_the_bundled_models(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("ANATOMASKGAN_MODELS", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    assert "brain-t1" in [card.name for card in list_models()]
    assert find_model("brain-t1").name == "brain-t1"
    with pytest.raises(CheckpointError, match="no home folder.*ANATOMASKGAN_MODELS"):
        user_models_folder()


def test_card_hash_and_weights_are_of_one_file_while_others_take_its_place(
    tmp_path: Path,
) -> None:
    """Two models, each named by its weights, take turns at one place in another thread."""
    hashes: dict[str, str] = {}
    weights: dict[str, torch.Tensor] = {}
    contents = []
    for seed in (0, 1):
        made = tmp_path / f"made-{seed}"
        generator = tiny_generator(seed=seed)
        write_model(made, tiny_card(name=f"model-{seed}"), generator)
        card = read_card(made)
        hashes[card.name], weights[card.name] = card.sha256, generator.state_dict()["image.weight"]
        contents.append((made / WEIGHTS_FILE).read_bytes())
    place = tmp_path / "place"
    place.mkdir()
    (place / WEIGHTS_FILE).write_bytes(contents[0])
    is_over = threading.Event()

    def take_turns() -> None:
        turn = 0
        while not is_over.is_set():
            turn += 1
            new = tmp_path / "new"
            new.write_bytes(contents[turn % 2])
            os.replace(new, place / WEIGHTS_FILE)

    thread = threading.Thread(target=take_turns)
    thread.start()
    seen = set()
    try:
        for _ in range(60):
            card, network = read_model(place)
            seen.add(card.name)
            assert card.sha256 == hashes[card.name]
            assert torch.equal(network.state_dict()["image.weight"], weights[card.name])
            told = read_card(place)
            assert told.sha256 == hashes[told.name]
            packed = pack_model(place, tmp_path / "packed.zip")
            with zipfile.ZipFile(packed) as archive:
                (name,) = [n for n in archive.namelist() if n.endswith(WEIGHTS_FILE)]
                digest = hashlib.sha256(archive.read(name)).hexdigest()
                assert digest == hashes[name.split("/")[0]]
                assert digest in archive.read(name.replace(WEIGHTS_FILE, "card.md")).decode()
    finally:
        is_over.set()
        thread.join()
    assert seen == {"model-0", "model-1"}


def test_a_key_twice_in_a_card_is_refused(folder: Path) -> None:
    def change(header: dict[str, str]) -> None:
        header["card"] = header["card"].replace('{"name"', '{"licence": "mine", "name"', 1)

    rewrite(folder, change)
    with pytest.raises(CheckpointError, match="'licence' comes twice"):
        read_model(folder)


def test_a_model_is_packed_whatever_the_date_of_its_file(folder: Path, tmp_path: Path) -> None:
    os.utime(folder / WEIGHTS_FILE, (0, 0))  # 1970, which a zip archive has no number for
    first = pack_model(folder, tmp_path / "first.zip").read_bytes()
    os.utime(folder / WEIGHTS_FILE)
    assert pack_model(folder, tmp_path / "second.zip").read_bytes() == first


@pytest.mark.parametrize(
    "header",
    [
        b"[]",
        b'{"a": 1}',
        b'{"a": {"data_offsets": "12"}}',
        b'{"__metadata__": {"a": 1}}',
        b"\xff\xfe",
    ],
)
def test_a_header_that_is_none_is_refused(tmp_path: Path, header: bytes) -> None:
    (tmp_path / WEIGHTS_FILE).write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(CheckpointError, match="not a readable safetensors file"):
        read_card(tmp_path)
