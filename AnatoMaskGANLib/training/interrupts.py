"""Ctrl-C and SIGTERM wait for the end of a step, so that what is saved is a whole step."""

from __future__ import annotations

import logging
import signal
import threading
from types import FrameType, TracebackType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

logger = logging.getLogger(__name__)


class Interrupts:
    """While active, the first signal sets `came`; a second one stops at once.

    Signals reach the main thread only; in another one this does nothing.
    """

    def __init__(self) -> None:
        self.came = False
        self._handlers: dict[int, object] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                self._handlers[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.came:
            raise KeyboardInterrupt
        self.came = True
        logger.info("stopping after this step; its checkpoint is written first")
