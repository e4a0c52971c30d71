"""Messages for the user: the line that shows how the work goes, with its bar, and the log."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import qt
import slicer
from slicer.i18n import tr as _

if TYPE_CHECKING:
    import ctk

WARNING_COLOR = "#d2691e"
"""Color of what the user should not overlook, all over the panel."""
# Before this fraction of a piece of work nothing can be said of its end.
FIRST_ESTIMATE = 0.05


def showText(label: qt.QLabel, text: str, isWarning: bool = False, color: str = "") -> None:
    """Show a text in a label; color: of a text that does not warn, the panel's own if empty."""
    shown = WARNING_COLOR if isWarning else color
    label.setStyleSheet(f"color: {shown}" if shown else "")
    label.setText(text)


class StatusWidgets(Protocol):
    """The widgets of the panel that `StatusDisplay` owns."""

    progressBar: qt.QProgressBar
    statusLabel: qt.QLabel


class StatusDisplay:
    """Shows how one piece of work after the other goes; nothing once the panel was closed."""

    def __init__(self, ui: StatusWidgets) -> None:
        self._ui = ui
        self._startTime = 0.0
        self._isClosed = False
        self.shown = ("", False)
        """The line that is shown, and whether it warns."""
        ui.progressBar.setVisible(False)

    @property
    def seconds(self) -> float:
        """Since the work began."""
        return time.monotonic() - self._startTime

    def begin(self, isMeasured: bool = True) -> None:
        """isMeasured: whether the work reports its progress."""
        self._startTime = time.monotonic()
        self._ui.progressBar.setMaximum(100 if isMeasured else 0)
        self._ui.progressBar.setValue(0)
        self._ui.progressBar.setVisible(True)
        self.show(_("Starting..."))
        slicer.app.processEvents()

    def end(self) -> None:
        if self._isClosed:
            return
        self._ui.progressBar.setVisible(False)
        slicer.app.processEvents()

    def report(self, fraction: float, text: str) -> None:
        """Show the progress and let the window answer; a synthesis calls this for every slice."""
        if self._isClosed:
            return
        self._ui.progressBar.setValue(round(100 * fraction))
        text = text[:1].upper() + text[1:]
        left = remainingSeconds(self.seconds, fraction)
        if left is not None:
            text = _("{text}, about {left} left").format(text=text, left=inWords(left))
        self._ui.statusLabel.setText(text)
        slicer.app.processEvents()

    def close(self) -> None:
        """The panel goes away; work that is going on ends at its next look."""
        self._isClosed = True

    @contextlib.contextmanager
    def errorsShown(self, message: str) -> Iterator[None]:
        """Show an error in Slicer's dialog, and keep it in sight in the panel."""
        try:
            with slicer.util.tryWithErrorDisplay(message):
                yield
        except Exception as error:
            logging.debug(message, exc_info=True)
            self.show(str(error), isWarning=True)

    def show(self, text: str, isWarning: bool = False) -> None:
        """Show this line until the next one."""
        if self._isClosed:
            return
        self.shown = (text, isWarning)
        showText(self._ui.statusLabel, text, isWarning)


def remainingSeconds(seconds: float, fraction: float) -> float | None:
    """What is left of the work when this fraction of it took so long; None: too early to say."""
    if fraction <= FIRST_ESTIMATE:
        return None
    return seconds * (1 - fraction) / fraction


def inWords(seconds: float) -> str:
    """A length of time as a user reads it: "8 s", "3 min", "2 h 5 min"."""
    if seconds < 90:
        return f"{round(seconds)} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


class LogWidgets(Protocol):
    """The widgets of the panel that `LogPane` owns."""

    clearLogButton: qt.QPushButton
    copyLogButton: qt.QPushButton
    logCollapsibleButton: ctk.ctkCollapsibleButton
    logText: qt.QPlainTextEdit


class LogPane:
    """Shows lines with their time and source, and gives them to the application's log as well."""

    def __init__(self, ui: LogWidgets) -> None:
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
