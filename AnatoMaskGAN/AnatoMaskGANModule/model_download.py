"""A model downloaded by a process beside the application."""

from collections.abc import Callable

from .command_process import CommandProcess


class ModelDownload:
    """One download, `anatomaskgan models download`; `poll` brings it up to date."""

    def __init__(self, catalog: str, name: str, onLog: Callable[[str], None] | None = None) -> None:
        self.name = name
        self.share, self.text = 0.0, ""
        self._process = CommandProcess(["models", "download", catalog, name], onLog)

    @property
    def isRunning(self) -> bool:
        return self._process.isRunning

    @property
    def isDone(self) -> bool:
        """Whether the model is installed."""
        return self._process.exitCode == 0

    @property
    def isCancelled(self) -> bool:
        return self._process.isStopping and not self.isDone

    @property
    def problem(self) -> str:
        """Why it failed, in words for the user."""
        return self._process.lastWords

    def poll(self) -> None:
        for event in self._process.poll():
            if event["event"] == "share":
                self.share, self.text = event["share"], event["text"]

    def cancel(self) -> None:
        """End it; what came so far is deleted."""
        self._process.stop()

    def close(self) -> None:
        """End it with its process."""
        self._process.close()
