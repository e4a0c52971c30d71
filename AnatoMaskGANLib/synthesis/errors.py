"""Errors of a synthesis: what can go wrong between a model and a volume."""

from __future__ import annotations


class CheckpointError(ValueError):
    """A model that is missing, damaged, changed, or not of this program."""


class DeviceError(ValueError):
    """A device that this machine does not have."""


class SynthesisCancelledError(RuntimeError):
    """The caller asked to stop."""


class MemoryLimitError(ValueError):
    """A memory limit that is too low for what is asked."""
