"""The error that every refused file, geometry or label map raises."""

from __future__ import annotations


class VolumeError(ValueError):
    """Tells what came, what was expected and what to do, in words for the user."""
