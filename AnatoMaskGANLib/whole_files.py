"""Files that are either the old one or whole: written beside their place, then moved there."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """A path to write to, in the folder of `path` and with its ending; moved to `path` at the end.

    When the block raises (a full disk, an interrupt), what was written is removed and the file at
    `path` stays as it was. Raises OSError when the folder cannot be written to.
    """
    path = Path(path)
    temporary = path.with_name(f".partial-{os.getpid()}-{secrets.token_hex(4)}-{path.name}")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_whole_text(path: str | Path, text: str) -> None:
    """Writes a UTF-8 text file, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
