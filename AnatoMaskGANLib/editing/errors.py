"""The error of an edit of a scan."""

from __future__ import annotations


class EditError(ValueError):
    """An edit cannot be done as asked. The text says what came, what was expected, and what to
    do."""
