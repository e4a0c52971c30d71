"""Runs the tests and fails when an error of the program is raised by none of them.

    python -m Testing.raised [arguments of pytest]

`make test` runs them so. Every `raise` of a file that the tests load counts; of a file that nothing
loads, because what it needs is not installed and its tests are skipped, none does. With a part of
the tests it tells what that part does not raise. The exit code is pytest's, or 1.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterable
from pathlib import Path

from Testing.list_errors import Raised, raise_statements

from .recording import RECORD, REPOSITORY

# Stands where a class that inherits has to say something.
_NEVER_RAISED = "NotImplementedError"


def main(arguments: list[str]) -> int:
    """pytest's exit code; 1 when all tests pass and an error was not raised."""
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "raised.txt"
        record.touch()
        paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
        environment = os.environ | {
            RECORD: str(record),
            "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        }
        command = [sys.executable, "-m", "pytest", *arguments]
        code = subprocess.run(command, cwd=REPOSITORY, env=environment, check=False).returncode
        notes = set(record.read_text(encoding="utf-8").split("\n"))
    statements = [raised for raised in raise_statements() if raised.file in notes]
    missing = not_raised(statements, notes)
    for raised in missing:
        print(f"not raised: {raised.file}:{raised.line} {raised.error} {raised.text[:70]}")
    print(f"{len(statements) - len(missing)} of {len(statements)} errors are raised by the tests")
    return code or int(bool(missing))


def not_raised(statements: Iterable[Raised], notes: Collection[str]) -> list[Raised]:
    """The statements, in their order, that stand in no note."""
    return [
        raised
        for raised in sorted(statements)
        if f"{raised.file}:{raised.line}" not in notes and raised.error != _NEVER_RAISED
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
