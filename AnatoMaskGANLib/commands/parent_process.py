"""A program that was started by another one, such as the module in Slicer: told of, and stopped.

Its progress goes to standard output as one JSON object a line. When its standard input ends it
stops, as with Ctrl-C: after the step, with what is done kept. So it ends with the program that
started it, however that one ends, unless it got the line "go on" before.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
from typing import IO, Any

GO_ON = "go on"
"""The line after which the end of the input stops nothing."""
END = "end"
"""The line that takes `GO_ON` back."""

_EVENTS = logging.getLogger("AnatoMaskGANLib.events")


def tell(event: str, **values: Any) -> None:
    """Tells the program that started this one of {"event": event, ...}; without one it is lost."""
    _EVENTS.info(event, extra={"event": {"event": event, **values}})


def is_event(record: logging.LogRecord) -> bool:
    """Whether a log record is for programs, and so not for people."""
    return hasattr(record, "event")


class EventLines(logging.Handler):
    """Writes events as JSON lines to standard output."""

    def __init__(self) -> None:
        super().__init__()
        self.addFilter(is_event)

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one line."""
        sys.stdout.write(json.dumps(record.event) + "\n")
        sys.stdout.flush()


def stop_with_input(stream: IO[str]) -> None:
    """From now on a thread reads the stream, and interrupts the main thread when it ends."""
    # a program in the background inherits that Ctrl-C is ignored
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=_watch, args=(stream,), daemon=True).start()


def _watch(stream: IO[str]) -> None:
    goes_on = False
    for line in stream:
        word = line.strip()
        if word in (GO_ON, END):
            goes_on = word == GO_ON
    if not goes_on:
        _interrupt()


def _interrupt() -> None:
    if os.name == "nt":
        import _thread

        _thread.interrupt_main()
    else:  # also out of a system call
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
