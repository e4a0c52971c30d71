"""What a reader of bytes must not do: write elsewhere, start programs, unpickle, take all memory.

Python tells an audit hook of every file it opens or removes, every program it starts and every
name it unpickles (PEP 578); what native code opens shows in a listing of the folders.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_FORBIDDEN = ("pickle.find_class", "os.system", "subprocess.Popen", "socket.", "os.exec", "os.fork")
_CHANGING = {"os.remove": 1, "os.rename": 2, "os.mkdir": 1, "os.rmdir": 1, "os.symlink": 2}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Guard:
    """Watches this process from the moment it is made; it cannot be taken off again."""

    def __init__(self, target: Path) -> None:
        self._target = os.path.realpath(target)
        self._found: list[str] = []
        self._is_watching = False
        sys.addaudithook(self._hear)

    def start(self) -> None:
        """Forgets what was found and watches."""
        self._found = []
        self._is_watching = True

    def stop(self) -> list[str]:
        """What was forbidden since `start`, in words."""
        self._is_watching = False
        return self._found

    def _hear(self, event: str, arguments: Sequence[Any]) -> None:
        if not self._is_watching:
            return
        if event.startswith(_FORBIDDEN):
            self._found.append(f"{event} {arguments!r:.200}")
        elif event == "open" and isinstance(arguments[0], str | bytes | os.PathLike):
            if arguments[2] & _WRITING:
                self._check(event, arguments[0])
        elif event in _CHANGING:
            for path in arguments[: _CHANGING[event]]:
                # a name that is relative to an open folder belongs to a removal of a whole tree
                if not (event in ("os.remove", "os.rmdir") and arguments[-1] not in (-1, None)):
                    self._check(event, path)

    def _check(self, event: str, path: Any) -> None:
        place = os.path.realpath(os.fsdecode(path))
        if place != os.devnull and not (place + os.sep).startswith(self._target + os.sep):
            self._found.append(f"{event} outside the target: {place}")


def files_below(folder: Path) -> set[str]:
    """All files, links and folders, relative to the folder."""
    return {
        os.path.relpath(os.path.join(place, name), folder)
        for place, folders, files in os.walk(folder)
        for name in (*folders, *files)
    }


def limit_address_space(more_bytes: int) -> None:
    """From now on, this process gets only so much more memory, touched or not."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + more_bytes, used + more_bytes))


def forget_peak() -> None:
    """Lets `peak_bytes` begin anew, so that making the inputs hides nothing of reading them."""
    Path("/proc/self/clear_refs").write_text("5")


def used_bytes() -> int:
    """The memory that this process has in use."""
    return _status("VmRSS")


def peak_bytes() -> int:
    """The most memory that this process had in use since `forget_peak`."""
    return _status("VmHWM")


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))
