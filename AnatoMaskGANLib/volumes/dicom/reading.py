"""Opening a DICOM file with pydicom: the data set and its frames, errors in words."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from AnatoMaskGANLib.volumes.dicom.packages import pydicom_for
from AnatoMaskGANLib.volumes.errors import VolumeError

# Errors that pydicom raises for elements that are not what they should be.
_OF_DAMAGE = (
    *(ArithmeticError, AttributeError, EOFError, LookupError, NotImplementedError, OSError),
    *(RecursionError, RuntimeError, TypeError, ValueError, struct.error),
)


@contextmanager
def damage_in_words(path: Path) -> Iterator[None]:
    """Turns what pydicom raises for a damaged file into a VolumeError."""
    try:
        yield
    except VolumeError:
        raise
    except _OF_DAMAGE as error:
        words = " ".join(str(error).split())[:300]
        raise VolumeError(
            f"{path} cannot be read: {type(error).__name__}: {words}. Expected a complete DICOM "
            "object whose frames pydicom can unpack. Export it again without compression, or "
            "convert it to NIfTI."
        ) from error


def open_data_set(path: Path) -> Any:
    """pydicom's data set of a file; pixels are not unpacked yet. Raises VolumeError."""
    pydicom = pydicom_for(f"The DICOM object {path}")
    with damage_in_words(path):
        return pydicom.dcmread(path)


def frames_of(data_set: Any) -> Iterator[Any]:
    """The frames [J,I] in the order of the file, one after the other, as they are stored."""
    from pydicom.pixels import iter_pixels

    yield from iter_pixels(data_set, raw=True)
