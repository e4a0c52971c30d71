"""Text of others on a terminal: names and messages cannot move the cursor or change its colors.

The name of a label or a model may hold any character. What a terminal would obey instead of show
is spelled out: an escape becomes \\x1b.
"""

from __future__ import annotations

import logging
import re

# Controls but line end and tab, and the marks that turn the direction of what follows.
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """The text with what a terminal would obey spelled out; line ends and tabs stay."""
    return _OBEYED.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class PrintableLines(logging.Formatter):
    """Log lines, spelled so."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        return printable(super().format(record))
