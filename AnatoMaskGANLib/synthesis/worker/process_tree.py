"""A process that was started with all it starts itself, so that it can be ended with all of it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import AnatoMaskGANLib

_GRACE_SECONDS = 2.0


def start_options() -> dict[str, Any]:
    """Arguments of `subprocess.Popen` that open no window and let `end_tree` find all processes."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}


def core_environment(environment: dict[str, str]) -> dict[str, str]:
    """The environment in which another Python finds this package."""
    package_parent = str(Path(AnatoMaskGANLib.__file__).resolve().parents[1])
    paths = [package_parent, environment.get("PYTHONPATH", "")]
    return environment | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}


def end_tree(process: subprocess.Popen) -> None:
    """Ends a process and all that it started; it holds nothing that would be lost."""
    if sys.platform == "win32":
        subprocess.run(
            ["taskkill", "/T", "/F", "/PID", str(process.pid)], capture_output=True, check=False
        )
    else:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE_SECONDS)
