"""Commands of the program, run in forks of this process and killed where they take too long.

A fork has PyTorch loaded and no threads, so that moments of work are hit and not those of loading.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence

from AnatoMaskGANLib.cli import main as run_program


def start(command: Sequence[str], prepare: Callable[[], None] = lambda: None) -> int:
    """The number of the process that runs the command; `prepare` is called in it before."""
    sys.stdout.flush()
    process = os.fork()
    if process == 0:
        code = 1
        try:
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
            prepare()
            code = run_program(command)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return process


def wait_for(process: int, limit: float) -> int | None:
    """The exit code of a process; None when it was killed after so many seconds."""
    end = time.perf_counter() + limit
    while time.perf_counter() < end:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return None


def run(
    command: Sequence[str], limit: float, prepare: Callable[[], None] = lambda: None
) -> int | None:
    """The exit code of the command; None when it was killed after so many seconds."""
    return wait_for(start(command, prepare), limit)
