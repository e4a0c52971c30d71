"""Whether a checkpoint belongs to the run that wants to go on from it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from AnatoMaskGANLib.config import settings_to_dict
from AnatoMaskGANLib.training.checkpoints import RunStateError
from AnatoMaskGANLib.training.settings import TrainingSettings
from AnatoMaskGANLib.volumes.case_store import CaseStore, StoredCase

# Settings that may change when a run goes on: its place, its length and its reports. All others
# decide about its weights.
FREE_SETTINGS = (
    "output",
    "card",
    "validation",
    "checkpoint_every",
    "checkpoint_minutes",
    "keep_every",
    "sheet_every",
    "log_every",
    "tensorboard",
    "wandb_project",
    "data.store",
    "optimizer.steps",
)
_SHOWN = 5
_WHOLE_BYTES = 2**24
_NUM_PARTS = 64


def describe_store(store: CaseStore) -> dict[str, Any]:
    """The properties of a store that a checkpoint of a run trained on it remembers."""
    return {
        "spacing_ijk_mm": list(store.spacing_ijk_mm),
        "window": list(store.window),
        "unit": store.unit,
        "label_table": dict(store.label_table),
        "cases": {case.name: case.split for case in store.cases},
    }


def describe_contents(store: CaseStore) -> dict[str, str]:
    """Case -> a hash of its arrays, which shows whether they changed, wherever the store lies.

    Arrays up to `_WHOLE_BYTES` are read whole. Of larger ones, `_NUM_PARTS` parts spread over the
    array are read, so that gigabytes take seconds; a small edit between the parts is not seen.
    """
    return {case.name: _content_hash(case) for case in store.cases}


def changed_cases(store: CaseStore, contents: Mapping[str, str]) -> list[str]:
    """The cases whose arrays differ from those that `describe_contents` saw before."""
    return [case.name for case in store.cases if contents.get(case.name) != _content_hash(case)]


def _content_hash(case: StoredCase) -> str:
    digest = hashlib.sha256()
    for array in (case.image_sjk, case.labels_sjk, case.guidance_sjk):
        if array is None:
            digest.update(b"none")
            continue
        digest.update(f"{array.dtype.str} {array.shape}".encode())
        values = array.reshape(-1)
        part = values.size
        if array.nbytes > _WHOLE_BYTES:
            part = _WHOLE_BYTES // (_NUM_PARTS * array.itemsize)
        for start in np.linspace(0, values.size - part, _NUM_PARTS if part < values.size else 1):
            digest.update(np.ascontiguousarray(values[int(start) : int(start) + part]).data)
    return digest.hexdigest()


def check_same_run(
    path: Path, metadata: Mapping[str, Any], settings: TrainingSettings, store: CaseStore
) -> None:
    """Raises RunStateError with what differs for a checkpoint of other settings or data."""
    before, now = _flat(metadata["settings"]), _flat(settings_to_dict(settings))
    differing = [
        f"{name} was {before.get(name, 'not there')!r} and is {now.get(name, 'not there')!r}"
        for name in sorted(before.keys() | now.keys())
        if not _is_free(name) and before.get(name) != now.get(name)
    ]
    if differing:
        more = f" and {len(differing) - _SHOWN} more" if len(differing) > _SHOWN else ""
        raise RunStateError(
            f"{path} is the checkpoint of another configuration: "
            f"{'; '.join(differing[:_SHOWN])}{more}. Give the run another output folder, "
            f"or continue with the settings of {path.parent / 'settings.json'}."
        )
    described = json.loads(json.dumps(describe_store(store)))
    wrong = [name for name, value in described.items() if metadata["store"].get(name) != value]
    if wrong:
        raise RunStateError(
            f"{path} was trained on another store: {', '.join(wrong)} of {store.folder} "
            "differ. Use the store that the run began with, or another output folder."
        )
    # checkpoints of earlier versions have no contents
    changed = changed_cases(store, metadata["contents"]) if "contents" in metadata else []
    if changed:
        raise RunStateError(
            f"{path} was trained on other data: the arrays of "
            f"{', '.join(changed[:_SHOWN])} in {store.folder} have changed "
            f"({len(changed)} of {len(store.cases)} cases). Use the store as it was when "
            "the run began, or another output folder."
        )


def _is_free(name: str) -> bool:
    return any(name == free or name.startswith(f"{free}.") for free in FREE_SETTINGS)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as one level of dotted names."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
