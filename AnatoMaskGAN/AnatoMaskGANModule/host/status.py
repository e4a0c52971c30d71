"""What the user reads: the line that tells how the work goes, with its bar, and the log."""

import contextlib
import logging
import time
from collections.abc import Iterator

import qt
import slicer
from slicer.i18n import tr as _

WARNING_COLOR = "#d2691e"


def showText(label, text: str, isWarning: bool = False, color: str = "") -> None:
    """Show a text in a label; color: of a text that does not warn, the panel's own if empty."""
    shown = WARNING_COLOR if isWarning else color
    label.setStyleSheet(f"color: {shown}" if shown else "")
    label.setText(text)


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


class LogPane:
    """Shows lines with their time and source, and gives them to the application's log as well."""

    def __init__(self, ui) -> None:
        self._ui = ui
        ui.copyLogButton.clicked.connect(self.copy)
        ui.clearLogButton.clicked.connect(self.clear)

    def add(self, source: str, line: str) -> None:
        """source: what speaks, such as "training"."""
        logging.info("AnatoMaskGAN %s: %s", source, line)
        self._ui.logText.appendPlainText(f"{time.strftime('%H:%M:%S')} {source}: {line}")

    def unfold(self) -> None:
        """Show the log; for failures whose reason stands there."""
        self._ui.logCollapsibleButton.collapsed = False

    def clear(self) -> None:
        self._ui.logText.clear()

    def copy(self) -> None:
        qt.QApplication.clipboard().setText(self._ui.logText.toPlainText())
        self.add(_("log"), _("copied"))
