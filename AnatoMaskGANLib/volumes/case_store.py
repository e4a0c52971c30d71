"""A store of training cases: memory-mapped images and label maps on the model's grid.

A store is a folder with `store.json` and, for every case, a folder with `image.npy` (uint16, window
mapped to 0..65535) and `labels.npy` (uint8 or uint16), both [S,H,W] in KJI order. Training reads
slices from it without decoding any medical file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .atomic_writing import replacing, write_bytes

STORE_VERSION = 1
SPLITS = ("train", "validation", "test")
_FULL_SCALE = 65535


class StoreError(ValueError):
    """A store that is missing, damaged, or of another version."""


@dataclass(frozen=True)
class StoredCase:
    """One case of a store; the arrays are memory maps."""

    name: str
    subject: str
    split: str
    image_sjk: np.ndarray  # uint16 [S,H,W]
    labels_sjk: np.ndarray  # uint8 or uint16 [S,H,W]
    labeled_slices: tuple[int, int]  # first and one past the last slice that has a label
    labeled_rows: tuple[int, int]
    labeled_columns: tuple[int, int]

    def image(self, slices: slice, rows: slice, columns: slice) -> np.ndarray:
        """float32 in [0,1] of a part of the case."""
        return self.image_sjk[slices, rows, columns].astype(np.float32) / _FULL_SCALE


@dataclass(frozen=True)
class CaseStore:
    """All cases of a store with what they have in common."""

    folder: Path
    spacing_ijk_mm: tuple[float, float, float]
    window: tuple[float, float]
    unit: str
    label_table: Mapping[str, Any]  # name, labels, codes, swaps: as `LabelTable` writes itself
    cases: tuple[StoredCase, ...]

    @property
    def num_classes(self) -> int:
        """Label classes, background included."""
        return 1 + max(int(value) for value in self.label_table["labels"])

    @property
    def swaps(self) -> dict[int, int]:
        """Label value -> value of its left-right partner."""
        return {int(a): int(b) for a, b in self.label_table.get("swaps", {}).items()}

    def of_split(self, split: str) -> tuple[StoredCase, ...]:
        """The cases of train, validation or test."""
        return tuple(case for case in self.cases if case.split == split)


def write_case(
    folder: Path,
    name: str,
    image_kji: np.ndarray,
    labels_kji: np.ndarray,
    window: tuple[float, float],
) -> dict[str, Any]:
    """Writes the arrays of one case and gives back its entry for `write_index`, without subject and
    split.

    image_kji: intensities in the window's unit, clipped to it. labels_kji: model classes.
    """
    low, high = window
    scaled = (np.clip(image_kji.astype(np.float32), low, high) - low) / (high - low)
    labels = labels_kji.astype(np.uint8 if labels_kji.max(initial=0) < 256 else np.uint16)
    extent = [_extent(labels, axis) for axis in range(3)]
    case_folder = folder / name
    case_folder.mkdir(parents=True, exist_ok=True)
    _write_array(case_folder / "image.npy", np.round(scaled * _FULL_SCALE).astype(np.uint16))
    _write_array(case_folder / "labels.npy", labels)
    return {"name": name, "shape_kji": list(labels.shape), "labeled_extent": extent}


def write_index(
    folder: Path,
    entries: Sequence[Mapping[str, Any]],
    spacing_ijk_mm: Sequence[float],
    window: tuple[float, float],
    unit: str,
    label_table: Mapping[str, Any],
) -> None:
    """Writes `store.json`; every entry has name, subject, split, shape_kji and labeled_extent."""
    index = {
        "format": "anatomaskgan-case-store",
        "version": STORE_VERSION,
        "spacing_ijk_mm": list(spacing_ijk_mm),
        "window": list(window),
        "unit": unit,
        "label_table": label_table,
        "cases": list(entries),
    }
    write_bytes(folder / "store.json", ".json", lambda: json.dumps(index, indent=1).encode())


def open_store(folder: Path) -> CaseStore:
    """The store in a folder; raises `StoreError` where it is not whole."""
    path = folder / "store.json"
    if not path.is_file():
        raise StoreError(f"{folder} has no store.json; make a store with: anatomaskgan prepare")
    try:
        index = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise StoreError(f"{path} is not valid JSON ({error}); prepare the store again") from error
    if not isinstance(index, dict) or index.get("format") != "anatomaskgan-case-store":
        raise StoreError(f"{path} is not the index of a case store")
    if index.get("version") != STORE_VERSION:
        raise StoreError(
            f"{folder} is a store of version {index.get('version')}; this program reads version "
            f"{STORE_VERSION}. Prepare the store again."
        )
    return CaseStore(
        folder=folder,
        spacing_ijk_mm=tuple(index["spacing_ijk_mm"]),
        window=tuple(index["window"]),
        unit=index["unit"],
        label_table=index["label_table"],
        cases=tuple(_open_case(folder, entry) for entry in index["cases"]),
    )


def _open_case(folder: Path, entry: Mapping[str, Any]) -> StoredCase:
    arrays = []
    for part in ("image", "labels"):
        path = folder / entry["name"] / f"{part}.npy"
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise StoreError(f"{path} cannot be read ({error}); prepare the store again") from error
        if list(array.shape) != list(entry["shape_kji"]):
            raise StoreError(
                f"{path} has shape {array.shape}, the index says {entry['shape_kji']}; "
                "prepare the store again"
            )
        arrays.append(array)
    slices, rows, columns = (tuple(pair) for pair in entry["labeled_extent"])
    return StoredCase(
        entry["name"], entry["subject"], entry["split"], *arrays, slices, rows, columns
    )


def _extent(labels: np.ndarray, axis: int) -> list[int]:
    others = tuple(other for other in range(3) if other != axis)
    places = np.flatnonzero(labels.any(axis=others))
    return [int(places[0]), int(places[-1]) + 1] if places.size else [0, 0]


def _write_array(path: Path, array: np.ndarray) -> None:
    with replacing(path, ".npy") as temporary:
        np.save(temporary, array, allow_pickle=False)
