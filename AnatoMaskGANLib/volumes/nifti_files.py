"""NIfTI (and FreeSurfer's MGH) through nibabel, which keeps the affine of a file to the bit."""

from __future__ import annotations

import gzip
import json
import logging
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from .errors import VolumeError
from .geometry import largest_shift_mm, without_trailing_ones
from .stored_volume import LARGEST_FILE_VOXELS, RECORD_KEY, StoredVolume

_logger = logging.getLogger(__name__)

# A deflate stream cannot shrink its input by more than this factor.
_LARGEST_DEFLATE_RATIO = 1032

# Two forms of one header that differ by less are one place, written twice.
_SAME_PLACE_MM = 0.01

# NIfTI keeps positions as 32-bit numbers; a file whose voxel centres move by more is not written.
_LARGEST_ROUNDING_MM = 1e-3

_COMMENT_EXTENSION = 6
_LONGEST_DESCRIPTION = 79
_MM_PER_UNIT = {"unknown": 1.0, "mm": 1.0, "meter": 1000.0, "micron": 0.001}


def nibabel_if_installed() -> ModuleType | None:
    """nibabel, or None where only SimpleITK is there, as in Slicer."""
    try:
        import nibabel
    except ImportError:
        return None
    return nibabel


def read_nifti(path: Path, nibabel: ModuleType) -> StoredVolume:
    """Array, place and record of a NIfTI or MGH file.

    Of a header with both forms sform is taken; where qform says another place, a warning tells by
    how much. Raises VolumeError for what cannot be read, is truncated or has not three axes.
    """
    # what nibabel, gzip and NumPy raise on damaged bytes
    failures = (
        OSError,
        EOFError,
        ValueError,
        OverflowError,
        TypeError,
        struct.error,
        zlib.error,
        nibabel.filebasedimages.ImageFileError,
        nibabel.spatialimages.HeaderDataError,
    )
    try:
        lazy = nibabel.load(path, mmap=False)
        content = _whole_content(path, lazy)
        image = type(lazy).from_bytes(content)
        shape = without_trailing_ones(image.shape)
        if len(shape) != 3:
            raise VolumeError(
                f"{path} has {len(shape)} dimensions ({' x '.join(map(str, shape))}); expected "
                "three. Give one 3-D volume, for instance one time point of a series."
            )
        array = np.asanyarray(image.dataobj).reshape(shape, order="F").T
        array = array.astype(array.dtype.newbyteorder("="), copy=False)
    except VolumeError:
        raise
    except failures as error:
        raise VolumeError(
            f"{path} cannot be read: {error}. Expected a whole NIfTI or MGH file. It is damaged, "
            "truncated or of another type; copy or export it again."
        ) from error
    ijk_to_ras = np.array(image.affine, dtype=np.float64)
    if isinstance(image, nibabel.Nifti1Image):
        ijk_to_ras = _place_by_header(path, image, array.shape, nibabel)
        return StoredVolume(array, ijk_to_ras, _record_of(path, image.header))
    return StoredVolume(array, ijk_to_ras)


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
            f"NIfTI keeps positions as 32-bit numbers, which would move voxels by "
            f"{rounding_mm:.2g} mm; expected at most {_LARGEST_ROUNDING_MM:g}. The volume lies "
            "very far from the origin: write NRRD (.nrrd) instead."
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


def _whole_content(path: Path, lazy: Any) -> bytes:
    """The bytes of the file, unpacked and checked against the size that its header promises."""
    num_voxels = int(np.prod([int(size) for size in lazy.shape], dtype=np.float64))
    offset = int(lazy.dataobj.offset)
    expected = num_voxels * lazy.dataobj.dtype.itemsize + offset
    stored = path.stat().st_size
    is_compressed = path.suffix.lower() in (".gz", ".mgz")
    possible = stored * _LARGEST_DEFLATE_RATIO if is_compressed else stored
    if num_voxels == 0 or expected > possible or num_voxels > LARGEST_FILE_VOXELS:
        shape = " x ".join(map(str, lazy.shape))
        raise VolumeError(
            f"{path} is truncated or damaged: its header promises {shape} voxels, "
            f"{expected} bytes, which {stored} bytes on the disk cannot hold. Copy or export it "
            "again."
        )
    if not is_compressed:
        return path.read_bytes()
    with gzip.open(path) as file:
        content = file.read(expected)
        while file.read(1 << 20):  # to the end, where the checksum is
            pass
    return content


def _place_by_header(
    path: Path, image: Any, shape_kji: tuple[int, ...], nibabel: ModuleType
) -> np.ndarray:
    """ijk_to_ras in mm, with a word where a header says two places or none."""
    header = image.header
    ijk_to_ras = np.array(image.affine, dtype=np.float64)
    has_sform, has_qform = int(header["sform_code"]) > 0, int(header["qform_code"]) > 0
    if not has_sform and not (header["pixdim"][1:4] > 0).all():
        raise VolumeError(
            f"{path} has the voxel size {header['pixdim'][1:4].tolist()} and no sform; expected "
            "sizes of more than zero. Repair the voxel size in its header."
        )
    if not has_sform and not has_qform:
        _logger.warning("%s does not say where it lies (no sform, no qform)", path)
    if has_sform and has_qform:
        try:
            shift_mm = largest_shift_mm(shape_kji, ijk_to_ras, header.get_qform())
        except (ValueError, nibabel.spatialimages.HeaderDataError):
            shift_mm = np.inf
        if shift_mm > _SAME_PLACE_MM:
            _logger.warning(
                "%s says two places, up to %.3g mm apart: sform is taken, but Slicer may show "
                "qform",
                path,
                shift_mm,
            )
    unit = header.get_xyzt_units()[0]
    if _MM_PER_UNIT.get(unit, 1.0) != 1.0:
        _logger.warning("%s is measured in %ss; turned into millimetres", path, unit)
        ijk_to_ras[:3] *= _MM_PER_UNIT[unit]
    return ijk_to_ras


def _record_of(path: Path, header: Any) -> Mapping[str, Any]:
    """What `nifti_bytes` noted in a comment; empty for files of others."""
    for extension in header.extensions:
        if extension.get_code() != _COMMENT_EXTENSION:
            continue
        content = extension.get_content()
        text = content.decode("utf-8", "replace") if isinstance(content, bytes) else str(content)
        if RECORD_KEY not in text:
            continue
        try:
            record = json.loads(text.rstrip("\0 "))[RECORD_KEY]
        except (ValueError, TypeError, KeyError):
            _logger.warning("%s: the note in its header is damaged and is not read", path)
            return {}
        return record if isinstance(record, dict) else {}
    return {}
