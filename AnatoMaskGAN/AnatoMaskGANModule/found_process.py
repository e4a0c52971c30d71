"""A training that an earlier session of the application left running, followed by its files."""

import contextlib
import os
import pathlib
import signal
import subprocess
from collections.abc import Callable
from typing import Any

from .command_process import readEvent
from .growing_file import GrowingFile


class FoundProcess:
    """Can be followed and stopped like a `CommandProcess`; it goes on when this session ends.

    processOf: gives the number of the process, None when it has ended.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        name: str,
        processOf: Callable[[], int | None],
        onLog: Callable[[str], None],
    ) -> None:
        self._out = GrowingFile(folder / f"{name}.out")
        self._log = GrowingFile(folder / f"{name}.log")
        self._processOf, self._onLog = processOf, onLog
        self._wasDone = False
        self.lastWords = ""
        self.results: list[str] = []
        self.isStopping = False

    @property
    def isRunning(self) -> bool:
        return self._processOf() is not None

    @property
    def exitCode(self) -> int | None:
        """As far as its files tell."""
        if self.isRunning:
            return None
        return 0 if self._wasDone else 130 if self.isStopping else 1

    def poll(self) -> list[dict[str, Any]]:
        """The events since the last call."""
        for line in self._log.newLines():
            self.lastWords = line
            self._onLog(line)
        events = [event for event in map(readEvent, self._out.newLines()) if event is not None]
        self._wasDone |= any(event["event"] == "done" for event in events)
        return events

    def stop(self) -> None:
        """Ask it to end after its step; on Windows it ends at once, with its last checkpoint."""
        number = self._processOf()
        self.isStopping = True
        if number is None:
            return
        if os.name == "nt":
            command = ["taskkill", "/T", "/F", "/PID", str(number)]
            subprocess.run(command, capture_output=True, check=False)
        else:
            with contextlib.suppress(OSError):
                os.kill(number, signal.SIGINT)

    def setGoesOn(self, goesOn: bool) -> None:
        """It goes on in any case: an earlier session was told so."""

    def leave(self) -> None:
        """It goes on."""

    def close(self) -> None:
        """It goes on."""
