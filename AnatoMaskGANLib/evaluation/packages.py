"""Python packages that only some metrics need."""

from __future__ import annotations

import importlib
from types import ModuleType


class MissingPackageError(ImportError):
    """A package that a metric needs is not installed, or cannot be loaded here."""


def import_package(name: str, purpose: str, remedy: str = "") -> ModuleType:
    """The module of that name; MissingPackageError says what it is for and how to get it.

    A package can be installed and still fail to load (torchvision with another build of torch
    fails with a RuntimeError), so the error says why.
    """
    try:
        return importlib.import_module(name)
    except (ImportError, RuntimeError, OSError) as error:
        remedy = remedy or "Install the packages for evaluation: pip install 'anatomaskgan[train]'."
        raise MissingPackageError(
            f"{purpose} needs the Python package '{name.partition('.')[0]}', which cannot be "
            f"loaded here ({type(error).__name__}: {error}). {remedy}"
        ) from error
