"""The panel's work that takes time: whether it can begin, and what the user sees of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import qt
import slicer
from slicer.i18n import tr as _

from AnatoMaskGANModule.host.status import LogPane, StatusDisplay


@dataclass(frozen=True)
class Readiness:
    """Whether a synthesis could start."""

    problem: str | None
    """Why none can start, in words for the user; None when one can."""
    isRunning: bool = False
    """Whether something runs."""
    isLive: bool = False
    """Whether the volume follows its segments by itself."""

    @property
    def isFree(self) -> bool:
        return not self.isRunning and not self.isLive


def offer(button: qt.QPushButton, problem: str | None, isFree: bool, toolTip: str) -> None:
    """Let a button be pressed when there is no problem; otherwise show it as the tool tip."""
    button.setEnabled(problem is None and isFree)
    button.setToolTip(problem or toolTip)


class PanelWork:
    """Runs a synthesis, an edit or a comparison, and shows how it goes and how it ends.

    onBegun and onEnded are called with no argument, so that the panel shows what can be pressed.
    """

    def __init__(
        self,
        display: StatusDisplay,
        log: LogPane,
        onBegun: Callable[[], None],
        onEnded: Callable[[], None],
    ) -> None:
        self.display, self._log = display, log
        self._onBegun, self._onEnded = onBegun, onEnded
        self.isRunning = False

    @contextlib.contextmanager
    def running(self, failure: str, isMeasured: bool = True) -> Iterator[None]:
        """The panel while something runs; failure: the title of its errors.

        isMeasured: whether the work reports its progress, with the display's `report`.
        """
        from AnatoMaskGANLib.synthesis import SynthesisCancelledError

        self.isRunning = True
        self.display.begin(isMeasured)
        self._onBegun()
        try:
            with self.display.errorsShown(failure):
                try:
                    yield
                except SynthesisCancelledError:
                    self.display.show(_("Cancelled; nothing was changed."))
        finally:
            self.isRunning = False
            shown = self.display.shown
            self.display.end()
            self._onEnded()
            self.display.show(*shown)  # the result of this work, not what the next one lacks

    def make(self, make: Callable[[Callable[[str], None]], slicer.vtkMRMLScalarVolumeNode]) -> None:
        """Make a synthetic volume and report it; `make` gets the function that takes its notes."""
        notes: list[str] = []
        with self.running(_("The synthesis failed.")):
            output = make(notes.append)
            text = _("Made '{name}' in {seconds:.1f} s.")
            text = text.format(name=output.GetName(), seconds=self.display.seconds)
            self.display.show(" ".join([text, *notes]))
            for line in (text, *notes):
                self._log.add(_("synthesis"), line)
