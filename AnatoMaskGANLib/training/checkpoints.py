"""The checkpoints of a run: `latest`, `best`, and numbered ones that stay.

Each is one safetensors file with weights, averages, Adam moments and the step. It is written whole
or not at all, so the last good one survives a crash while writing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from AnatoMaskGANLib.json_text import parse_json
from AnatoMaskGANLib.volumes.atomic_writing import replacing

LATEST = "latest"
BEST = "best"
LOWER_IS_BETTER = ("fid", "kid", "lpips")
STATE_VERSION = 1


class RunStateError(ValueError):
    """A run state that is damaged, of another version or of other settings."""


@dataclass(frozen=True)
class BestCheckpoint:
    """Why `best.safetensors` is the best one so far."""

    metric: str
    """The metric of validation.select_by."""
    value: float
    step: int

    @classmethod
    def from_metadata(cls, content: Mapping[str, Any]) -> BestCheckpoint | None:
        """Reads what `to_metadata` wrote; None for a run that no validation had measured yet."""
        if not content.keys() >= {"figure", "value", "step"}:
            return None
        return cls(str(content["figure"]), float(content["value"]), int(content["step"]))

    def to_metadata(self) -> dict[str, Any]:
        """The entries for the checkpoint's header."""
        return {"figure": self.metric, "value": self.value, "step": self.step}


def is_better(metric: str, value: float, best: float | None) -> bool:
    """Whether the value of a validation metric beats the best one so far.

    dz_ratio is best at 1; FID, KID and LPIPS are best where they are lowest.
    """
    if math.isnan(value):
        return False
    if best is None:
        return True
    if metric == "dz_ratio":
        return abs(value - 1) < abs(best - 1)
    return value < best if metric in LOWER_IS_BETTER else value > best


def checkpoint_file(run_folder: Path, checkpoint: str | int) -> Path:
    """Path of the checkpoint "latest", "best" or of a step's number, whether it exists or not."""
    text = str(checkpoint)
    stem = f"step-{int(text):07d}" if text.isdigit() else text
    return run_folder / f"{stem}.safetensors"


def find_checkpoint(run_folder: Path, checkpoint: str | int) -> Path:
    """The file of a checkpoint; raises RunStateError, with those that exist, if it is missing."""
    path = checkpoint_file(run_folder, checkpoint)
    if path.is_file():
        return path
    there = sorted(file.stem for file in run_folder.glob("[!.]*.safetensors"))
    raise RunStateError(
        f"{run_folder} has no checkpoint {str(checkpoint)!r}; it has {', '.join(there) or 'none'}"
    )


def write_run_state(
    path: Path,
    modules: Mapping[str, nn.Module],
    optimizers: Mapping[str, Optimizer],
    metadata: Mapping[str, object],
) -> None:
    """Writes the state under `path`; the file that was there stays whole until the new one is."""
    tensors: dict[str, Tensor] = {}
    for name, module in modules.items():
        for key, value in module.state_dict().items():
            tensors[f"module/{name}/{key}"] = value.detach().cpu().clone().contiguous()
    for name, optimizer in optimizers.items():
        for number, state in optimizer.state_dict()["state"].items():
            for key, value in state.items():
                tensors[f"optimizer/{name}/{number}/{key}"] = torch.as_tensor(value).cpu().clone()
    header = {"version": str(STATE_VERSION), "run": json.dumps(metadata)}
    write_tensors(path, tensors, header)


def write_tensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, str]) -> None:
    """Writes a safetensors file; a crash leaves the old file or the new one, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, ".safetensors") as temporary:
        # save_file would leave behind the file that it was writing when it is killed.
        temporary.write_bytes(safetensors.torch.save(dict(tensors), dict(header)))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Every tensor of a state by its key, and the state's metadata.

    Raises RunStateError for a file that is missing, damaged, or of another version.
    """
    try:
        with safetensors.safe_open(path, "pt") as file:
            header = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}
    except (OSError, safetensors.SafetensorError) as error:
        raise RunStateError(f"{path} is not a readable run state ({error})") from error
    if header.get("version") != str(STATE_VERSION):
        raise RunStateError(
            f"{path} is of version {header.get('version')}, but this program reads "
            f"version {STATE_VERSION}"
        )
    try:
        metadata = parse_json(header["run"])
    except (KeyError, ValueError, RecursionError) as error:
        raise RunStateError(f"{path} has a damaged header ({error!r:.200})") from error
    if not isinstance(metadata, dict):
        raise RunStateError(f"{path} has a damaged header: the run is not an object")
    return tensors, metadata


def tensors_of(tensors: Mapping[str, Tensor], module: str) -> dict[str, Tensor]:
    """The weights of one module of a run state, by their names in the module."""
    prefix = f"module/{module}/"
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def read_run_state(
    path: Path, modules: Mapping[str, nn.Module], optimizers: Mapping[str, Optimizer]
) -> dict[str, Any]:
    """Loads the state in place and returns its metadata.

    Every name and shape must fit; raises RunStateError otherwise.
    """
    tensors, metadata = read_tensors(path)
    for name, module in modules.items():
        try:
            module.load_state_dict(tensors_of(tensors, name), strict=True)
        except RuntimeError as error:
            raise RunStateError(
                f"{path} belongs to a run of other settings: {name} does not fit ({error})"
            ) from error
    for name, optimizer in optimizers.items():
        prefix = f"optimizer/{name}/"
        states: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith(prefix):
                number, entry = key.removeprefix(prefix).split("/")
                states.setdefault(int(number), {})[entry] = value
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": states, "param_groups": groups})
    return metadata
