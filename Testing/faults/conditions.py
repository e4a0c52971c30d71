"""Faults that need no killing: a full disk, a read-only folder, little memory, a clock that jumps,
two processes at once.

Each is put on a scenario's command. While it lasts the command may fail, with whatever was there
still whole; without it, the same command must come to the result of a run that was left alone.
"""

from __future__ import annotations

import os
import resource
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .processes import run, start, wait_for
from .scenarios import Scenario

_SHARES = (0.0, 0.2, 0.5, 0.8)
"""Of the size of the whole result: so much room is on the full disk."""
_MEGABYTES = (1, 30, 120)
"""So much more memory than the loaded program may be taken."""
_SECONDS = 600.0


class UnmetError(Exception):
    """Something that this system does not let a test do."""


def disk_full(scenario: Scenario) -> int:
    """A disk that holds a part of the result, then enough."""
    made = scenario.expected if scenario.expected.exists() else scenario.place
    size = max(4096, sum(path.stat().st_size for path in made.rglob("*") if path.is_file()))
    for share in _SHARES:
        with _disk(scenario, max(4096, int(share * size))) as resize:
            code = run(_command(scenario), _SECONDS)
            if code == 0 and share < 0.5:
                raise ValueError(f"the command ended with 0 on a disk with {share:.0%} of the room")
            scenario.check_after_kill()
            resize(f"size={10 * size + 2**20}")
            _must_end_well(scenario)
    return len(_SHARES)


def read_only(scenario: Scenario) -> int:
    """A folder on a disk that cannot be written, with nothing and with the whole result in it."""
    for is_made in (False, True):
        with _disk(scenario, 64 * 2**20) as resize:
            if is_made:
                _must_end_well(scenario)
            before = _files(scenario.place)
            resize("ro")
            code = run(_command(scenario), _SECONDS)
            if code == 0 and not is_made:
                raise ValueError("the command ended with 0 on a disk that cannot be written")
            if _files(scenario.place) != before:
                raise ValueError("files changed on a disk that cannot be written")
            resize("rw")
            _must_end_well(scenario)
    return 2


def little_memory(scenario: Scenario) -> int:
    """Address space for the loaded program and little more, then all there is."""
    for megabytes in _MEGABYTES:

        def limit(megabytes: int = megabytes) -> None:
            used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            most = used + megabytes * 2**20
            resource.setrlimit(resource.RLIMIT_AS, (most, most))

        run(_command(scenario), _SECONDS, prepare=limit)
        scenario.check_after_kill()
        _must_end_well(scenario)
    return len(_MEGABYTES)


def clock_jumps(scenario: Scenario) -> int:
    """Hours back and forth within a run, and what was made before dated years back or ahead."""
    for years in (-10, 10):
        run(_command(scenario), 0.5)  # killed, so that there is something to go on with
        scenario.check_after_kill()
        moment = time.time() + years * 365 * 86400
        for path in [p for p in scenario.place.rglob("*") if p.is_file()]:
            os.utime(path, (moment, moment))
        scenario.forget()

        def jump(years: int = years) -> None:
            told, right = iter(range(10**9)), time.time
            time.time = lambda: right() + years * 3600 * (-1) ** next(told)

        code = run(_command(scenario), _SECONDS, prepare=jump)
        if code != 0:
            raise ValueError(f"the command ended with {code} while the clock jumped")
        scenario.check_at_end()
        scenario.begin_anew()
    return 2


def two_at_once(scenario: Scenario) -> int:
    """The same command twice at the same time: the result is right, whoever of both makes it."""
    for _ in range(3):
        processes = [start(_command(scenario)) for _ in range(2)]
        codes = [wait_for(process, _SECONDS) for process in processes]
        if 0 not in codes:
            raise ValueError(f"of two processes none ended well: {codes}")
        scenario.check_at_end()
        scenario.begin_anew()
    return 3


CONDITIONS: dict[str, Callable[[Scenario], int]] = {
    "disk full": disk_full,
    "read-only": read_only,
    "little memory": little_memory,
    "clock jumps": clock_jumps,
    "two at once": two_at_once,
}
"""Each gives back how often it was tried; raises UnmetError where the system does not let it."""


def _command(scenario: Scenario) -> list[str]:
    return scenario.commands(scenario.place)[0]


def _must_end_well(scenario: Scenario) -> None:
    code = run(_command(scenario), _SECONDS)
    if code != 0:
        raise ValueError(f"the command ended with {code} after the fault was gone")
    scenario.check_at_end()
    scenario.begin_anew()


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(p): (p.stat().st_size, p.stat().st_mtime_ns) for p in paths}


@contextmanager
def _disk(scenario: Scenario, num_bytes: int) -> Iterator[Callable[[str], None]]:
    """A disk of so many bytes at the scenario's place; what comes in gets new mount options.

    A file system in memory, mounted by root; UnmetError for others.
    """
    place = scenario.place
    place.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={num_bytes}", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        raise UnmetError("only root may mount a small disk")

    def remount(options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", str(place)], check=True)

    scenario.forget()
    try:
        yield remount
    finally:
        scenario.forget()
        subprocess.run(["umount", "--lazy", str(place)], check=True)
