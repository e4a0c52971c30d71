"""Kills programs at random moments, and checks that nothing is lost and nothing half is believed.

After the kills come a full disk, a read-only one, little memory, a jumping clock and two processes
at once (`conditions.py`).

    python -m Testing.faults [--kills 100] [--seed 0] [--only NAME]

Each scenario starts a command of the program again and again and ends it with SIGKILL, until it
was killed so often; a command that comes to its end is begun anew. After every kill what lies on
the disk must be whole or not there, and what was done before must still be; at every end the
result must be the one of a run that was left alone. Exit code 1 when anything was wrong.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from .conditions import CONDITIONS, UnmetError
from .processes import run
from .scenarios import SCENARIOS, Scenario


@dataclass(frozen=True)
class Result:
    """What happened in a scenario."""

    kills: int
    ends: int
    """Commands that came to their end, each compared with the run that was left alone."""
    wrong: tuple[str, ...]


def run_scenario(scenario: Scenario, kills: int, seed: int) -> Result:
    """Kills the scenario's command so often; needs `os.fork`."""
    draws = Random(f"{seed}/{scenario.name}")
    wrong: list[str] = []
    done = ends = 0
    started = time.perf_counter()
    _finish(scenario.commands(scenario.expected)[0])
    seconds = time.perf_counter() - started
    commands = scenario.commands(scenario.place)
    while done < kills or ends == 0:
        # a command that goes on where it was stopped needs ever less time
        limit = draws.uniform(0, seconds) if done < kills else 600.0
        code = run(commands[ends % len(commands)], limit)
        try:
            if code is None:
                done += 1
                scenario.check_after_kill()
            else:
                if code != 0:
                    wrong.append(f"after {done} kills the command ended with {code}")
                ends += 1
                scenario.check_at_end()
                _check_nothing_is_left(scenario.place)
                scenario.begin_anew()
        except Exception as error:  # what is wrong is told; the next kill may find more
            wrong.append(f"after {done} kills: {type(error).__name__}: {error!s:.300}")
            scenario.begin_anew()
        if len(wrong) > 5:
            break
    return Result(done, ends, tuple(wrong))


def _check_nothing_is_left(place: Path) -> None:
    """Raises ValueError for files that a killed command was writing: the next one removes them."""
    left = [path.name for path in place.rglob(".*") if path.suffix != ".lock"]
    if left:
        raise ValueError(f"{len(left)} hidden files are left: {', '.join(left[:3])}")


def _finish(command: Sequence[str]) -> None:
    code = run(command, 600.0)
    if code != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {code} without being killed")


def put_conditions(scenario: Scenario) -> Iterator[tuple[str, str, bool]]:
    """Of every condition: its name, what happened in words, and whether that was wrong."""
    _finish(scenario.commands(scenario.expected)[0])
    for name, put in CONDITIONS.items():
        try:
            yield name, f"{put(scenario)} times, as it should be", False
        except UnmetError as error:
            yield name, f"not tried: {error}", False
        except Exception as error:
            yield name, f"WRONG {type(error).__name__}: {error!s:.300}", True
        scenario.begin_anew()


def main() -> int:
    """1 when anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100, help="of every scenario")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=[kind.name for kind in SCENARIOS])
    options = parser.parse_args()
    is_wrong = False
    for kind in SCENARIOS:
        if options.only not in (None, kind.name):
            continue
        started = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="faults-") as folder:
            result = run_scenario(kind(Path(folder)), options.kills, options.seed)
        seconds = time.perf_counter() - started
        print(
            f"{kind.name:12} {result.kills:4} kills, {result.ends:3} ends, "
            f"{len(result.wrong)} wrong, {seconds:.0f} s",
            flush=True,
        )
        for text in result.wrong:
            print(f"  WRONG {text}")
        is_wrong = is_wrong or bool(result.wrong)
        with tempfile.TemporaryDirectory(prefix="faults-") as folder:
            for name, told, is_bad in put_conditions(kind(Path(folder))):
                print(f"{kind.name:12} {name}: {told}", flush=True)
                is_wrong = is_wrong or is_bad
    return int(is_wrong)


if __name__ == "__main__":
    sys.exit(main())
