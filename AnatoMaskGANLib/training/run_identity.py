"""Whether a checkpoint belongs to the run that wants to go on from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from AnatoMaskGANLib.config import settings_to_dict
from AnatoMaskGANLib.training.run_state import RunStateError
from AnatoMaskGANLib.training.settings import TrainingSettings
from AnatoMaskGANLib.volumes.case_store import CaseStore

# Where a run lies, how long it is and what it reports may change; what its weights come from not.
FREE_SETTINGS = (
    "output",
    "card",
    "validation",
    "checkpoint_every",
    "keep_every",
    "sheet_every",
    "log_every",
    "tensorboard",
    "wandb_project",
    "data.store",
    "optimizer.steps",
)
_SHOWN = 5


def describe_store(store: CaseStore) -> dict[str, Any]:
    """What a checkpoint remembers of the store it was trained on."""
    return {
        "spacing_ijk_mm": list(store.spacing_ijk_mm),
        "window": list(store.window),
        "unit": store.unit,
        "label_table": dict(store.label_table),
        "cases": {case.name: case.split for case in store.cases},
    }


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
            f"{path} is the checkpoint of another configuration: {'; '.join(differing[:_SHOWN])}"
            f"{more}. Give the run another output folder, or go on with the settings of "
            f"{path.parent / 'settings.json'}."
        )
    described = json.loads(json.dumps(describe_store(store)))
    wrong = [name for name, value in described.items() if metadata["store"].get(name) != value]
    if wrong:
        raise RunStateError(
            f"{path} was trained on another store: {', '.join(wrong)} of {store.folder} differ. "
            "Take the store that the run began with, or another output folder."
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
