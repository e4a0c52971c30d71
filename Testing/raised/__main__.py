"""Runs the tests and tells which listed errors none of them raises.

    python -m Testing.raised [arguments of pytest]

Exit code 1 when a test fails or an error of Documentation/errors.md is never raised.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from Testing.list_errors import raised_errors

from .recording import RECORD, REPOSITORY


def main(arguments: list[str]) -> int:
    """1 when an error was not raised."""
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "raised.txt"
        record.touch()
        paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
        environment = os.environ | {
            RECORD: str(record),
            "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        }
        command = [sys.executable, "-m", "pytest", "-m", "slow or not slow", *arguments]
        code = subprocess.run(command, cwd=REPOSITORY, env=environment, check=False).returncode
        reached = set(record.read_text(encoding="utf-8").split("\n"))
    listed = sorted(raised_errors())
    missing = [error for error in listed if f"{error.file}:{error.line}" not in reached]
    for error in missing:
        print(f"not raised: {error.file}:{error.line} {error.error} {error.text[:70]}")
    print(f"{len(listed) - len(missing)} of {len(listed)} listed errors are raised by the tests")
    return int(bool(missing) or code != 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
