"""What is killed, and what must hold afterwards."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
import yaml

from AnatoMaskGANLib.commands.manifest import read_records
from AnatoMaskGANLib.synthesis.models.archive import pack_model, verify_model
from AnatoMaskGANLib.synthesis.models.folder import write_model
from AnatoMaskGANLib.training.checkpoints import read_tensors
from AnatoMaskGANLib.volumes import read_volume, write_label_map
from AnatoMaskGANLib.volumes.case_store import INDEX, open_store
from Testing.tiny_archives import case_folders
from Testing.tiny_models import label_map_of, random_labels, tiny_card, tiny_generator
from Testing.tiny_runs import tiny_run_values, write_tiny_store


class Scenario(Protocol):
    """A command that is killed."""

    name: str
    place: Path
    """Where it writes."""
    expected: Path
    """Where a run that is left alone writes."""

    def __init__(self, folder: Path) -> None: ...

    def commands(self, place: Path) -> list[list[str]]:
        """The arguments of the program; several ones are taken in turn, after each end."""

    def check_after_kill(self) -> None:
        """Raises whatever it finds wrong."""

    def check_at_end(self) -> None:
        """Raises where the result is not the expected one."""

    def begin_anew(self) -> None:
        """Removes what was made."""

    def forget(self) -> None:
        """The place was emptied, or its files got other times, by who tests."""


class Training:
    """A run with a checkpoint every other step: always readable, never older than before."""

    name = "training"

    def __init__(self, folder: Path) -> None:
        self.place, self.expected = folder / "run", folder / "expected"
        self._folder = folder
        self._step = 0
        self._store = write_tiny_store(folder / "store")

    def commands(self, place: Path) -> list[list[str]]:
        values = tiny_run_values(self._store, place, optimizer={"steps": 12, "lr_generator": 1e-3})
        config = self._folder / f"{place.name}.yaml"
        config.write_text(yaml.safe_dump(values))
        return [["train", "--config", str(config), "--device", "cpu", "--progress", "none"]]

    def check_after_kill(self) -> None:
        for path in self.place.glob("[!.]*.safetensors"):
            _, metadata = read_tensors(path)
            if path.stem == "latest":
                if metadata["step"] < self._step:
                    raise ValueError(f"step {metadata['step']} after step {self._step}")
                self._step = metadata["step"]

    def check_at_end(self) -> None:
        made, expected = (
            read_tensors(folder / "latest.safetensors")[0] for folder in (self.place, self.expected)
        )
        if made.keys() != expected.keys():
            raise ValueError("other tensors than those of the run that was left alone")
        for key, tensor in made.items():
            torch.testing.assert_close(tensor, expected[key], rtol=0, atol=0, msg=key)

    def begin_anew(self) -> None:
        self.forget()
        shutil.rmtree(self.place, ignore_errors=True)

    def forget(self) -> None:
        """Steps are counted from none."""
        self._step = 0


class Preparation:
    """Two settings in turn on one store: it is the old or the new one, whole, at any moment."""

    name = "preparation"

    def __init__(self, folder: Path) -> None:
        self.place, self.expected = folder / "store", folder / "expected"
        self._input = case_folders(folder / "in", num_cases=4)
        self._had_store = False

    def commands(self, place: Path) -> list[list[str]]:
        command = ["prepare", "folder", str(self._input), "--output", str(place), "--spacing-mm"]
        return [[*command, "[1.5, 1.5, 1.5]"], [*command, "[1.2, 1.2, 1.2]"]]

    def check_after_kill(self) -> None:
        if not (self.place / INDEX).exists():
            if self._had_store:
                raise ValueError("the store that was there is gone")
            return
        self._had_store = True
        for case in open_store(self.place).cases:
            np.asarray(case.image_sjk).sum()

    def check_at_end(self) -> None:
        self.check_after_kill()
        made, expected = open_store(self.place), open_store(self.expected)
        if [case.name for case in made.cases] != [case.name for case in expected.cases]:
            raise ValueError("cases are missing")
        if made.spacing_ijk_mm != expected.spacing_ijk_mm:
            return  # that of the other settings
        for case, other in zip(made.cases, expected.cases, strict=True):
            np.testing.assert_array_equal(case.image_sjk, other.image_sjk)
            np.testing.assert_array_equal(case.labels_sjk, other.labels_sjk)

    def begin_anew(self) -> None:
        """Goes on with the same store."""

    def forget(self) -> None:
        """No store is expected."""
        self._had_store = False


class Batch:
    """A batch of label maps: a volume is there as it must be or not at all, and is made once."""

    name = "batch"

    def __init__(self, folder: Path) -> None:
        self.place, self.expected = folder / "out", folder / "expected"
        self._input, self._model = folder / "in", folder / "tiny"
        self._times: dict[str, int] = {}
        self._input.mkdir()
        write_model(self._model, tiny_card(), tiny_generator())
        for number in range(4):
            label_map = label_map_of(random_labels((12, 24, 24), seed=number))
            write_label_map(label_map, self._input / f"case{number}.nii.gz")

    def commands(self, place: Path) -> list[list[str]]:
        command = ["synthesize", str(self._input), "--output", str(place), "--device", "cpu"]
        return [[*command, "--model", str(self._model), "--samples", "2"]]

    def check_after_kill(self) -> None:
        done = set()
        for manifest in self.place.glob("manifest*.jsonl"):
            done |= {r["target"] for r in read_records(manifest) if r["status"] == "done"}
        for name in done:
            time = (self.place / name).stat().st_mtime_ns
            if self._times.setdefault(name, time) != time:
                raise ValueError(f"{name} was done and was made again")
        for path in self.place.glob("[!.]*.nii.gz"):
            made, expected = read_volume(path), read_volume(self.expected / path.name)
            np.testing.assert_array_equal(made.voxels_kji, expected.voxels_kji)

    def check_at_end(self) -> None:
        self.check_after_kill()
        names = {path.name for path in self.expected.glob("*.nii.gz")}
        if len(names) != 8 or {path.name for path in self.place.glob("[!.]*.nii.gz")} != names:
            raise ValueError("volumes are missing")

    def begin_anew(self) -> None:
        self.forget()
        shutil.rmtree(self.place, ignore_errors=True)

    def forget(self) -> None:
        """What is done by now is compared with the new times."""
        self._times = {}


class Models:
    """A model that is replaced by another of its name: one of the two is there, whole."""

    name = "models"

    def __init__(self, folder: Path) -> None:
        self.place, self.expected = folder / "models", folder / "expected"
        self._archives, self._hashes = [], set()
        for seed in (0, 1):
            model = folder / f"made{seed}"
            write_model(model, tiny_card(), tiny_generator(seed=seed))
            self._archives.append(str(pack_model(model, folder / f"{seed}.zip")))
            self._hashes.add(hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest())
        self._had_model = False
        os.environ["ANATOMASKGAN_MODELS"] = str(self.place)

    def commands(self, place: Path) -> list[list[str]]:
        return [["models", "install", archive, "--replace"] for archive in self._archives]

    def check_after_kill(self) -> None:
        if not (self.place / "tiny").exists():
            if self._had_model:
                raise ValueError("the model that was there is gone")
            return
        self._had_model = True
        if verify_model(self.place / "tiny").sha256 not in self._hashes:
            raise ValueError(f"a model of neither: {json.dumps(sorted(self._hashes))}")

    def check_at_end(self) -> None:
        self.check_after_kill()

    def begin_anew(self) -> None:
        """Goes on with the installed model."""

    def forget(self) -> None:
        """No model is expected."""
        self._had_model = False


SCENARIOS: tuple[type[Scenario], ...] = (Training, Preparation, Batch, Models)
