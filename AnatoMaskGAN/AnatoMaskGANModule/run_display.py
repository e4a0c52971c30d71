"""How a run goes, in the panel: the bar, the time that is left, and the line below it."""

import contextlib
import logging
import time
from collections.abc import Iterator

import slicer
from slicer.i18n import tr as _

from .warning_text import showText

# Before this share of a run nothing can be said of its end.
FIRST_ESTIMATE = 0.05


class RunDisplay:
    """Shows one run after the other; nothing any more when the panel was closed."""

    def __init__(self, ui) -> None:
        self._ui = ui
        self._startTime = 0.0
        self._isClosed = False
        self.told = ("", False)
        """What was told last, and whether it warned."""
        ui.progressBar.setVisible(False)

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return time.monotonic() - self._startTime

    def begin(self, isMeasured: bool = True) -> None:
        """isMeasured: whether the run tells how far it is."""
        self._startTime = time.monotonic()
        self._ui.progressBar.setMaximum(100 if isMeasured else 0)
        self._ui.progressBar.setValue(0)
        self._ui.progressBar.setVisible(True)
        self.tell(_("Starting..."))
        slicer.app.processEvents()

    def end(self) -> None:
        if self._isClosed:
            return
        self._ui.progressBar.setVisible(False)
        slicer.app.processEvents()

    def report(self, share: float, text: str) -> None:
        """Show the progress and let the window answer; a synthesis calls this for every slice."""
        if self._isClosed:
            return
        self._ui.progressBar.setValue(round(100 * share))
        text = text[:1].upper() + text[1:]
        left = remainingSeconds(self.seconds, share)
        if left is not None:
            text = _("{text}, about {left} left").format(text=text, left=inWords(left))
        self._ui.statusLabel.setText(text)
        slicer.app.processEvents()

    def close(self) -> None:
        """The panel goes away; a run that is going on ends at its next look."""
        self._isClosed = True

    @contextlib.contextmanager
    def errorsShown(self, message: str) -> Iterator[None]:
        """Show an error in Slicer's dialog, and keep it in sight in the panel."""
        try:
            with slicer.util.tryWithErrorDisplay(message):
                yield
        except Exception as error:
            logging.debug(message, exc_info=True)
            self.tell(str(error), isWarning=True)

    def tell(self, text: str, isWarning: bool = False) -> None:
        """Show this line until another one is told."""
        if self._isClosed:
            return
        self.told = (text, isWarning)
        showText(self._ui.statusLabel, text, isWarning)


def remainingSeconds(seconds: float, share: float) -> float | None:
    """What is left of a run when this share of it took so long; None: too early to say."""
    if share <= FIRST_ESTIMATE:
        return None
    return seconds * (1 - share) / share


def inWords(seconds: float) -> str:
    """A length of time as a user reads it: "8 s", "3 min", "2 h 5 min"."""
    if seconds < 90:
        return f"{round(seconds)} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
