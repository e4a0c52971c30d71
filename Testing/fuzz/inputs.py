"""The run itself, inside a process of its own: makes the inputs, reads them, tells what happened.

    python -m Testing.fuzz.inputs FOLDER SEED FIRST LAST [TARGET]

One JSON line before an input and one after it, so that who listens knows which one ended or hung
the process. Input number n goes to the targets in turn, and is made from the seed, the target and
n alone.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path
from random import Random

from .guard import (
    Guard,
    files_below,
    forget_peak,
    limit_address_space,
    peak_bytes,
    used_bytes,
)
from .targets import Target, all_targets

MOST_MEMORY = 3 * 2**30
"""Address space, beside that of the loaded libraries."""
MOST_GROWTH = 192 * 2**20
"""So much more memory may be in use while an input is read; bombs of the corpus hold more."""


def input_of(target: Target, seeds: list, seed: int, round_number: int) -> tuple[str, bytes]:
    """Name and content of an input: first every seed as it is, then changed ones."""
    if round_number < len(seeds):
        return seeds[round_number].name, seeds[round_number].content
    draws = Random(f"{seed}/{target.name}/{round_number}")
    # the first seed is a whole one; the hostile ones need fewer changes
    chosen = seeds[0] if draws.random() < 0.3 else draws.choice(seeds)
    return chosen.name, target.change(draws, chosen)


def read_one(target: Target, path: Path, outcome_folder: Path) -> tuple[str, str]:
    """How the input ended in a word, and what was wrong with that, "" if nothing."""
    try:
        target.read(path, outcome_folder)
    except target.errors as error:
        return "refused", "" if str(error) else f"{type(error).__name__} without a word"
    except Exception as error:
        return "finding", f"{type(error).__name__}: {error!s:.300}"
    return "accepted", ""


def run(folder: Path, seed: int, first: int, last: int, only: str | None) -> None:
    """Reads the inputs from number `first` to before `last`."""
    work, outcome = folder / "work", folder / "target"
    for place in (work, outcome):
        place.mkdir(parents=True, exist_ok=True)
    os.environ["ANATOMASKGAN_MODELS"] = str(outcome)
    os.chdir(work)
    tell = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    targets = [target for target in all_targets() if only in (None, target.name)]
    seeds = {}
    for target in targets:
        surroundings = work / target.name
        surroundings.mkdir(exist_ok=True)
        seeds[target.name] = target.seeds(surroundings)
    guard = Guard(outcome)
    limit_address_space(MOST_MEMORY)
    for number in range(first, last):
        target = targets[number % len(targets)]
        name, content = input_of(target, seeds[target.name], seed, number // len(targets))
        path = work / target.name / name
        original = path.read_bytes() if path.is_file() else None
        path.write_bytes(content)
        print(json.dumps({"number": number, "target": target.name}), file=tell, flush=True)
        before, started = files_below(folder), time.process_time()
        forget_peak()
        used = used_bytes()
        guard.start()
        outcome_word, wrong = read_one(target, path, outcome)
        found = guard.stop()
        growth = max(0, peak_bytes() - used)
        if growth > MOST_GROWTH:
            found.append(f"took {growth >> 20} MiB")
        made = {p for p in files_below(folder) - before if not p.startswith("target")}
        found += [f"made {p}" for p in sorted(made)] + ([wrong] if wrong else [])
        answer = {
            "number": number,
            "target": target.name,
            "outcome": "finding" if found else outcome_word,
            "found": found,
            "seconds": time.process_time() - started,
            "growth": growth,
        }
        print(json.dumps(answer), file=tell, flush=True)
        path.unlink(missing_ok=True)
        if original is not None:
            path.write_bytes(original)
        for entry in list(outcome.iterdir()):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)


if __name__ == "__main__":
    run(Path(sys.argv[1]), *map(int, sys.argv[2:5]), sys.argv[5] if len(sys.argv) > 5 else None)
