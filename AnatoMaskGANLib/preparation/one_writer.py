"""One run at a time writes a store."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from .settings import PreparationError

LOCK = "prepare.lock"


@contextmanager
def one_writer(store: Path) -> Iterator[None]:
    """Holds the store's lock; the system frees it when the process ends, however it ends.

    Raises PreparationError if another run holds it, or if the folder cannot be written.
    """
    try:
        store.mkdir(parents=True, exist_ok=True)
        lock = open(store / LOCK, "a")
    except OSError as error:
        raise PreparationError(
            f"The folder {store} cannot be written: {error.strerror}. Choose another."
        ) from error
    with lock:
        try:
            _take(lock)
        except OSError as error:
            raise PreparationError(
                f"Another run of prepare writes {store}; expected one at a time. Wait for its end, "
                "or give another folder."
            ) from error
        yield


def _take(lock: IO[str]) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(lock.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
