"""How fast training is: images per second, and the share of the time in which it waits for data.

    python Testing/benchmarks/training.py [--store FOLDER] [--preset compact] [--device cpu] ...

Without a store it trains on generated heads of 36 classes, whose label neighborhoods are about as
varied as those of real brains. Each line is one preset with the label dictionary on or off.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from AnatoMaskGANLib.config import settings_from_dict
from AnatoMaskGANLib.synthesis.devices import pick_device
from AnatoMaskGANLib.training.processes import Processes
from AnatoMaskGANLib.training.settings import TrainingSettings
from AnatoMaskGANLib.training.trainer import Trainer
from AnatoMaskGANLib.volumes.case_store import CaseStore, open_store, write_case, write_index

NUM_CLASSES = 36
SHAPE_KJI = (48, 224, 192)


@dataclass(frozen=True)
class Measured:
    """One way to train."""

    preset: str
    dictionary: bool
    images_per_second: float
    data_share: float
    step_seconds: float


def write_generated_store(folder: Path, num_cases: int = 4) -> Path:
    """Ellipsoids inside ellipsoids: 35 structures of all sizes."""
    k, j, i = np.meshgrid(*(np.linspace(-1, 1, size) for size in SHAPE_KJI), indexing="ij")
    entries = []
    for number in range(num_cases):
        draws = np.random.default_rng(number)
        labels = np.zeros(SHAPE_KJI, dtype=np.uint8)
        for value in range(1, NUM_CLASSES):
            radii = draws.uniform(0.08, 0.35, 3) if value > 4 else draws.uniform(0.6, 0.95, 3)
            center = draws.uniform(-0.5, 0.5, 3) if value > 4 else draws.uniform(-0.05, 0.05, 3)
            wave = 1 + 0.15 * np.sin(9 * i + value) * np.sin(7 * j)
            distance = sum(
                ((axis - c) / r) ** 2 for axis, c, r in zip((k, j, i), center, radii, strict=True)
            )
            labels[distance * wave < 1] = value
        image = (labels * 5.0) + draws.normal(0, 6, SHAPE_KJI)
        entry = write_case(folder, f"case-{number}", image, labels, (0.0, 200.0))
        entries.append({**entry, "subject": f"case-{number}", "split": "train"})
    table = {"name": "ellipsoids", "labels": {str(v): f"e{v}" for v in range(1, NUM_CLASSES)}}
    write_index(folder, entries, (1.0, 1.0, 1.0), (0.0, 200.0), "", table)
    return folder


def measure(
    store: CaseStore, preset: str, dictionary: bool, arguments: argparse.Namespace
) -> Measured:
    """Median step after two that warm up."""
    settings = settings_from_dict(
        TrainingSettings,
        {
            "data": {
                "store": str(store.folder),
                "stack_size": arguments.stack,
                "crop": [arguments.crop, arguments.crop],
                "batch_size": arguments.batch,
            },
            "output": "unused",
            "preset": preset,
            "label_dictionary": dictionary,
            "precision": arguments.precision,
        },
    )
    trainer = Trainer(settings, store, Processes(pick_device(arguments.device)))
    steps, waits = [], []
    for number in range(arguments.steps + 2):
        started = time.perf_counter()
        trainer.train_step()  # reads its losses back, so a GPU has finished when it returns
        if number >= 2:
            steps.append(time.perf_counter() - started)
            waits.append(trainer.data_seconds)
    trainer.sampler.close()
    seconds = statistics.median(steps)
    images = arguments.batch * arguments.stack
    return Measured(preset, dictionary, images / seconds, sum(waits) / sum(steps), seconds)


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", type=Path, help="a case store; generated heads by default")
    parser.add_argument("--preset", nargs="+", default=["compact"], choices=["compact", "paper"])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="32", choices=["32", "bf16", "16"])
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--stack", type=int, default=6)
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--batch", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(arguments.store or write_generated_store(Path(folder)))
        threads = torch.get_num_threads()
        print(
            f"{pick_device(arguments.device)}, {threads} threads, precision {arguments.precision}, "
            f"{arguments.batch} x {arguments.stack} x {arguments.crop}x{arguments.crop}"
        )
        print("| preset | label dictionary | images/s | waiting for data | s/step |")
        print("|---|---|---|---|---|")
        for preset in arguments.preset:
            for dictionary in (True, False):
                found = measure(store, preset, dictionary, arguments)
                print(
                    f"| {found.preset} | {'on' if found.dictionary else 'off'} | "
                    f"{found.images_per_second:.2f} | {found.data_share:.1%} | "
                    f"{found.step_seconds:.3f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
