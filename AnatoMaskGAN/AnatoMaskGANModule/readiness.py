"""What can be pressed now; each part of the panel offers its buttons by it."""

from __future__ import annotations

from dataclasses import dataclass

import qt


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
    """Let a button be pressed when there is no problem, which its tool tip tells else."""
    button.setEnabled(problem is None and isFree)
    button.setToolTip(problem or toolTip)
