"""A lock: one training at a time writes a run's folder, and others can see which process it is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from AnatoMaskGANLib.volumes.atomic_writing import write_bytes
from AnatoMaskGANLib.volumes.folder_lock import FolderLockedError, hold_lock, is_locked

LOCK, PROCESS_FILE = "train.lock", "train.pid"


class RunInUseError(ValueError):
    """A run's folder that cannot be written, or that another training is writing."""


@contextmanager
def one_training(folder: Path) -> Iterator[None]:
    """Holds the run's lock; the system releases it when the process ends, however it ends.

    Under torchrun the first process holds it for all. Raises RunInUseError if another training
    holds it, or if the folder cannot be written.
    """
    if os.environ.get("RANK", "0") != "0":
        yield
        return
    with ExitStack() as stack:
        try:
            stack.enter_context(hold_lock(folder / LOCK))
            write_bytes(folder / PROCESS_FILE, ".pid", str(os.getpid()).encode)
        except FolderLockedError as error:
            raise RunInUseError(
                f"Another training is writing {folder}; expected one at a time. Wait "
                "until it has finished, stop it, or give another output folder."
            ) from error
        except OSError as error:
            reason = error.strerror or error
            raise RunInUseError(
                f"The folder {folder} cannot be written: {reason}. Choose another output folder."
            ) from error
        yield


def training_process(folder: Path) -> int | None:
    """The id of the process that now trains in a run's folder; None if there is none."""
    if not is_locked(folder / LOCK):
        return None
    try:
        return int((folder / PROCESS_FILE).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
