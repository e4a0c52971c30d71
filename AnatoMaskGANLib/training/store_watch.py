"""Whether the arrays of a store are still those that a training opened.

They are mapped into memory and read as they are needed, for hours: a file that is zeroed meanwhile
gives black images, and reading behind the end of a truncated one ends the process with a bus error.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from AnatoMaskGANLib.volumes.case_store import StoredCase, StoreError

_State = tuple[int, int, int, int]


class StoreWatch:
    """Remembers the files of some cases as they are now: place on the disk, size and time."""

    def __init__(self, cases: Iterable[StoredCase]) -> None:
        self._states = {path: _state_of(path) for case in cases for path in _files_of(case)}

    def check(self, case: StoredCase) -> None:
        """Raises StoreError where a file of the case is missing or was changed since."""
        for path in _files_of(case):
            if _state_of(path) != self._states.get(path):
                raise StoreError(
                    f"{path} was changed, truncated or moved while the training was running. "
                    "Restore the store as it was and start the same command again: it goes on from "
                    "the last checkpoint."
                )


def _files_of(case: StoredCase) -> list[Path]:
    """The files behind the arrays; none for arrays that are in memory only."""
    arrays = (case.image_sjk, case.labels_sjk, case.guidance_sjk)
    names = [array.filename for array in arrays if isinstance(array, np.memmap)]
    return [Path(os.fsdecode(name)) for name in names if isinstance(name, str | os.PathLike)]


def _state_of(path: Path) -> _State | None:
    """Marks by which a replaced or changed file is recognized; None where there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
