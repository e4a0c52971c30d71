"""NIfTI (and FreeSurfer's MGH) through nibabel, which keeps the affine of a file to the bit."""

from __future__ import annotations

import gzip
import json
import logging
import math
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from AnatoMaskGANLib.volumes.errors import VolumeError
from AnatoMaskGANLib.volumes.geometry import largest_shift_mm, without_trailing_ones
from AnatoMaskGANLib.volumes.nifti_extensions import record_of_nifti
from AnatoMaskGANLib.volumes.nifti_header import (
    NiftiHeader,
    as_single_file,
    place_of,
    read_whole_nifti,
)
from AnatoMaskGANLib.volumes.nifti_voxels import voxels_of
from AnatoMaskGANLib.volumes.packed_size import check_unpacked_size
from AnatoMaskGANLib.volumes.stored_volume import (
    LARGEST_FILE_VOXELS,
    RECORD_KEY,
    SCALING_KEY,
    StoredVolume,
)

_logger = logging.getLogger(__name__)

# What gzip, struct and NumPy raise on damaged bytes, in addition to nibabel's own errors.
_FAILURES: tuple[type[Exception], ...] = (
    OSError,
    EOFError,
    ValueError,
    OverflowError,
    TypeError,
    MemoryError,
    struct.error,
    zlib.error,
)

# NIfTI keeps positions as 32-bit numbers; a file whose voxel centers move by more is not written.
_LARGEST_ROUNDING_MM = 1e-3

_LONGEST_DESCRIPTION = 79
# The most bytes read of a file whose name does not say whether it is packed: 512^3 64-bit numbers.
_LARGEST_MISNAMED_MGH = 1 << 30


def nibabel_if_installed() -> ModuleType | None:
    """nibabel, or None where only SimpleITK is there, as in Slicer."""
    try:
        import nibabel
    except ImportError:
        return None
    return nibabel


def read_nifti(path: Path, nibabel: ModuleType) -> StoredVolume:
    """Array, place and record of a NIfTI file.

    Raises VolumeError for what cannot be read, is truncated or has not three axes.
    """
    header, content = read_whole_nifti(path)
    failures = _FAILURES + _failures_of(nibabel)
    image_type = nibabel.Nifti1Image if header.version == 1 else nibabel.Nifti2Image
    try:
        image = image_type.from_bytes(as_single_file(header, content))
        array = _array_of(image, header.shape_ijk)
    except failures as error:
        raise _unreadable(path, error) from error
    return _stored(path, header, content, array)


def read_nifti_alone(path: Path) -> StoredVolume:
    """Array, place and record of a NIfTI file where nibabel is missing.

    Raises VolumeError as `read_nifti`, and for voxels that are no single numbers.
    """
    header, content = read_whole_nifti(path)
    return _stored(path, header, content, voxels_of(path, header, content))


def _stored(path: Path, header: NiftiHeader, content: bytes, array: np.ndarray) -> StoredVolume:
    slope, inter = header.scale
    scaling = {} if header.scale == (1.0, 0.0) else {SCALING_KEY: f"{slope:g} * value + {inter:g}"}
    record = record_of_nifti(path, header, content)
    return StoredVolume(array, place_of(path, header), record, scaling)


def read_mgh(path: Path, nibabel: ModuleType) -> StoredVolume:
    """Array and place of FreeSurfer's .mgh or .mgz.

    Raises VolumeError for what cannot be read, is truncated or has not three axes.
    """
    # an unknown type of numbers is a KeyError
    failures: tuple[type[Exception], ...] = (*_FAILURES, *_failures_of(nibabel), LookupError)
    try:
        image = _opened_mgh(path, nibabel)
        shape = without_trailing_ones(image.shape)
        if len(shape) != 3:
            raise VolumeError(
                f"{path} has {len(shape)} dimensions ({' x '.join(map(str, shape))}); expected "
                "three. Give one 3-D volume, for instance one time point of a series."
            )
        _check_mgh_size(path, image, shape)
        return StoredVolume(_array_of(image, shape), np.array(image.affine, dtype=np.float64))
    except VolumeError:
        raise
    except failures as error:
        raise _unreadable(path, error) from error


def _opened_mgh(path: Path, nibabel: ModuleType) -> Any:
    """The image of a file; whether it is packed does not depend on its name."""
    with open(path, "rb") as file:
        is_packed = file.read(2) == b"\x1f\x8b"
    if is_packed == (path.suffix.lower() == ".mgz"):
        return nibabel.load(path, mmap=False)
    _logger.warning(
        "%s is %s in spite of its name; read by its content",
        path,
        "packed" if is_packed else "not packed",
    )
    with gzip.open(path) if is_packed else open(path, "rb") as file:
        content = file.read(_LARGEST_MISNAMED_MGH)
    return nibabel.MGHImage.from_bytes(content)


def nifti_bytes(
    array: np.ndarray,
    ijk_to_ras: np.ndarray,
    record: Mapping[str, Any],
    nibabel: ModuleType,
    is_compressed: bool,
) -> bytes:
    """The whole file. sform and qform say the same place, so that every program agrees on it.

    Raises VolumeError if 32-bit numbers would move a voxel by more than 1e-3 mm.
    """
    rounding_mm = largest_shift_mm(array.shape, ijk_to_ras, ijk_to_ras.astype(np.float32))
    if not rounding_mm <= _LARGEST_ROUNDING_MM:
        raise VolumeError(
            "NIfTI stores positions as 32-bit numbers, which would move voxels by "
            f"{rounding_mm:.2g} mm; expected at most {_LARGEST_ROUNDING_MM:g}. The volume "
            "lies very far from the origin: write NRRD (.nrrd) instead."
        )
    image = nibabel.Nifti1Image(array.T, ijk_to_ras, dtype=array.dtype)
    image.set_sform(ijk_to_ras, code="scanner")
    image.set_qform(ijk_to_ras, code="scanner", strip_shears=True)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = short_description(record)
    if record:
        text = json.dumps({RECORD_KEY: record})
        image.header.extensions.append(
            nibabel.nifti1.Nifti1Extension("comment", text.encode("ascii"))
        )
    content = image.to_bytes()
    # no time stamp: the same volume gives the same bytes
    return gzip.compress(content, compresslevel=3, mtime=0) if is_compressed else content


def short_description(record: Mapping[str, Any]) -> str:
    """The provenance of a record in the 79 characters that a NIfTI header has for words."""
    provenance = record.get("provenance", {})
    parts = [
        f"{key}={value if len(value) <= 16 else value[:8]}" for key, value in provenance.items()
    ]
    text = "; ".join(parts).encode("ascii", errors="replace").decode("ascii")
    return text[:_LONGEST_DESCRIPTION]


def _check_mgh_size(path: Path, image: Any, shape: tuple[int, ...]) -> None:
    """Raises VolumeError for more voxels than the file holds, before memory is taken for them."""
    num_voxels = math.prod(map(int, shape))  # the product of 32-bit numbers would overflow
    if num_voxels > LARGEST_FILE_VOXELS:
        raise VolumeError(
            f"{path} promises {' x '.join(map(str, shape))} voxels; expected at most "
            f"{LARGEST_FILE_VOXELS:.0e}. Its header is damaged; copy or export it again."
        )
    with open(path, "rb") as file:
        is_packed = file.read(2) == b"\x1f\x8b"
    if is_packed:
        check_unpacked_size(path, 0, num_voxels * image.get_data_dtype().itemsize)


def _array_of(image: Any, shape_ijk: tuple[int, ...]) -> np.ndarray:
    """[K,J,I], scaled as the header says, in this machine's byte order.

    Integers that are scaled to whole numbers, such as a CT stored with an offset of -1024, stay
    integers.
    """
    array = _whole_numbers(image.dataobj)
    if array is None:
        array = np.asanyarray(image.dataobj)
    array = array.reshape(shape_ijk, order="F").T
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _whole_numbers(stored: Any) -> np.ndarray | None:
    """Scaled integers as integers, of the stored type or the first larger one that holds them; None
    for others."""
    slope, offset = float(stored.slope), float(stored.inter)
    is_scaled = (slope, offset) != (1.0, 0.0)
    if not is_scaled or np.dtype(stored.dtype).kind not in "iu":
        return None
    if not (slope.is_integer() and offset.is_integer()):
        return None
    array = np.asanyarray(stored.get_unscaled())
    if array.size == 0:
        return None
    ends = [int(end) * int(slope) + int(offset) for end in (array.min(), array.max())]
    for dtype in (array.dtype.newbyteorder("="), np.dtype(np.int16), np.dtype(np.int32)):
        limits = np.iinfo(dtype)
        if limits.min <= min(ends) and max(ends) <= limits.max:
            return (array.astype(np.int64) * int(slope) + int(offset)).astype(dtype)
    return None


def _failures_of(nibabel: ModuleType) -> tuple[type[Exception], ...]:
    return (
        nibabel.filebasedimages.ImageFileError,
        nibabel.spatialimages.HeaderDataError,
        nibabel.freesurfer.mghformat.MGHError,
    )


def _unreadable(path: Path, error: Exception) -> VolumeError:
    return VolumeError(
        f"{path} cannot be read: {error}. Expected a complete NIfTI or MGH file. It is "
        "damaged, truncated or of another type; copy or export it again."
    )
