"""Fuzzes everything that reads bytes, and prints a table of what happened.

    python -m Testing.fuzz [--inputs 10000] [--seed 0] [--target NAME] [--first N]

The inputs are read in another process, which is started anew after a crash, and killed when one
input takes longer than the limit. Exit code 1 when anything was found: another error than the
documented ones, a crash, a hang, a file outside the target, a started program, an unpickled
object, or memory out of bounds. A finding is made again with --first NUMBER --inputs 1.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

REPOSITORY = Path(__file__).resolve().parents[2]
SECONDS_AN_INPUT = 60.0
SECONDS_TO_START = 120.0


@dataclass
class Tally:
    """What happened to the inputs of one target."""

    accepted: int = 0
    refused: int = 0
    findings: dict[int, str] = field(default_factory=dict)
    """Number of the input -> what was found."""
    slowest: float = 0.0
    """Processor seconds of the slowest input."""
    growth: int = 0
    """Bytes that the input took while it was read that took the most."""

    @property
    def inputs(self) -> int:
        """How many were tried."""
        return self.accepted + self.refused + len(self.findings)


def fuzz(num_inputs: int, seed: int, first: int = 0, only: str | None = None) -> dict[str, Tally]:
    """Tries the inputs from number `first` on; gives back what happened by target."""
    tallies: dict[str, Tally] = defaultdict(Tally)
    last = first + num_inputs
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        while first < last:
            first = _run_process(Path(folder), seed, first, last, only, tallies)
    return dict(tallies)


def table(tallies: dict[str, Tally], seconds: float) -> str:
    """The figures of a run, a line a target, and every finding."""
    lines = [f"{'target':10} {'inputs':>7} {'good':>6} {'refused':>8} {'found':>6} {'slowest':>9}"]
    lines[0] += f" {'memory':>9}"
    for name, tally in tallies.items():
        lines.append(
            f"{name:10} {tally.inputs:7} {tally.accepted:6} {tally.refused:8} "
            f"{len(tally.findings):6} {tally.slowest:7.2f} s {tally.growth >> 20:5} MiB"
        )
    total = sum(tally.inputs for tally in tallies.values())
    lines.append(f"{total} inputs in {seconds:.0f} s")
    for name, tally in tallies.items():
        lines += [f"FOUND {name}, input {n}: {text}" for n, text in tally.findings.items()]
    return "\n".join(lines)


def _run_process(
    folder: Path, seed: int, first: int, last: int, only: str | None, tallies: dict[str, Tally]
) -> int:
    """Runs inputs until the process ends; gives back the number of the next input."""
    command = [sys.executable, "-m", "Testing.fuzz.inputs", str(folder)]
    command += [str(seed), str(first), str(last), *([only] if only else [])]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    with open(folder / "words.txt", "wb") as words:
        process = subprocess.Popen(
            command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, stderr=words
        )
    lines: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=_pass_on, args=(process.stdout, lines), daemon=True).start()
    running: dict | None = None
    limit, how = SECONDS_TO_START, ""
    while True:
        try:
            line = lines.get(timeout=limit)
        except queue.Empty:
            process.kill()
            how = f"hung for {limit:g} s"
            break
        if not line:
            break
        answer = json.loads(line)
        limit = SECONDS_AN_INPUT
        running = None if "outcome" in answer else answer
        if running is None:
            _note(tallies[answer["target"]], answer)
            first = answer["number"] + 1
    code = process.wait()
    if running is not None:
        tallies[running["target"]].findings[running["number"]] = how or f"ended with {code}"
        return running["number"] + 1
    if first < last:
        last_words = (folder / "words.txt").read_text(errors="replace")[-2000:]
        raise RuntimeError(f"the fuzzing process ended between inputs ({code}): {last_words}")
    return first


def _note(tally: Tally, answer: dict) -> None:
    if answer["outcome"] == "finding":
        tally.findings[answer["number"]] = "; ".join(answer["found"])
    elif answer["outcome"] == "accepted":
        tally.accepted += 1
    else:
        tally.refused += 1
    tally.slowest = max(tally.slowest, answer["seconds"])
    tally.growth = max(tally.growth, answer["growth"])


def _pass_on(stream: IO[bytes], lines: queue.Queue[bytes]) -> None:
    for line in stream:
        lines.put(line)
    lines.put(b"")


def main() -> int:
    """1 when anything was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", help="only this reader; its inputs are numbered by themselves")
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    options = parser.parse_args()
    started = time.perf_counter()
    tallies = fuzz(options.inputs, options.seed, options.first, options.target)
    print(table(tallies, time.perf_counter() - started))
    return 1 if any(tally.findings for tally in tallies.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
