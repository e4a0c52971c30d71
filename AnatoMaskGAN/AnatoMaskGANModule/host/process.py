"""Runs a command of the program anatomaskgan in a separate process; nothing here waits.

Its output goes to files, so that a process may outlive the application. Its input is a pipe whose
end stops it (`anatomaskgan COMMAND --attached`): it ends with the application, however that ends,
unless `setGoesOn` has let it go on.
"""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any


class GrowingFile:
    """Returns each whole line once; text after the last line break waits."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self._offset = 0
        self._rest = b""

    def newLines(self) -> list[str]:
        """The lines that came since the last call; none while there is no file."""
        try:
            with open(self.path, "rb") as file:
                file.seek(self._offset)
                content = file.read()
        except OSError:
            return []
        self._offset += len(content)
        *lines, self._rest = (self._rest + content).split(b"\n")
        return [line.decode("utf-8", "replace").rstrip("\r") for line in lines]


ERROR_PREFIX = "anatomaskgan: error: "
# Within which a process that was asked to stop keeps what it has done.
STOP_SECONDS = 30.0
CLOSE_SECONDS = 5.0


class CommandProcess:
    """One run of `anatomaskgan ARGUMENTS`.

    folder: keeps the output as NAME.out and NAME.log; a temporary one if None. onLog: called with
    each line that the process says to people.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        onLog: Callable[[str], None] | None = None,
        folder: pathlib.Path | None = None,
        name: str = "command",
    ) -> None:
        from AnatoMaskGANLib.synthesis.worker.process_tree import core_environment, start_options

        self._temporary: pathlib.Path | None = None
        if folder is None:
            folder = self._temporary = pathlib.Path(tempfile.mkdtemp(prefix="anatomaskgan-"))
        self._onLog = onLog or (lambda line: None)
        folder.mkdir(parents=True, exist_ok=True)
        command = [pythonExecutable(), "-m", "AnatoMaskGANLib.cli", *arguments, "--attached"]
        outPath, logPath = folder / f"{name}.out", folder / f"{name}.log"
        with open(outPath, "wb") as out, open(logPath, "wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=log,
                env=core_environment(dict(os.environ)) | {"PYTHONUTF8": "1"},
                cwd=folder,  # no file there can be imported as a package
                **start_options(),
            )
        assert self._process.stdin is not None  # it is a pipe
        self._input = self._process.stdin
        self._out, self._log = GrowingFile(outPath), GrowingFile(logPath)
        self.lastWords = ""
        """The last line that the process logged; if it failed, the reason."""
        self.results: list[str] = []
        """The paths of results that it printed."""
        self._stopTime: float | None = None

    @property
    def isRunning(self) -> bool:
        return self._process.poll() is None

    @property
    def exitCode(self) -> int | None:
        """The exit code of the process; None while it runs."""
        return self._process.poll()

    @property
    def isStopping(self) -> bool:
        return self._stopTime is not None

    def poll(self) -> list[dict[str, Any]]:
        """The events since the last call; ends a process that does not heed `stop`."""
        isOver = not self.isRunning  # first: nothing is written after it
        for line in self._log.newLines():
            if line.strip():
                self.lastWords = line.removeprefix(ERROR_PREFIX)
                self._onLog(line)
        events = []
        for line in self._out.newLines():
            event = readEvent(line)
            if event is not None:
                events.append(event)
            elif line.strip():
                self.results.append(line)
        if isOver:
            self._removeFolder()
        elif self._stopTime is not None and time.monotonic() > self._stopTime + STOP_SECONDS:
            self.kill()
        return events

    def stop(self) -> None:
        """Ask the process to end as with Ctrl-C; what it has done is kept."""
        if not self.isStopping:
            self._stopTime = time.monotonic()
            self.setGoesOn(False)
            with contextlib.suppress(OSError):
                self._input.close()

    def setGoesOn(self, goesOn: bool) -> None:
        """Whether the process goes on when this application ends."""
        from AnatoMaskGANLib.commands.parent_process import END, GO_ON

        with contextlib.suppress(OSError, ValueError):  # it has ended or is ending
            self._input.write(f"{GO_ON if goesOn else END}\n".encode())
            self._input.flush()

    def kill(self) -> None:
        """End the process with all that it started, at once."""
        from AnatoMaskGANLib.synthesis.worker.process_tree import end_tree

        end_tree(self._process)

    def close(self) -> None:
        """Stop the process, wait shortly for what it keeps, and end what is left of it."""
        if self.isRunning:
            self.stop()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(CLOSE_SECONDS)
            self.kill()
        self._removeFolder()

    def leave(self) -> None:
        """Let the process go on without this application."""
        self.setGoesOn(True)
        with contextlib.suppress(OSError):
            self._input.close()

    def _removeFolder(self) -> None:
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)


def readEvent(line: str) -> dict[str, Any] | None:
    """The event of a line of output; None for a line for people."""
    if not line.startswith("{"):
        return None
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None


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
        """The exit code, as far as it follows from the files; None while the process runs."""
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
        """Does nothing: an earlier session has already decided that the process goes on."""

    def leave(self) -> None:
        """It goes on."""

    def close(self) -> None:
        """It goes on."""


def pythonExecutable() -> str:
    """A Python that sees Slicer's packages: PythonSlicer, or outside Slicer this Python."""
    return shutil.which("PythonSlicer") or str(pathlib.Path(sys.executable))
