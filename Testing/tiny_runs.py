"""Small case stores and training settings whose runs take seconds on a CPU: for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from AnatoMaskGANLib.config import settings_from_dict
from AnatoMaskGANLib.training.settings import TrainingSettings
from AnatoMaskGANLib.volumes.case_store import write_case, write_index

LABEL_TABLE = {
    "name": "limb",
    "labels": {"1": "skin", "2": "left bone", "3": "right bone"},
    "codes": {},
    "swaps": {"2": 3, "3": 2},
}
SHAPE_KJI = (14, 40, 36)
SPACING_IJK_MM = (2.0, 2.0, 3.0)
WINDOW = (0.0, 200.0)


def tiny_case(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Image and labels [14,40,36] of a limb with two bones, another one for every number."""
    generator = np.random.default_rng(number)
    shift = number % 3
    labels = np.zeros(SHAPE_KJI, dtype=np.uint8)
    labels[1:13, 6 + shift : 34, 5:31] = 1
    labels[2:12, 14 : 24 + shift, 8:15] = 2
    labels[2:12, 14 + shift : 26, 21:28] = 3
    means = np.array([2.0, 90.0, 150.0, 160.0])
    image = means[labels] + generator.normal(0, 6, SHAPE_KJI)
    return image, labels


def write_tiny_store(
    folder: Path,
    splits: tuple[str, ...] = ("train", "train", "train", "validation"),
    has_guidance: bool = False,
    unlabeled: tuple[int, ...] = (),
) -> Path:
    """A store of one case a split's entry; those of the numbers in `unlabeled` have no labels."""
    entries = []
    for number, split in enumerate(splits):
        image, labels = tiny_case(number)
        guidance = np.clip(image, 0, 200) / 200 if has_guidance else None
        kept = None if number in unlabeled else labels
        entry = write_case(folder, f"sub-{number}", image, kept, WINDOW, guidance)
        entries.append({**entry, "subject": f"sub-{number}", "split": split})
    write_index(folder, entries, SPACING_IJK_MM, WINDOW, "", LABEL_TABLE)
    return folder


def tiny_run_values(store: Path, output: Path, **changes: Any) -> dict[str, Any]:
    """Settings of a run of four steps; `changes` replace whole entries, nested ones are merged."""
    values: dict[str, Any] = {
        "data": {"store": str(store), "stack_size": 4, "crop": [32, 32]},
        "output": str(output),
        "generator": {"channels": [16, 16, 8, 8], "spade_hidden": 8, "fusion_stage": 0},
        "discriminator": {"channels": 8, "num_layers": 2, "num_scales": 1},
        "optimizer": {"steps": 4, "lr_generator": 1e-3},
        "validation": {"every": 2, "cases": 1, "slices": 4},
        "checkpoint_every": 2,
        "sheet_every": 0,
        "log_every": 1,
        "tensorboard": False,
    }
    for name, value in changes.items():
        is_nested = isinstance(value, dict) and isinstance(values.get(name), dict)
        values[name] = {**values[name], **value} if is_nested else value
    return values


def tiny_run(store: Path, output: Path, **changes: Any) -> TrainingSettings:
    """The settings themselves."""
    return settings_from_dict(TrainingSettings, tiny_run_values(store, output, **changes))
