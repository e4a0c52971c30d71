"""A store of training cases: memory-mapped images, label maps and guidance on the model's grid.

A store is a folder with the index `store.json` and, for every case, a folder with up to three
arrays, each [S,H,W] in KJI order: `image.npy` (uint16, the window mapped to 0..65535), `labels.npy`
(uint8 or uint16, classes of the label table) and `guidance.npy` (uint8, superpixel means mapped to
0..255). Training reads slices from it without decoding any medical file. The index is replaced in
one step after the arrays that it names are whole, so a store is always the old or the new one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from tokenize import TokenError
from typing import Any

import numpy as np

from AnatoMaskGANLib.json_text import parse_json
from AnatoMaskGANLib.volumes.atomic_writing import replacing, write_bytes
from AnatoMaskGANLib.volumes.label_table import LabelTable

STORE_VERSION = 2
SPLITS = ("train", "validation", "test")
INDEX = "store.json"
_FORMAT = "anatomaskgan-case-store"
_FULL_SCALE = 65535
_FULL_GUIDANCE = 255
# A case without labels reaches as far as its intensities above this fraction of the window.
_ANATOMY_INTENSITY = 0.05
_DTYPES = {"image": ("uint16",), "labels": ("uint8", "uint16"), "guidance": ("uint8",)}


class StoreError(ValueError):
    """A store that is missing, damaged, or of another version."""


@dataclass(frozen=True, eq=False)
class StoredCase:
    """One case of a store; the arrays are memory maps [S,H,W]."""

    name: str
    subject: str
    split: str
    image_sjk: np.ndarray | None
    """uint16; None for a case that has labels only, for unpaired training."""
    labels_sjk: np.ndarray | None
    """uint8 or uint16; None for a case without labels, for unpaired or semi training."""
    labeled_slices: tuple[int, int]
    """First and one past the last slice with a label, or with anatomy in a case without labels."""
    labeled_rows: tuple[int, int]
    labeled_columns: tuple[int, int]
    guidance_sjk: np.ndarray | None = None
    """uint8; None where the store was prepared without superpixels."""
    origin: str = ""
    """What the image is marked as, a synthetic image or an edited scan; "" for a scan."""
    window: tuple[float, float] | None = None
    """Intensities of this case that are 0 and 1; its own where the store's are percentiles."""

    @property
    def shape_kji(self) -> tuple[int, int, int]:
        """Slices, rows and columns."""
        array = self.image_sjk if self.image_sjk is not None else self.labels_sjk
        if array is None:
            raise StoreError(
                f"case {self.name} has neither an image nor labels; prepare the store again"
            )
        return array.shape

    def image(self, slices: slice, rows: slice, columns: slice) -> np.ndarray:
        """float32 in [0,1] of a part of the case; StoreError for a case without an image."""
        if self.image_sjk is None:
            raise StoreError(f"case {self.name} has no image; take a case of a paired store")
        return decode_image(self.image_sjk[slices, rows, columns].astype(np.float32))


@dataclass(frozen=True, eq=False)
class CaseStore:
    """All cases of a store with what they have in common."""

    folder: Path
    spacing_ijk_mm: tuple[float, float, float]
    window: tuple[float, float]
    unit: str
    label_table: Mapping[str, Any]  # written by `LabelTable.to_dict`
    cases: tuple[StoredCase, ...]
    preparation: Mapping[str, Any] = field(default_factory=dict)
    """How the store was made: settings, normalization, split."""

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


def decode_image(stored: np.ndarray) -> np.ndarray:
    """Intensities in [0,1] of values of `image.npy`: float32 for float32 values, else float64."""
    return stored / _FULL_SCALE


def decode_guidance(stored: np.ndarray) -> np.ndarray:
    """Superpixel means in [0,1] of values of `guidance.npy`; the type as for `decode_image`."""
    return stored / _FULL_GUIDANCE


def write_case(
    folder: Path,
    name: str,
    image_kji: np.ndarray | None,
    labels_kji: np.ndarray | None,
    window: tuple[float, float],
    guidance_kji: np.ndarray | None = None,
    case_folder: str | None = None,
) -> dict[str, Any]:
    """Writes the arrays of one case and returns its entry for `write_index`, without subject and
    split.

    image_kji: intensities in the window's unit, clipped to it. labels_kji: model classes.
    guidance_kji: [0,1]. case_folder: where the arrays lie in the store; the name if not given.
    """
    low, high = window
    arrays: dict[str, np.ndarray] = {}
    if image_kji is not None:
        scaled = (np.clip(image_kji.astype(np.float32), low, high) - low) / (high - low)
        arrays["image"] = np.round(scaled * _FULL_SCALE).astype(np.uint16)
    if labels_kji is not None:
        arrays["labels"] = labels_kji.astype(np.uint8 if labels_kji.max() < 256 else np.uint16)
    if guidance_kji is not None:
        arrays["guidance"] = np.round(guidance_kji * _FULL_GUIDANCE).astype(np.uint8)
    anatomy = (
        arrays["labels"] > 0
        if "labels" in arrays
        else arrays["image"] > _ANATOMY_INTENSITY * _FULL_SCALE
    )
    place = folder / (case_folder or name)
    place.mkdir(parents=True, exist_ok=True)
    for part, array in arrays.items():
        with replacing(place / f"{part}.npy", ".npy") as temporary:
            np.save(temporary, array, allow_pickle=False)
    return {
        "name": name,
        "folder": case_folder or name,
        "parts": list(arrays),
        "shape_kji": list(anatomy.shape),
        "labeled_extent": [_extent(anatomy, axis) for axis in range(3)],
        "window": list(window),
    }


def write_index(
    folder: Path,
    entries: Sequence[Mapping[str, Any]],
    spacing_ijk_mm: Sequence[float],
    window: tuple[float, float],
    unit: str,
    label_table: Mapping[str, Any],
    preparation: Mapping[str, Any] | None = None,
) -> None:
    """Writes `store.json`; every entry is one of `write_case` with subject and split."""
    index = {
        "format": _FORMAT,
        "version": STORE_VERSION,
        "spacing_ijk_mm": list(spacing_ijk_mm),
        "window": list(window),
        "unit": unit,
        "label_table": label_table,
        "preparation": dict(preparation or {}),
        "cases": list(entries),
    }
    write_bytes(folder / INDEX, ".json", lambda: json.dumps(index, indent=1).encode())


def open_store(folder: Path) -> CaseStore:
    """The store in a folder; raises `StoreError` where it is not whole."""
    index = read_index(folder)
    try:
        store = CaseStore(
            folder=folder,
            spacing_ijk_mm=_spacing(index["spacing_ijk_mm"]),
            window=_window(index["window"]),
            unit=str(index["unit"]),
            label_table=index["label_table"],
            cases=tuple(open_case(folder, entry) for entry in index["cases"]),
            preparation=index["preparation"],
        )
        _check_store(store)
        return store
    except StoreError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise StoreError(
            f"{folder / INDEX} is damaged ({type(error).__name__}: {error}); prepare the store "
            "again with: anatomaskgan prepare"
        ) from error


def read_index(folder: Path) -> dict[str, Any]:
    """What `store.json` holds; raises `StoreError` if it is missing, damaged or of another
    version."""
    path = folder / INDEX
    if not path.is_file():
        raise StoreError(
            f"{folder} has no {INDEX}, so it is not a case store; make one with: "
            "anatomaskgan prepare"
        )
    try:
        index = parse_json(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise StoreError(
            f"{path} cannot be read ({error}); prepare the store again with: anatomaskgan prepare"
        ) from error
    if not isinstance(index, dict) or index.get("format") != _FORMAT:
        raise StoreError(
            f"{path} is not the index of a case store; give the folder that anatomaskgan prepare "
            "wrote"
        )
    if index.get("version") != STORE_VERSION:
        raise StoreError(
            f"{folder} is a store of version {index.get('version')}, but this program "
            f"reads version {STORE_VERSION}. Make it again from its images with: "
            "anatomaskgan prepare"
        )
    return index


def open_case(folder: Path, entry: Mapping[str, Any]) -> StoredCase:
    """The case of an index entry; raises `StoreError` where its arrays are not as the entry says,
    KeyError, TypeError or ValueError for a damaged entry."""
    place = PurePosixPath(entry["folder"])
    if place.is_absolute() or ".." in place.parts:
        raise StoreError(f"{folder / INDEX} names the folder {place} outside the store")
    if entry["split"] not in SPLITS:
        raise StoreError(
            f"case {entry['name']} is of the split {entry['split']!r}; expected one of "
            f"{', '.join(SPLITS)}"
        )
    shape = tuple(entry["shape_kji"])
    arrays = {
        part: _open_array(folder / place / f"{part}.npy", shape, _DTYPES[part])
        for part in entry["parts"]
    }
    slices, rows, columns = (_pair(pair) for pair in entry["labeled_extent"])
    return StoredCase(
        str(entry["name"]),
        str(entry["subject"]),
        entry["split"],
        arrays.get("image"),
        arrays.get("labels"),
        slices,
        rows,
        columns,
        arrays.get("guidance"),
        str(entry.get("origin", "")),
        _window(entry["window"]),
    )


def _open_array(path: Path, shape: tuple[int, ...], dtypes: tuple[str, ...]) -> np.ndarray:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    # NumPy reads the header of an array as Python's tokens, and lets their errors through
    except (OSError, ValueError, EOFError, SyntaxError, TokenError, OverflowError) as error:
        raise StoreError(f"{path} cannot be read ({error}); prepare the store again") from error
    if array.shape != shape or array.dtype.name not in dtypes:
        raise StoreError(
            f"{path} has shape {array.shape} and type {array.dtype}, but the index says "
            f"{shape} and {' or '.join(dtypes)}; prepare the store again"
        )
    return array


def _check_store(store: CaseStore) -> None:
    """Raises VolumeError or ValueError for what would only be found while training."""
    LabelTable.from_dict(store.label_table)
    if not all(0 < spacing < math.inf for spacing in store.spacing_ijk_mm):
        raise ValueError(f"the spacing is {store.spacing_ijk_mm}")
    for case in store.cases:
        extents = (case.labeled_slices, case.labeled_rows, case.labeled_columns)
        for (first, last), size in zip(extents, case.shape_kji, strict=True):
            if not 0 <= first <= last <= size:
                raise ValueError(f"{case.name} has labels from {first} to {last} of {size}")


def _spacing(values: Sequence[Any]) -> tuple[float, float, float]:
    i, j, k = _numbers(values, 3)
    return i, j, k


def _window(values: Sequence[Any]) -> tuple[float, float]:
    low, high = _numbers(values, 2)
    return low, high


def _numbers(values: Sequence[Any], length: int) -> list[float]:
    if len(values) != length:
        raise ValueError(f"{values} has {len(values)} numbers, expected {length}")
    return [float(value) for value in values]


def _pair(values: Sequence[Any]) -> tuple[int, int]:
    first, last = values
    return int(first), int(last)


def _extent(anatomy: np.ndarray, axis: int) -> list[int]:
    others = tuple(other for other in range(3) if other != axis)
    places = np.flatnonzero(anatomy.any(axis=others))
    return [int(places[0]), int(places[-1]) + 1] if places.size else [0, 0]
