"""Asks one synthesis process for volumes, updates and cancels for a long time, and checks it all.

    python -m Testing.soak [--minutes 120] [--seed 0]

Every volume, and every live volume after an update, is compared with the one that a process makes
that has never served another request, and so is what the volume says about itself. Between the
requests nothing may be left in the exchange folder.

Memory counts from the second tenth of the requests on. The first one is the warm-up: PyTorch's
convolution library keeps compiled code for the last 1024 sizes that it met, and the requests here
come in hundreds of sizes. Exit code 1 when an answer is wrong or missing, when the process died,
when files, threads or open files pile up, or when its memory grew by more than five percent from
the second tenth of the requests to the last.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from random import Random

import numpy as np
import psutil

from AnatoMaskGANLib.synthesis import write_model
from AnatoMaskGANLib.synthesis.worker.client import WorkerClient
from AnatoMaskGANLib.synthesis.worker.messages import (
    Cancelled,
    Failed,
    Finished,
    ModelChoice,
    Superseded,
    VolumeChanged,
    VolumeMade,
)
from AnatoMaskGANLib.volumes import LabelMap
from Testing.soak.fresh_process import FreshProcesses
from Testing.tiny_models import (
    label_map_of,
    random_labels,
    tiny_card,
    tiny_generator,
    write_tiny_model,
)

LAST = (Finished, Cancelled, Superseded, Failed)
MOST_GROWTH = 0.05
MOST_MORE_HANDLES = 2
_SECONDS_A_REQUEST = 120.0
_TOLERANCE = 1e-3  # of a window of 100; what follows an edit is summed in another order


class Soak:
    """One worker under load, with what it should have answered.

    folder: a private one, for the models and the answers of the fresh processes.
    """

    def __init__(self, client: WorkerClient, folder: Path, seed: int) -> None:
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.memory: list[int] = []
        self.handles: list[int] = []  # threads and open files
        self.largest_difference = 0.0
        self._client = client
        self._models = _write_models(folder)
        self._fresh = FreshProcesses(folder)
        self._draws = Random(seed)
        self._asked: dict[int, tuple[LabelMap, str]] = {}
        self._live: tuple[np.ndarray, str, int] | None = None  # labels, model, seed of the live one
        self._voxels: np.ndarray | None = None
        self._said: Mapping[str, str] = {}

    def do_something(self) -> None:
        """One request, or a burst of them, to its end."""
        match self._draws.choice(("volume", "live", "update", "update", "cancel", "wrong")):
            case "volume":
                seeds = [self._draws.randrange(1000) for _ in range(self._draws.randint(1, 2))]
                self._wait([self._ask(self._random_map(), self._some_model(), seeds)])
            case "live":
                self._start_live()
            case "update":
                if self._live is None:
                    self._start_live()
                self._update(self._draws.randint(1, 3))
            case "cancel":
                numbers = [self._ask(self._random_map(), self._models[0], [0]) for _ in range(2)]
                self._client.cancel()
                self._wait(numbers)
            case "wrong":
                self._live = None
                number = self._client.synthesize(
                    self._random_map(), ModelChoice("no such model", "cpu")
                )
                self._wait([number], fails=True)
        self._asked.clear()
        worker = psutil.Process(self._client._process.pid)
        self.memory.append(worker.memory_info().rss)
        self.handles.append(worker.num_fds() + worker.num_threads())
        left = [path.name for path in Path(worker.cwd()).glob("*.npy")]
        if left:
            self.wrong.append(f"{len(left)} files were left in the exchange folder: {left[:3]}")

    def _start_live(self) -> None:
        labels, model, seed = self._random_labels(), self._some_model(), self._draws.randrange(1000)
        number = self._ask(label_map_of(labels), model, [seed], live=True)
        self._live = (labels, model, seed)
        self._wait([number])

    def _update(self, count: int) -> None:
        numbers = []
        for _ in range(count):
            labels, model, seed = self._live[0].copy(), *self._live[1:]
            first = [self._draws.randrange(size) for size in labels.shape]
            labels[tuple(slice(f, f + 5) for f in first)] = self._draws.randint(0, 5)
            labels[0, 0, 0] = 1  # never without a label
            self._live = (labels, model, seed)
            numbers.append(self._client.update(label_map_of(labels)))
        self._wait(numbers)
        labels, model, seed = self._live
        self._compare(label_map_of(labels), model, seed)

    def _ask(self, label_map: LabelMap, model: str, seeds: list[int], live: bool = False) -> int:
        choice = ModelChoice(model, "cpu")
        number = self._client.synthesize(label_map, choice, live=live, seeds=seeds)
        self._asked[number] = (label_map, model)
        self._live = None
        return number

    def _wait(self, numbers: list[int], fails: bool = False) -> None:
        """Takes messages until all of these requests have ended, each once."""
        ended: Counter[int] = Counter()
        end = time.monotonic() + _SECONDS_A_REQUEST
        while len(ended) < len(numbers) and time.monotonic() < end:
            for message in self._client.poll():
                if isinstance(message, VolumeMade):
                    self._voxels = message.volume.voxels_kji.copy()
                    self._said = message.volume.provenance
                    self._compare(*self._asked[message.request], message.seed)
                elif isinstance(message, VolumeChanged):
                    self._said = message.provenance
                    if message.changed is not None:
                        self._voxels[message.changed.slices] = message.voxels_kji
                elif isinstance(message, LAST):
                    ended[message.request] += 1
                    self.counts[type(message).__name__] += 1
                    if isinstance(message, Failed) != fails:
                        self.wrong.append(f"request {message.request} ended with {message}")
            time.sleep(0.002)
        if dict(ended) != dict.fromkeys(numbers, 1):
            self.wrong.append(f"requests {numbers} ended so often: {dict(ended)}")

    def _compare(self, label_map: LabelMap, model: str, seed: int) -> None:
        """The newest voxels with those that a fresh process makes."""
        expected = self._fresh.volume_of(label_map, model, seed)
        self.counts["compared"] += 1
        if self._voxels.shape != expected.shape_kji:
            self.wrong.append(f"a volume has {self._voxels.shape} voxels, not {expected.shape_kji}")
            return
        difference = float(np.abs(self._voxels - expected.voxels_kji).max())
        self.largest_difference = max(self.largest_difference, difference)
        self.counts["equal to the bit"] += difference == 0
        if not difference <= _TOLERANCE:
            self.wrong.append(f"a volume is off by {difference:g}")
        if dict(self._said) != dict(expected.provenance):
            self.wrong.append(f"a volume says {dict(self._said)}, not {dict(expected.provenance)}")

    def _some_model(self) -> str:
        return self._draws.choice(self._models)

    def _random_labels(self) -> np.ndarray:
        shape = (self._draws.randint(2, 24), self._draws.randint(8, 40), self._draws.randint(8, 40))
        return random_labels(shape, seed=self._draws.randrange(10_000))

    def _random_map(self) -> LabelMap:
        return label_map_of(self._random_labels())


def _write_models(folder: Path) -> list[str]:
    """Two models with other weights, so that the process changes from one to the other."""
    other = folder / "other"
    write_model(other, tiny_card(name="other"), tiny_generator(seed=1))
    return [str(write_tiny_model(folder / "tiny")), str(other)]


def tenths_of(measured: list[int]) -> list[int]:
    """The median of every tenth of the measurements."""
    return [int(statistics.median(part)) for part in np.array_split(measured, 10) if len(part)]


def growth_of(measured: list[int]) -> float:
    """By which share it grew, from the second tenth, when all is loaded, to the last."""
    tenths = tenths_of(measured)
    return tenths[-1] / tenths[min(1, len(tenths) - 1)] - 1


def main() -> int:
    """1 when anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="soak-") as folder,
        WorkerClient(environment={"OMP_NUM_THREADS": "1"}) as client,
    ):
        client.start()
        first_process = client._process
        soak = Soak(client, Path(folder), options.seed)
        told = 0.0
        while time.monotonic() - started < 60 * options.minutes and len(soak.wrong) < 5:
            soak.do_something()
            if time.monotonic() - started >= told:
                told += 60 * options.minutes / 20
                _tell(soak, started)
        if client._process is not first_process:
            soak.wrong.append("the process died and was started again")
    growth = growth_of(soak.memory)
    if growth > MOST_GROWTH:
        soak.wrong.append(f"memory grew by {growth:.1%}")
    handles = tenths_of(soak.handles)
    if handles[-1] > handles[0] + MOST_MORE_HANDLES:
        soak.wrong.append("threads or open files piled up")
    _tell(soak, started)
    print(
        f"largest difference from a fresh process: {soak.largest_difference:g} of a window of 100"
    )
    tenths = " ".join(f"{memory >> 20}" for memory in tenths_of(soak.memory))
    print(f"memory of the process by tenths of the run: {tenths} MiB; grown by {growth:.1%}")
    for text in soak.wrong:
        print(f"WRONG {text}")
    return 1 if soak.wrong else 0


def _tell(soak: Soak, started: float) -> None:
    """What was done so far, in a line."""
    done = ", ".join(f"{count} {name.lower()}" for name, count in sorted(soak.counts.items()))
    minutes = (time.monotonic() - started) / 60
    print(f"{minutes:.1f} minutes: {done}; {soak.memory[-1] >> 20} MiB", flush=True)


if __name__ == "__main__":
    sys.exit(main())
