"""Runs a case in a folder of its own: make.py makes its input, cmd.txt runs the program on it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
OWN_CASES = Path(__file__).resolve().parent / "cases"

# In cmd.txt it stands for the folder of this project.
REPOSITORY_WORD = "REPOSITORY"
_SECONDS = 600

RIGHT, WRONG, UNCHECKED = "right", "WRONG", "read it"


@dataclass(frozen=True)
class Verdict:
    """What came of a case."""

    name: str
    state: str
    """`RIGHT`, `WRONG`, or `UNCHECKED` where only a person can tell by its expect.txt."""
    text: str
    """What is wrong, or the last line that the program printed."""

    def line(self) -> str:
        """The verdict in one line."""
        return f"{self.state:8} {self.name}: {self.text}"


def cases_in(folder: Path) -> list[Path]:
    """The case folders in a folder, by name. Raises FileNotFoundError if there is none."""
    found = sorted(file.parent for file in folder.glob("*/cmd.txt"))
    if not found:
        raise FileNotFoundError(f"{folder} holds no case, a folder with make.py and cmd.txt.")
    return found


def check_of(case: Path) -> Path | None:
    """The check of a case: its own, else that of the project's case of its name."""
    for place in (case, OWN_CASES / case.name):
        if (place / "check.py").is_file():
            return place / "check.py"
    return None


def run_case(case: Path) -> Verdict:
    """Makes the input, runs the commands and then the check, in a new folder that is removed."""
    with tempfile.TemporaryDirectory(prefix="input-case-") as name:
        return _run_in(case, Path(name))


def _run_in(case: Path, folder: Path) -> Verdict:
    environment = dict(_environment(folder))
    for file in case.glob("*.py"):
        if file.name != "check.py":
            shutil.copy(file, folder)
    if (folder / "make.py").is_file():
        made = _run([sys.executable, "make.py"], folder, environment)
        if made.returncode:
            return Verdict(case.name, WRONG, f"make.py failed: {_last_line(made.stdout)}")
    command = (case / "cmd.txt").read_text(encoding="utf-8")
    command = command.replace(REPOSITORY_WORD, shlex.quote(str(REPOSITORY)))
    try:
        done = _run(["bash", "-c", command], folder, environment)
    except subprocess.TimeoutExpired:
        return Verdict(case.name, WRONG, f"still running after {_SECONDS} s")
    (folder / "output.txt").write_bytes(done.stdout)
    (folder / "exit-code.txt").write_text(str(done.returncode), encoding="ascii")
    check = check_of(case)
    if check is None:
        expected = (case / "expect.txt").read_text(encoding="utf-8").strip()
        text = f"exit code {done.returncode}, {_last_line(done.stdout)} | expected: {expected}"
        return Verdict(case.name, UNCHECKED, text)
    checked = _run([sys.executable, str(check)], folder, environment)
    if checked.returncode:
        reason = _last_line(checked.stdout).removeprefix("AssertionError: ")
        return Verdict(case.name, WRONG, f"{reason} ({_last_line(done.stdout)})")
    return Verdict(case.name, RIGHT, _last_line(done.stdout))


def _environment(folder: Path) -> Iterator[tuple[str, str]]:
    """The environment with this project's program first in the path, also where it is not
    installed."""
    program = folder / ".bin" / "anatomaskgan"
    program.parent.mkdir()
    line = (
        f'PYTHONPATH="${{PYTHONPATH:+$PYTHONPATH:}}{REPOSITORY}" exec {shlex.quote(sys.executable)}'
    )
    program.write_text(f'#!/bin/sh\n{line} -m AnatoMaskGANLib.cli "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    python = Path(sys.executable).parent
    yield from os.environ.items()
    yield "PATH", os.pathsep.join([str(program.parent), str(python), os.environ.get("PATH", "")])
    yield "PYTHONPATH", str(REPOSITORY)


def _run(
    words: list[str], folder: Path, environment: dict[str, str]
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        words,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=_SECONDS,
    )


def _last_line(output: bytes) -> str:
    lines = output.decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:300] if lines else "nothing printed"
