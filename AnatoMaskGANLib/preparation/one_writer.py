"""Lets only one run at a time write a store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from AnatoMaskGANLib.preparation.settings import PreparationError
from AnatoMaskGANLib.volumes.folder_lock import FolderLockedError, hold_lock

LOCK = "prepare.lock"


@contextmanager
def one_writer(store: Path) -> Iterator[None]:
    """Holds the store's lock; the system frees it when the process ends, however it ends.

    Raises PreparationError if another run holds it, or if the folder cannot be written.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(hold_lock(store / LOCK))
        except FolderLockedError as error:
            raise PreparationError(
                f"Another anatomaskgan prepare is writing {store}; expected one at a "
                "time. Wait until it has finished, or give another folder."
            ) from error
        except OSError as error:
            raise PreparationError(
                f"The folder {store} cannot be written: {error.strerror}. Choose another."
            ) from error
        yield
