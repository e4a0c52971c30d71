"""A lock on a folder: one process writes it at a time."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO


class FolderLockedError(RuntimeError):
    """Another process holds the lock."""


@contextlib.contextmanager
def hold_lock(path: Path) -> Iterator[None]:
    """Holds the lock that a file stands for; the system frees it when the process ends, however.

    Raises FolderLockedError if another process holds it, OSError if the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as lock:
        try:
            _take(lock)
        except OSError as error:
            raise FolderLockedError(f"another process holds {path}") from error
        yield


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock now."""
    if not path.is_file():
        return False
    try:
        with hold_lock(path):
            return False
    except FolderLockedError:
        return True
    except OSError:  # a folder that cannot be written: nobody writes it
        return False


def _take(lock: IO[str]) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(lock.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
