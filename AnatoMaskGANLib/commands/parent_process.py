"""The protocol with the program that started this one, such as the module in Slicer.

Progress goes to standard output, one JSON object per line. When standard input ends, this program
stops as with Ctrl-C: after the present step, and what is done is kept. So it ends together with the
program that started it, however that one ends, unless it got the line "go on" before.
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
"""The line after which the end of the input no longer stops this program."""
END = "end"
"""The line that cancels `GO_ON`."""

_EVENTS = logging.getLogger("AnatoMaskGANLib.events")


def report_event(event: str, **values: Any) -> None:
    """Sends {"event": event, ...} to the program that started this one, if there is one."""
    _EVENTS.info(event, extra={"event": {"event": event, **values}})


def is_event(record: logging.LogRecord) -> bool:
    """Whether a log record is meant for programs and not for people."""
    return hasattr(record, "event")


class EventLines(logging.Handler):
    """Writes events as JSON lines to standard output."""

    def __init__(self) -> None:
        super().__init__()
        self.addFilter(is_event)

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one line."""
        sys.stdout.write(json.dumps(vars(record)["event"]) + "\n")
        sys.stdout.flush()


def stop_with_input(stream: IO[str]) -> None:
    """Starts a thread that reads the stream and interrupts the main thread when the stream ends."""
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
    else:  # a signal also interrupts a system call
        main_thread = threading.main_thread().ident
        if main_thread is not None:  # it is None only before the thread runs
            signal.pthread_kill(main_thread, signal.SIGINT)
