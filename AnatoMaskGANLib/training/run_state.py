"""The state of a training run as one safetensors file: weights, averages, Adam moments, step."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from AnatoMaskGANLib.volumes.atomic_writing import replacing

STATE_VERSION = 1


class RunStateError(ValueError):
    """A run state that is damaged, of another version or of other settings."""


def write_run_state(
    path: Path,
    modules: Mapping[str, nn.Module],
    optimizers: Mapping[str, Optimizer],
    metadata: Mapping[str, object],
) -> None:
    """Writes the state under `path`; what was there before stays whole until the new file is."""
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
    """Writes a safetensors file so that a crash leaves the old file or the new one, never half of
    one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, ".safetensors") as temporary:
        # not save_file: what it writes on its way stays when it is killed
        temporary.write_bytes(safetensors.torch.save(dict(tensors), dict(header)))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Every tensor of a state by its key, and the state's metadata.

    Raises RunStateError for a file that is missing, damaged, or of another version.
    """
    try:
        with safetensors.safe_open(path, "pt") as file:
            header = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (OSError, safetensors.SafetensorError) as error:
        raise RunStateError(f"{path} is not a readable run state ({error})") from error
    if header.get("version") != str(STATE_VERSION):
        raise RunStateError(
            f"{path} is of version {header.get('version')}, but this program reads "
            f"version {STATE_VERSION}"
        )
    try:
        metadata = json.loads(header["run"])
    except (KeyError, ValueError, RecursionError) as error:
        raise RunStateError(f"{path} has a damaged header ({error!r:.200})") from error
    if not isinstance(metadata, dict):
        raise RunStateError(f"{path} has a damaged header: the run is no object")
    return tensors, metadata


def read_run_state(
    path: Path, modules: Mapping[str, nn.Module], optimizers: Mapping[str, Optimizer]
) -> dict[str, Any]:
    """Loads the state in place and gives back its metadata; strict: every name and shape must
    fit.
    """
    tensors, metadata = read_tensors(path)
    for name, module in modules.items():
        prefix = f"module/{name}/"
        state = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        try:
            module.load_state_dict(state, strict=True)
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
