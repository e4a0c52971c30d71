"""`anatomaskgan train`: one training run from a settings file, which goes on where it stopped."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from AnatoMaskGANLib.commands.synthesize import Device
from AnatoMaskGANLib.commands.yaml_text import parse_yaml

if TYPE_CHECKING:
    from AnatoMaskGANLib.training.settings import TrainingSettings

Progress = Literal["bar", "json", "none"]


@dataclass(frozen=True)
class TrainOptions:
    """Train a model on a case store. The same command continues a run that was stopped."""

    config: Path
    """YAML file with the settings of the run (see Resources/Examples)."""
    store: Path | None = None
    """Folder of the case store; overrides data.store of the file."""
    output: Path | None = None
    """Folder of the run; overrides output of the file."""
    steps: int | None = None
    """Number of steps; overrides optimizer.steps of the file."""
    epochs: float | None = None
    """Length of the run in passes over all training slices; overrides optimizer.steps."""
    seed: int | None = None
    """Seed; overrides seed of the file."""
    select_by: Literal["psnr", "ssim", "dz_ratio", "dice", "fid", "kid", "lpips"] | None = None
    """Metric that selects the best checkpoint; overrides validation.select_by of the file."""
    set: tuple[str, ...] = ()
    """Further settings that override the file, for example: losses.r1=10 generator.norm=group"""
    resume_from: str = "latest"
    """Checkpoint to continue from: latest, best or the number of a step."""
    check: bool = False
    """Only read the data, build the networks and run two steps, then report parameters, memory and
    time."""
    progress: Progress = "bar"
    """How progress is shown: a bar on a terminal, JSON objects on standard output (one a line), or
    nothing."""
    device: Device = "auto"
    """Device on which the networks run; auto takes a GPU if there is one."""


def train(options: TrainOptions) -> int:
    """Returns 0 when the run reached its last step; prints where its last checkpoint is."""
    from AnatoMaskGANLib.synthesis.devices import pick_device
    from AnatoMaskGANLib.training.dry_run import check_run
    from AnatoMaskGANLib.training.loop import train as run_training
    from AnatoMaskGANLib.training.one_training import one_training

    settings = run_settings(options)
    if options.epochs is not None:
        settings = with_epochs(settings, options.epochs)
    device = str(pick_device(options.device))
    if options.check:
        print(check_run(settings, device).text())
        return 0
    is_silent = options.progress == "none" or None  # None shows a bar, on a terminal only
    with one_training(settings.folder):
        if options.progress == "json":
            run_training(settings, device, _print_event, options.resume_from)
            return 0
        with logging_redirect_tqdm(), tqdm(unit="step", disable=is_silent) as bar:
            checkpoint = run_training(
                settings, device, lambda event: _show_event(bar, event), options.resume_from
            )
    print(checkpoint)
    return 0


def run_settings(options: TrainOptions) -> TrainingSettings:
    """The settings of the file, with those that the options replace.

    Raises SettingsError for settings that do not exist or make no sense.
    """
    from AnatoMaskGANLib.config import settings_from_dict
    from AnatoMaskGANLib.training.settings import TrainingSettings

    values = read_settings_file(options.config)
    given = {
        "data.store": None if options.store is None else str(options.store),
        "output": None if options.output is None else str(options.output),
        "optimizer.steps": options.steps,
        "seed": options.seed,
        "validation.select_by": options.select_by,
    }
    replaced = {name: value for name, value in given.items() if value is not None}
    return settings_from_dict(
        TrainingSettings, with_settings(values, replaced | parse_assignments(options.set))
    )


def with_epochs(settings: TrainingSettings, epochs: float) -> TrainingSettings:
    """The settings with as many steps as the epochs take on the run's store.

    Raises ValueError unless epochs is above 0, StoreError if there is no store.
    """
    from AnatoMaskGANLib.training.dry_run import steps_per_epoch
    from AnatoMaskGANLib.volumes.case_store import open_store

    if not epochs > 0:
        raise ValueError(f"epochs is {epochs}; expected a number above 0")
    steps = max(1, round(epochs * steps_per_epoch(settings, open_store(Path(settings.data.store)))))
    return replace(settings, optimizer=replace(settings.optimizer, steps=steps))


def parse_assignments(assignments: Sequence[str]) -> dict[str, Any]:
    """{"losses.r1": 10} of "losses.r1=10"; values are read as YAML."""
    parsed: dict[str, Any] = {}
    for assignment in assignments:
        name, separator, text = assignment.partition("=")
        if not separator or not name.strip():
            raise ValueError(
                f"{assignment!r} is not a setting; expected NAME=VALUE, for example losses.r1=10"
            )
        try:
            parsed[name.strip()] = parse_yaml(text)
        except ValueError as error:
            raise ValueError(
                f"the value of {assignment!r} is not valid YAML: {error}; write a number, "
                "a text or a list such as [1, 2]"
            ) from error
    return parsed


def with_settings(values: Any, replaced: Mapping[str, Any]) -> Any:
    """The nested values, with those of dotted names replaced; left as it is if it is no mapping."""
    if not isinstance(values, Mapping):
        return values
    result = dict(values)
    for dotted, value in replaced.items():
        first, _, rest = dotted.partition(".")
        result[first] = with_settings(result.get(first) or {}, {rest: value}) if rest else value
    return result


def read_settings_file(path: Path) -> Any:
    """The content of a YAML file, which may be anything.

    Raises ValueError for a file that is no YAML, OSError for one that cannot be read.
    """
    text = path.read_text(encoding="utf-8-sig")
    try:
        return parse_yaml(text)
    except ValueError as error:
        raise ValueError(
            f"{path} is not valid YAML: {error}; correct the line that the message names"
        ) from error


def _print_event(event: dict[str, Any]) -> None:
    """Prints a line of JSON for a program that reads the progress."""
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def _show_event(bar: tqdm, event: dict[str, Any]) -> None:
    """Shows an event of the training on the progress bar."""
    if event["event"] == "start":
        bar.reset(total=event["steps"])
        bar.initial = bar.n = event["step"]
    elif event["event"] == "step":
        bar.n = event["step"]
        bar.set_postfix({name: f"{value:.3g}" for name, value in event["losses"].items()})
    elif event["event"] == "validation":
        shown = ", ".join(f"{name} {value:.4g}" for name, value in event["figures"].items())
        bar.write(f"step {event['step']}: {shown}")
