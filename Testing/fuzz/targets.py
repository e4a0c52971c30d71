"""Everything that reads bytes from elsewhere: how it is called, and what it may raise.

A target's `read` also looks at what was taken for good: whatever is accepted must be sane.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch

from AnatoMaskGANLib.commands.manifest import Manifest
from AnatoMaskGANLib.commands.shards import shard_of
from AnatoMaskGANLib.commands.train import TrainOptions, run_settings
from AnatoMaskGANLib.config import settings_to_dict
from AnatoMaskGANLib.evaluation.weights import WeightsError, read_weights
from AnatoMaskGANLib.synthesis import CheckpointError, Synthesizer
from AnatoMaskGANLib.synthesis.models.archive import install_model
from AnatoMaskGANLib.synthesis.models.catalog import read_catalog
from AnatoMaskGANLib.synthesis.models.folder import WEIGHTS_FILE, read_model
from AnatoMaskGANLib.synthesis.worker.process import Worker
from AnatoMaskGANLib.training.checkpoints import RunStateError, read_tensors, write_run_state
from AnatoMaskGANLib.volumes import VolumeError, load_label_table, read_label_map, read_volume
from AnatoMaskGANLib.volumes.case_store import INDEX, StoreError, open_store
from AnatoMaskGANLib.volumes.label_names import read_label_names
from Testing.tiny_models import write_tiny_model
from Testing.tiny_runs import write_tiny_store

from . import corpus
from .corpus import Seed
from .mutations import changed_bytes, changed_json, changed_text, changed_value


@dataclass(frozen=True)
class Target:
    """One reader."""

    name: str
    seeds: Callable[[Path], list[Seed]]
    """Makes the inputs to begin with, and in the folder that comes in what lies around them."""
    change: Callable[[Random, Seed], bytes]
    read: Callable[[Path, Path], Any]
    """Reads the file; the second path is the one folder in which files may be made."""
    errors: tuple[type[Exception], ...]
    """What a bad input may raise."""


def all_targets() -> list[Target]:
    """Every reader, the quick ones and the slow ones."""
    return [
        Target("model", _alone(corpus.model_seeds), _change_model, _read_model, (CheckpointError,)),
        Target(
            "archive", _alone(corpus.archive_seeds), _change_archive, _install, (CheckpointError,)
        ),
        Target("table", _alone(corpus.json_seeds), _change_json, _read_table, (VolumeError,)),
        Target(
            "name table", _alone(corpus.name_table_seeds), _change_text, _read_names, (VolumeError,)
        ),
        Target("names", _alone(corpus.json_seeds), _change_json, _read_names, (VolumeError,)),
        # a settings file that is no YAML is a plain ValueError, wrong settings are SettingsError
        Target("settings", _alone(corpus.yaml_seeds), _change_text, _read_settings, (ValueError,)),
        Target("store", _store_seeds, _change_store, _open_store, (StoreError,)),
        Target("label map", corpus.label_map_seeds, _change_volume, _read_map, (VolumeError,)),
        Target("volume", corpus.label_map_seeds, _change_volume, _read_volume, (VolumeError,)),
        Target("DICOM", corpus.dicom_seeds, _change_bytes, _read_series, (VolumeError,)),
        Target(
            "DICOM SEG",
            _alone(corpus.dicom_object_seeds),
            _change_bytes,
            _read_object,
            (VolumeError,),
        ),
        Target("catalog", _alone(corpus.catalog_seeds), _change_json, _list, (CheckpointError,)),
        Target("weights", _alone(corpus.weights_seeds), _change_model, _weigh, (WeightsError,)),
        Target("run state", _state_seeds, _change_bytes, _read_state, (RunStateError,)),
        # these two go on after a bad line, and so must raise nothing
        Target("manifest", _alone(corpus.manifest_seeds), _change_lines, _read_manifest, ()),
        Target("worker", _worker_seeds, _change_lines, _serve, ()),
    ]


def _alone(seeds: Callable[[], list[Seed]]) -> Callable[[Path], list[Seed]]:
    return lambda folder: seeds()


def _change_bytes(draws: Random, seed: Seed) -> bytes:
    return changed_bytes(draws, seed.content)


def _change_text(draws: Random, seed: Seed) -> bytes:
    return changed_text(draws, seed.content)


def _change_json(draws: Random, seed: Seed) -> bytes:
    return _json_or_bytes(draws, seed.content)


def _json_or_bytes(draws: Random, content: bytes) -> bytes:
    try:
        return changed_json(draws, content)
    except (ValueError, RecursionError):  # a hostile seed
        return changed_bytes(draws, content)


def _change_lines(draws: Random, seed: Seed) -> bytes:
    lines = seed.content.split(b"\n")
    at = draws.randrange(len(lines))
    lines[at] = _json_or_bytes(draws, lines[at])
    return b"\n".join(lines)


def _change_model(draws: Random, seed: Seed) -> bytes:
    if draws.random() < 0.4 or len(seed.content) < 2000:
        return changed_bytes(draws, seed.content)
    try:
        header, weights = corpus.header_of(seed.content)
        if draws.random() < 0.3:
            return corpus.with_header(changed_value(draws, header), weights)
        card = json.loads(header["__metadata__"]["card"])
    except (ValueError, RecursionError):
        return changed_bytes(draws, seed.content)
    return corpus.with_card(seed.content, json.dumps(changed_value(draws, card)))


def _change_archive(draws: Random, seed: Seed) -> bytes:
    if draws.random() < 0.5 or len(seed.content) > 2**20:
        return changed_bytes(draws, seed.content)
    whole = Seed(WEIGHTS_FILE, corpus.tiny_model_bytes())
    name = draws.choice((WEIGHTS_FILE, f"a/{WEIGHTS_FILE}", f"../{WEIGHTS_FILE}", "card.md", "/a"))
    return corpus.zip_of({name: _change_model(draws, whole), "tiny/card.md": b""})


def _change_store(draws: Random, seed: Seed) -> bytes:
    return (_change_json if seed.name == INDEX else _change_bytes)(draws, seed)


def _change_volume(draws: Random, seed: Seed) -> bytes:
    """Changes the packed file, or what is in it, or a header's text."""
    is_packed = seed.name.endswith((".gz", ".mgz")) and len(seed.content) < 100_000
    if is_packed and draws.random() < 0.7:
        return gzip.compress(changed_bytes(draws, gzip.decompress(seed.content)), 1, mtime=0)
    if seed.name.endswith((".nhdr", ".mhd")):
        return changed_text(draws, seed.content)
    if seed.name.endswith((".nrrd", ".mha")):
        mark = b"\n\n" if seed.name.endswith(".nrrd") else b"LOCAL\n"
        header, found, data = seed.content.partition(mark)
        return changed_text(draws, header) + found + data
    return changed_bytes(draws, seed.content)


def _store_seeds(folder: Path) -> list[Seed]:
    write_tiny_store(folder, ("train", "validation"))
    names = (INDEX, INDEX, "sub-0/image.npy", "sub-1/labels.npy")
    return [Seed(name, (folder / name).read_bytes()) for name in names]


def _state_seeds(folder: Path) -> list[Seed]:
    path = folder / "state.safetensors"
    write_run_state(path, {"layer": torch.nn.Linear(2, 2)}, {}, {"step": 3, "best": {"psnr": 1}})
    return [Seed(path.name, path.read_bytes())]


def _worker_seeds(folder: Path) -> list[Seed]:
    model = str(write_tiny_model(folder / "tiny"))
    (folder / "array.npy").write_bytes(corpus.array_bytes())
    part = {
        "array": "array.npy",
        "ijk_to_ras": np.diag([1.0, 1.0, 2.0, 1.0]).tolist(),
        "names": {str(value): f"part {value}" for value in range(1, 6)},
        "codes": {"1": "SCT:39937001"},
    }
    synthesize = {"kind": "synthesize", "request": 1, "label_map": part, "model": model}
    synthesize |= {"device": "cpu", "seeds": [3], "noise_strength": 1.0, "unmatched": "stop"}
    synthesize |= {"user_table": {"part 1": 2}, "live": True, "half_precision": False}
    update = {"kind": "update", "request": 2, "label_map": part | {"array": "second.npy"}}
    lines = [synthesize, update, {"kind": "cancel", "request": 2}]
    texts = [json.dumps(line).encode() for line in lines]
    return [Seed("lines", b"\n".join(texts[:count])) for count in (1, 2, 3)]


def _read_model(path: Path, target: Path) -> None:
    card, generator = read_model(path.parent)
    assert all(0 < mm < math.inf for mm in card.spacing_ijk_mm), card.spacing_ijk_mm
    assert all(map(math.isfinite, card.window)), card.window
    Synthesizer(card, generator, torch.device("cpu"))


def _install(path: Path, target: Path) -> None:
    card = install_model(path, target=target)
    folder = Path(card.path)
    assert folder.parent == target and (folder / WEIGHTS_FILE).is_file(), folder
    Synthesizer(*read_model(folder), torch.device("cpu"))


def _read_table(path: Path, target: Path) -> None:
    table = load_label_table(path)
    json.dumps(table.to_dict(), allow_nan=False).encode()


def _read_names(path: Path, target: Path) -> None:
    names = read_label_names(path)
    assert all(isinstance(v, int) and name.strip() for v, name in names.items()), names


def _read_settings(path: Path, target: Path) -> None:
    json.dumps(settings_to_dict(run_settings(TrainOptions(config=path))))


def _open_store(path: Path, target: Path) -> None:
    folder = path.parent if path.name == INDEX else path.parents[1]
    store = open_store(folder)
    assert store.num_classes >= 2 and isinstance(store.swaps, dict)
    assert all(0 < mm < math.inf for mm in store.spacing_ijk_mm), store.spacing_ijk_mm
    for case in store.cases:
        extents = (case.labeled_slices, case.labeled_rows, case.labeled_columns)
        for (first, last), size in zip(extents, case.shape_kji, strict=True):
            assert 0 <= first <= last <= size, extents


def _read_map(path: Path, target: Path) -> None:
    label_map = read_label_map(path)
    assert label_map.labels_kji.min() >= 0 and len(label_map.sha256()) == 64


def _read_volume(path: Path, target: Path) -> None:
    volume = read_volume(path)
    assert np.isfinite(volume.ijk_to_ras).all() and volume.voxels_kji.ndim == 3


def _read_series(path: Path, target: Path) -> None:
    for place in (path, path.parent):
        with contextlib.suppress(VolumeError):
            _read_volume(place, target)
    _read_volume(path.parent, target)


def _read_object(path: Path, target: Path) -> None:
    """As a volume, as a folder, and at last as a label map."""
    for place in (path, path.parent):
        with contextlib.suppress(VolumeError):
            _read_volume(place, target)
    _read_map(path, target)


def _list(path: Path, target: Path) -> None:
    for entry in read_catalog(path):
        assert entry.url.startswith(("https://", "http://")) and 0 < entry.size_bytes < 2**40


def _weigh(path: Path, target: Path) -> None:
    content = path.read_bytes()
    for tensor in read_weights(path, hashlib.sha256(content).hexdigest()).values():
        assert tensor.numel() * tensor.element_size() <= len(content)


def _read_state(path: Path, target: Path) -> None:
    _, metadata = read_tensors(path)
    assert isinstance(metadata, dict)


def _read_manifest(path: Path, target: Path) -> None:
    manifest = Manifest(path.parent, shard_of(None))
    assert not manifest.is_done(path.parent / "a.nii.gz", {"seed": 0})


def _serve(path: Path, target: Path) -> None:
    """Every request that has a number ends with one last answer, and the worker goes on."""
    for name in ("array.npy", "second.npy"):
        shutil.copyfile(path.parent / "array.npy", target / name)
    answers: list[dict[str, Any]] = []
    worker = Worker(target, answers.append)
    worker.read(io.BytesIO(path.read_bytes() + b'\n{"kind": "again", "request": 77}\n'))
    assert worker.serve() == 0
    last = [a["request"] for a in answers if a["kind"] not in ("progress", "volume", "changed")]
    assert last.count(77) >= 1, answers
    for answer in answers:
        json.dumps(answer, allow_nan=False)
