"""Files that a process writes under another name, and those that a killed one left behind.

A file is abandoned when no process holds its lock. The system frees a lock when its process ends,
so no clock and no process number is needed. The name of the file says which computer wrote it,
because the locks of another computer are not seen in every folder of a network. On Windows an open
file cannot take another one's place; there files are not locked, and abandoned ones stay.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from AnatoMaskGANLib.volumes.folder_lock import FolderLockedError, take_lock

_HAS_LOCKS = sys.platform != "win32"
_COMPUTER = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
_NAME = re.compile(rf"\.writing-{_COMPUTER}-[0-9a-f]{{12}}\.[\w.]+")


@contextlib.contextmanager
def locked_file(folder: Path, suffix: str) -> Iterator[Path]:
    """A new empty file, hidden, which is removed at the end where it still is.

    It is to be written in place: a writer that puts another file there has it without the lock.
    Raises OSError if it cannot be made.
    """
    with contextlib.ExitStack() as stack:
        while True:
            path = folder / f".writing-{_COMPUTER}-{secrets.token_hex(6)}{suffix}"
            file = stack.enter_context(open(path, "xb"))
            stack.callback(path.unlink, missing_ok=True)
            if _is_kept(file, path):
                break
        yield path


def _is_kept(file: IO[bytes], path: Path) -> bool:
    """Whether a new file is this process's; until it is locked it looks abandoned to others."""
    if not _HAS_LOCKS:
        file.close()
        return True
    try:
        take_lock(file)
    except FolderLockedError:
        return False
    except OSError:  # without locks on the disk, no file counts as abandoned
        return True
    return path.exists()


def remove_abandoned(folder: Path) -> None:
    """Removes what processes of this computer left in the folder that were killed while writing."""
    if not _HAS_LOCKS:
        return
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            if _NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                _remove_if_abandoned(entry.path)


def _remove_if_abandoned(path: str) -> None:
    with contextlib.suppress(FolderLockedError, OSError), open(path, "r+b") as file:
        take_lock(file)
        os.unlink(path)
