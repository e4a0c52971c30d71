"""The checkpoints of a run: `latest`, `best`, and numbered ones that stay.

Each is written whole or not at all, so the last good one survives a crash while writing.
"""

from __future__ import annotations

import math
from pathlib import Path

from AnatoMaskGANLib.training.run_state import RunStateError

LATEST = "latest"
BEST = "best"
LOWER_IS_BETTER = ("fid", "kid", "lpips")


def checkpoint_file(run_folder: Path, checkpoint: str | int) -> Path:
    """Where the checkpoint "latest", "best" or of a step's number lies, there or not."""
    text = str(checkpoint)
    stem = f"step-{int(text):07d}" if text.isdigit() else text
    return run_folder / f"{stem}.safetensors"


def find_checkpoint(run_folder: Path, checkpoint: str | int) -> Path:
    """The file of a checkpoint; RunStateError with what there is where it is missing."""
    path = checkpoint_file(run_folder, checkpoint)
    if path.is_file():
        return path
    there = sorted(file.stem for file in run_folder.glob("[!.]*.safetensors"))
    raise RunStateError(
        f"{run_folder} has no checkpoint {str(checkpoint)!r}; it has {', '.join(there) or 'none'}"
    )


def is_better(name: str, value: float, best: float | None) -> bool:
    """Whether a validation figure beats the best one so far; dz_ratio is best at 1, distances
    are where they are lowest.
    """
    if math.isnan(value):
        return False
    if best is None:
        return True
    if name == "dz_ratio":
        return abs(value - 1) < abs(best - 1)
    return value < best if name in LOWER_IS_BETTER else value > best
