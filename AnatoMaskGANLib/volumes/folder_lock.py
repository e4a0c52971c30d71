"""A lock on a folder: one process writes it at a time."""

from __future__ import annotations

import contextlib
import errno
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_logger = logging.getLogger(__name__)

# Errors of disks that have no locks: Lustre without "-o flock", some NFS and FUSE.
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOTTY}


class FolderLockedError(RuntimeError):
    """Another process holds the lock."""


@contextlib.contextmanager
def hold_lock(path: Path) -> Iterator[None]:
    """Holds the lock that a file stands for; the system frees it however the process ends.

    On a disk that has no locks it goes on with a warning: there nobody keeps two processes apart.
    Raises FolderLockedError if another process holds it, OSError if the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as lock:
        try:
            take_lock(lock)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            _logger.warning(
                "the disk of %s has no file locks (%s): let no second process write there at the "
                "same time",
                path.parent,
                error.strerror,
            )
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


def take_lock(file: IO) -> None:
    """Locks an open file until it is closed, or its process ends.

    Raises FolderLockedError if another process holds the lock, OSError where there are no locks.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
            raise
        raise FolderLockedError(f"another process is using {file.name}") from error
