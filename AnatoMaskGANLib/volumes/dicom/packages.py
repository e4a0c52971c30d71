"""The packages that know DICOM, which are loaded only when they are used."""

from __future__ import annotations

import importlib
from types import ModuleType

from AnatoMaskGANLib.volumes.errors import VolumeError

_OLDEST = {"pydicom": (3, 0), "highdicom": (0, 24)}


def pydicom_for(purpose: str) -> ModuleType:
    """The package pydicom. purpose: what needs it, as the message begins.

    Raises VolumeError where it is not installed or too old.
    """
    return _package("pydicom", purpose)


def highdicom_for(purpose: str) -> ModuleType:
    """The package highdicom, which writes segmentation objects; else as `pydicom_for`."""
    return _package("highdicom", purpose)


def _package(name: str, purpose: str) -> ModuleType:
    oldest = ".".join(map(str, _OLDEST[name]))
    try:
        package = importlib.import_module(name)
        found = tuple(int(part) for part in package.__version__.split(".")[:2])
    except ImportError:
        found = None
    if found is None or found < _OLDEST[name]:
        there = "is not installed" if found is None else f"is {found[0]}.{found[1]}"
        raise VolumeError(
            f"{purpose} needs the package {name}, {oldest} or later, which {there}. Install it "
            'with: pip install "pydicom>=3" "highdicom>=0.24", in Slicer with: '
            "slicer.util.pip_install('pydicom>=3 highdicom>=0.24')."
        )
    return package
