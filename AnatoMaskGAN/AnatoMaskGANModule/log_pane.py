"""The log at the end of the panel: what the processes beside the application said."""

import logging
import time

import qt
from slicer.i18n import tr as _


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
