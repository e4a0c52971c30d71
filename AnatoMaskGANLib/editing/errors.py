"""What can be wrong with an edit of a scan."""

from __future__ import annotations


class EditError(ValueError):
    """An edit that cannot be done as asked: what came, what was expected, and what to do."""
