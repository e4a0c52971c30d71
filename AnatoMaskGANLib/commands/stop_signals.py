"""SIGTERM and SIGHUP stop a command as Ctrl-C does: what is half done goes, what is done stays.

SIGHUP comes when the terminal or the connection to it is gone. A program that was started to
outlive that, with nohup, ignores it and goes on doing so.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_NAMES = ("SIGTERM", "SIGHUP")  # Windows has no SIGHUP


class StoppedError(KeyboardInterrupt):
    """A signal other than that of Ctrl-C came."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def stop_signals_raise() -> Iterator[None]:
    """Inside, these signals raise StoppedError in the main thread, unless they are ignored or have
    a handler."""
    numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    ours = []
    if threading.current_thread() is threading.main_thread():
        ours = [number for number in numbers if signal.getsignal(number) == signal.SIG_DFL]
    try:
        for number in ours:
            signal.signal(number, _stop)
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _stop(number: int, frame: FrameType | None) -> None:
    raise StoppedError(number)
