"""Asks one synthesis process for volumes, updates and cancels for a long time, and checks it all.

    python -m Testing.soak [--minutes 120] [--seed 0]

Every volume, and every live volume after an update, is compared with one that a synthesizer made
for it alone gives here. Exit code 1 when an answer is wrong or missing, when the process died, or
when its memory grew by more than five percent from the second tenth of the requests to the last.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
import psutil

from AnatoMaskGANLib.synthesis.worker_client import (
    Cancelled,
    Failed,
    Finished,
    Superseded,
    VolumeChanged,
    VolumeMade,
    WorkerClient,
)
from AnatoMaskGANLib.volumes import LabelMap
from Testing.tiny_models import label_map_of, random_labels, tiny_synthesizer, write_tiny_model

LAST = (Finished, Cancelled, Superseded, Failed)
MOST_GROWTH = 0.05
_SECONDS_A_REQUEST = 120.0
_TOLERANCE = 1e-3  # of a window of 100


class Soak:
    """One worker under load, with what it should have answered."""

    def __init__(self, client: WorkerClient, model: str, seed: int) -> None:
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.memory: list[int] = []
        self._client = client
        self._model = model
        self._draws = Random(seed)
        self._asked: dict[int, tuple[LabelMap, int]] = {}
        self._live: tuple[np.ndarray, int] | None = None  # labels and seed of the live volume
        self._voxels: np.ndarray | None = None

    def do_something(self) -> None:
        """One request, or a burst of them, to its end."""
        match self._draws.choice(("volume", "live", "update", "update", "cancel", "wrong")):
            case "volume":
                label_map, seed = self._random_map(), self._draws.randrange(1000)
                number = self._ask(label_map, seed, live=False)
                self._wait([number])
            case "live":
                self._start_live()
            case "update":
                if self._live is None:
                    self._start_live()
                self._update(self._draws.randint(1, 3))
            case "cancel":
                numbers = [self._ask(self._random_map(), 0, live=False) for _ in range(2)]
                self._client.cancel()
                self._wait(numbers)
            case "wrong":
                self._live = None
                number = self._client.synthesize(self._random_map(), "no such model", "cpu")
                self._wait([number], fails=True)
        worker = psutil.Process(self._client.process_id)
        self.memory.append(worker.memory_info().rss)

    def _start_live(self) -> None:
        labels, seed = self._random_labels(), self._draws.randrange(1000)
        self._live = (labels, seed)
        self._wait([self._ask(label_map_of(labels), seed, live=True)])

    def _update(self, count: int) -> None:
        numbers = []
        for _ in range(count):
            labels, seed = self._live[0].copy(), self._live[1]
            first = [self._draws.randrange(size) for size in labels.shape]
            labels[tuple(slice(f, f + 5) for f in first)] = self._draws.randint(0, 5)
            labels[0, 0, 0] = 1  # never without a label
            self._live = (labels, seed)
            numbers.append(self._client.update(label_map_of(labels)))
        self._wait(numbers)
        self._compare(self._voxels, *self._live)

    def _ask(self, label_map: LabelMap, seed: int, live: bool) -> int:
        number = self._client.synthesize(label_map, self._model, "cpu", [seed], live=live)
        self._asked[number] = (label_map, seed)
        if not live:
            self._live = None
        return number

    def _wait(self, numbers: list[int], fails: bool = False) -> None:
        """Takes messages until all of these requests have ended, each once."""
        ended: Counter[int] = Counter()
        end = time.monotonic() + _SECONDS_A_REQUEST
        while len(ended) < len(numbers) and time.monotonic() < end:
            for message in self._client.poll():
                if isinstance(message, VolumeMade):
                    label_map, seed = self._asked[message.request]
                    self._voxels = message.volume.voxels_kji.copy()
                    self._compare(self._voxels, label_map.labels_kji, seed)
                elif isinstance(message, VolumeChanged) and message.changed is not None:
                    self._voxels[message.changed.slices] = message.voxels_kji
                elif isinstance(message, LAST):
                    ended[message.request] += 1
                    self.counts[type(message).__name__] += 1
                    if isinstance(message, Failed) != fails:
                        self.wrong.append(f"request {message.request} ended with {message}")
            time.sleep(0.002)
        if dict(ended) != dict.fromkeys(numbers, 1):
            self.wrong.append(f"requests {numbers} ended so often: {dict(ended)}")

    def _compare(self, voxels: np.ndarray, labels: np.ndarray, seed: int) -> None:
        expected = tiny_synthesizer().synthesize(label_map_of(labels), seed=seed).voxels_kji
        self.counts["compared"] += 1
        if not np.allclose(voxels, expected, rtol=0, atol=_TOLERANCE):
            self.wrong.append(f"a volume is off by {np.abs(voxels - expected).max():g}")

    def _random_labels(self) -> np.ndarray:
        shape = (self._draws.randint(2, 24), self._draws.randint(8, 40), self._draws.randint(8, 40))
        return random_labels(shape, seed=self._draws.randrange(10_000))

    def _random_map(self) -> LabelMap:
        return label_map_of(self._random_labels())


def tenths_of(memory: list[int]) -> list[int]:
    """The median of every tenth of the measurements."""
    return [int(statistics.median(part)) for part in np.array_split(memory, 10) if len(part)]


def growth_of(memory: list[int]) -> float:
    """By which share memory grew, from the second tenth, when all is loaded, to the last."""
    tenths = tenths_of(memory)
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
        first_process = client.process_id
        soak = Soak(client, str(write_tiny_model(Path(folder) / "tiny")), options.seed)
        while time.monotonic() - started < 60 * options.minutes and len(soak.wrong) < 5:
            soak.do_something()
        if client.process_id != first_process:
            soak.wrong.append("the process died and was started again")
    growth = growth_of(soak.memory)
    if growth > MOST_GROWTH:
        soak.wrong.append(f"memory grew by {growth:.1%}")
    ended = ", ".join(f"{count} {name.lower()}" for name, count in sorted(soak.counts.items()))
    print(f"{(time.monotonic() - started) / 60:.1f} minutes: {ended}")
    tenths = " ".join(f"{memory >> 20}" for memory in tenths_of(soak.memory))
    print(f"memory of the process by tenths of the run: {tenths} MiB; grown by {growth:.1%}")
    for text in soak.wrong:
        print(f"WRONG {text}")
    return 1 if soak.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
