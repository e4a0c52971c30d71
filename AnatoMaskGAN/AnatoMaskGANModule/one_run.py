"""One thing runs at a time, and can be cancelled."""

import contextlib
from collections.abc import Iterator


class OneRun:
    """Whether something runs, and whether it was asked to end."""

    def __init__(self) -> None:
        self._isRunning = self._isCancelled = False

    @contextlib.contextmanager
    def begun(self) -> Iterator[None]:
        """Something runs inside; check before that it may."""
        self._isRunning, self._isCancelled = True, False
        try:
            yield
        finally:
            self._isRunning = False

    def cancel(self) -> None:
        """Ask what runs to end; without a run nothing happens."""
        self._isCancelled = True

    def isCancelled(self) -> bool:
        """What a run asks now and then."""
        return self._isCancelled

    def checkIsFree(self) -> None:
        """Raises RuntimeError while something runs."""
        if self._isRunning:
            raise RuntimeError("A synthesis is running already. Wait for it, or cancel it.")
