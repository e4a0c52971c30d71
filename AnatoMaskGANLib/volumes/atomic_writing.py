"""Writing a file so that at any moment the target is the old file or the whole new one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from AnatoMaskGANLib.volumes.abandoned_files import locked_file, remove_abandoned
from AnatoMaskGANLib.volumes.errors import VolumeError


@contextmanager
def replacing(path: Path, suffix: str) -> Iterator[Path]:
    """A path in the target's folder to write to; it takes the target's place when all went well.

    `suffix` is the target's full one (".nii.gz"), because writers go by it. Whatever fails inside,
    a full disk included, leaves the target as it was and the folder without a trace; what a killed
    process left is removed by the next one that writes into the folder. Raises VolumeError if the
    folder or the target cannot be written.
    """
    target = path.resolve()  # the file that a symbolic link names, not the link
    check_can_be_written(target)
    remove_abandoned(target.parent)
    try:
        with locked_file(target.parent, suffix) as temporary:
            yield temporary
            if temporary.stat().st_size == 0:
                raise OSError("its writer wrote nothing")
            with open(temporary, "rb+") as written:
                os.fsync(written.fileno())
            if target.exists():
                shutil.copymode(target, temporary)
            os.replace(temporary, target)
    except OSError as error:
        raise VolumeError(
            f"{path} could not be written: {error.strerror or error}. What stood there is "
            "unchanged. Free some space or choose another place."
        ) from error


def write_bytes(path: Path, suffix: str, content: Callable[[], bytes]) -> None:
    """Writes what `content` gives; the target is checked before anything is computed."""
    with replacing(path, suffix) as temporary:
        temporary.write_bytes(content())


def check_can_be_written(target: Path) -> None:
    """Raises VolumeError for a target that is a folder, or whose folder is missing or closed."""
    if target.is_dir():
        raise VolumeError(f"{target} is a folder; expected the name of a file to write.")
    if not target.parent.is_dir():
        raise VolumeError(
            f"{target} cannot be written: its folder does not exist. Create it or choose another."
        )
    if not os.access(target.parent, os.W_OK | os.X_OK) or (
        target.exists() and not os.access(target, os.W_OK)
    ):
        raise VolumeError(
            f"{target} cannot be written: no permission. Choose another place or change the "
            "permissions."
        )
