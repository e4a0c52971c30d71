"""The case store: what is written is what is read, and a store that is not whole is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from AnatoMaskGANLib.volumes import VolumeError
from AnatoMaskGANLib.volumes.case_store import (
    STORE_VERSION,
    StoreError,
    open_store,
    write_case,
    write_index,
)

TABLE = {"name": "t", "labels": {"1": "left a", "2": "right a"}, "swaps": {"1": 2, "2": 1}}


def make_store(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    labels = np.zeros((6, 8, 10), dtype=np.int32)
    labels[1:4, 2:5, 3:9] = 2
    image = np.linspace(-50, 150, labels.size).reshape(labels.shape)
    guidance = np.round(np.linspace(0, 1, labels.size).reshape(labels.shape) * 10) / 10
    entries = [
        write_case(folder, "both", image, labels, (0.0, 100.0), guidance),
        write_case(folder, "image", image, None, (0.0, 100.0), guidance, "cases/image-1"),
        write_case(folder, "labels", None, labels, (0.0, 100.0)),
    ]
    entries = [entry | {"subject": entry["name"], "split": "train"} for entry in entries]
    write_index(folder, entries, (1.0, 1.0, 2.0), (0.0, 100.0), "HU", TABLE, {"settings": {"a": 1}})
    return folder


def test_a_case_is_read_as_it_was_written(tmp_path: Path) -> None:
    store = open_store(make_store(tmp_path))
    both, image_only, labels_only = store.cases
    values = both.image(slice(None), slice(None), slice(None))
    expected = np.clip(np.linspace(-50, 150, 480).reshape(6, 8, 10), 0, 100) / 100
    assert np.abs(values - expected).max() < 1e-4
    assert both.labels_sjk.dtype == np.uint8 and both.labels_sjk[2, 3, 4] == 2
    assert (both.labeled_slices, both.labeled_rows, both.labeled_columns) == (
        (1, 4),
        (2, 5),
        (3, 9),
    )
    assert both.guidance_sjk.dtype == np.uint8 and both.guidance_sjk.max() == 255
    assert image_only.labels_sjk is None and labels_only.image_sjk is None
    assert image_only.labeled_slices == (1, 6)  # where its intensity is above 5 of 100
    assert labels_only.shape_kji == (6, 8, 10)
    assert (store.unit, store.num_classes, store.swaps) == ("HU", 3, {1: 2, 2: 1})
    assert store.preparation == {"settings": {"a": 1}}


def test_the_arrays_are_mapped_and_not_read(tmp_path: Path) -> None:
    store = open_store(make_store(tmp_path))
    assert isinstance(store.cases[0].image_sjk, np.memmap)


def change_index(folder: Path, **changes: object) -> None:
    index = json.loads((folder / "store.json").read_text())
    (folder / "store.json").write_text(json.dumps(index | changes))


def test_a_store_of_an_older_version_is_refused_with_what_to_do(tmp_path: Path) -> None:
    make_store(tmp_path)
    change_index(tmp_path, version=1)
    message = f"version 1, but this program reads version {STORE_VERSION}. .*anatomaskgan prepare"
    with pytest.raises(StoreError, match=message):
        open_store(tmp_path)


def test_a_folder_without_a_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="has no store.json.*anatomaskgan prepare"):
        open_store(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "other"}', "\0\0"])
def test_an_index_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    make_store(tmp_path)
    (tmp_path / "store.json").write_text(text)
    with pytest.raises(StoreError, match="store.json"):
        open_store(tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        {"cases": [{"name": "x"}]},
        {"cases": None},
        {"spacing_ijk_mm": [1, 2]},
        {"window": ["a", "b"]},
    ],
)
def test_a_damaged_index_is_refused(tmp_path: Path, damage: dict[str, object]) -> None:
    make_store(tmp_path)
    change_index(tmp_path, **damage)
    with pytest.raises(StoreError, match="is damaged"):
        open_store(tmp_path)


def test_a_case_without_any_array_is_refused(tmp_path: Path) -> None:
    make_store(tmp_path)
    index = json.loads((tmp_path / "store.json").read_text())
    index["cases"][0]["parts"] = []
    change_index(tmp_path, cases=index["cases"])
    with pytest.raises(StoreError, match="has neither an image nor labels; prepare"):
        open_store(tmp_path)


def test_a_case_of_labels_alone_has_no_image_to_give(tmp_path: Path) -> None:
    make_store(tmp_path)
    (case,) = (case for case in open_store(tmp_path).cases if case.image_sjk is None)
    assert case.shape_kji == case.labels_sjk.shape
    with pytest.raises(StoreError, match="has no image"):
        case.image(slice(None), slice(None), slice(None))


def test_an_index_cannot_name_arrays_outside_the_store(tmp_path: Path) -> None:
    make_store(tmp_path / "store")
    index = json.loads((tmp_path / "store" / "store.json").read_text())
    index["cases"][0]["folder"] = "../elsewhere"
    change_index(tmp_path / "store", cases=index["cases"])
    with pytest.raises(StoreError, match="outside the store"):
        open_store(tmp_path / "store")


def test_a_truncated_or_exchanged_array_is_refused(tmp_path: Path) -> None:
    make_store(tmp_path)
    path = tmp_path / "both" / "image.npy"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(StoreError, match="image.npy"):
        open_store(tmp_path)
    np.save(path, np.zeros((6, 8, 10), dtype=np.float32))
    with pytest.raises(StoreError, match="type float32"):
        open_store(tmp_path)


def test_arrays_are_never_read_as_pickles(tmp_path: Path) -> None:
    make_store(tmp_path)
    np.save(tmp_path / "both" / "image.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(StoreError, match="image.npy cannot be read"):
        open_store(tmp_path)


def test_a_full_disk_leaves_the_case_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_store(tmp_path)
    before = (tmp_path / "both" / "image.npy").read_bytes()

    def save(path: Path, array: np.ndarray, allow_pickle: bool) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", save)
    with pytest.raises(VolumeError, match="No space left on device.*Free some space"):
        write_case(tmp_path, "both", np.ones((6, 8, 10)), None, (0.0, 1.0))
    monkeypatch.undo()
    assert (tmp_path / "both" / "image.npy").read_bytes() == before
    assert len(open_store(tmp_path).cases) == 3
    assert sorted(path.name for path in (tmp_path / "both").iterdir()) == [
        "guidance.npy",
        "image.npy",
        "labels.npy",
    ]
