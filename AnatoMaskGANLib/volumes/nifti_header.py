"""What must be known of a NIfTI file before any library reads it.

Libraries repair in silence: ITK gives zeros for the missing end of a truncated file, nibabel and
ITK put 1 mm for a voxel size of zero, and where sform and qform say two places they differ in the
one they take. So the few header fields that decide this are read here, once, for both.
"""

from __future__ import annotations

import gzip
import logging
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from AnatoMaskGANLib.volumes.errors import VolumeError
from AnatoMaskGANLib.volumes.geometry import (
    checked_ijk_to_ras,
    largest_shift_mm,
    spacing_ijk_mm_of,
    without_trailing_ones,
)
from AnatoMaskGANLib.volumes.packed_size import check_unpacked_size
from AnatoMaskGANLib.volumes.stored_volume import LARGEST_FILE_VOXELS

_logger = logging.getLogger(__name__)

# A deflate stream cannot shrink its input by more than this factor.
_LARGEST_DEFLATE_RATIO = 1032

# So much may be unpacked before it is known whether the file holds what its header promises.
_UNCHECKED_BYTES = 64 << 20

# sform and qform that differ by less are one place, written twice: 32 bits make a quaternion near
# half a turn, as that of nearly axial slices is, wrong by some hundredths of a millimeter.
_SAME_PLACE_VOXELS = 0.1

# Field name: (NIfTI-1 type, offset), (NIfTI-2 type, offset); from nifti1.h and nifti2.h.
_FIELDS = {
    "dim": (("8i2", 40), ("8i8", 16)),
    "datatype": (("i2", 70), ("i2", 12)),
    "bitpix": (("i2", 72), ("i2", 14)),
    "pixdim": (("8f4", 76), ("8f8", 104)),
    "vox_offset": (("f4", 108), ("i8", 168)),
    "units": (("u1", 123), ("i4", 500)),
    "qform_code": (("i2", 252), ("i4", 344)),
    "quatern": (("3f4", 256), ("3f8", 352)),
    "qoffset": (("3f4", 268), ("3f8", 376)),
    "sform_code": (("i2", 254), ("i4", 348)),
    "srow": (("(3,4)f4", 280), ("(3,4)f8", 400)),
}
_SIZES = (348, 540)
_ByteOrder = Literal["<", ">"]
_BYTE_ORDERS: tuple[_ByteOrder, ...] = ("<", ">")
_MAGICS = ((344, b"n+1\0"), (4, b"n+2\0\r\n\x1a\n"))
_FLOATS = {16: "f4", 64: "f8"}
_MM_PER_UNIT = {1: 1000.0, 2: 1.0, 3: 0.001}


@dataclass(frozen=True, eq=False)
class NiftiHeader:
    """The fields of a header that decide size and place."""

    shape_ijk: tuple[int, int, int]
    bytes_before_voxels: int
    bytes_of_file: int
    """Bytes of the unpacked file: header, extensions and voxels."""
    float_type: np.dtype | None
    """Type of the voxels as they are stored if they are 32- or 64-bit floats."""
    pixdim_ijk: np.ndarray
    mm_per_unit: float
    sform: np.ndarray | None
    """4x4 in mm, None if the file has none."""
    qform: np.ndarray | None
    """4x4 in mm, None if the file has none; NaN if its quaternion is no rotation."""


def read_whole_nifti(path: Path) -> tuple[NiftiHeader, bytes]:
    """Header and unpacked content of a NIfTI file, known to be whole.

    Raises VolumeError if the file is no NIfTI, is truncated or damaged, has not three axes,
    or has a sform that is no geometry or, without sform, a voxel size that is not above zero.
    """
    is_compressed = path.suffix.lower() == ".gz"
    try:
        with gzip.open(path) if is_compressed else open(path, "rb") as file:
            start = file.read(_SIZES[1])
            header = _parsed(path, start)
            _check_place(path, header)
            possible = path.stat().st_size * (_LARGEST_DEFLATE_RATIO if is_compressed else 1)
            if is_compressed and _UNCHECKED_BYTES < header.bytes_of_file <= possible:
                check_unpacked_size(path, 0, header.bytes_of_file)
            content = b""
            if header.bytes_of_file <= possible:
                content = start + file.read(max(0, header.bytes_of_file - len(start)))
            while is_compressed and file.read(1 << 20):  # to the end, where the checksum is
                pass
    except (OSError, EOFError, zlib.error) as error:
        raise VolumeError(
            f"{path} cannot be read: {error}. Expected a complete NIfTI file. It is "
            "damaged, truncated or of another type; copy or export it again."
        ) from error
    if len(content) < header.bytes_of_file:
        raise VolumeError(
            f"{path} is truncated or damaged: its header promises "
            f"{' x '.join(map(str, header.shape_ijk))} voxels in {header.bytes_of_file} "
            "bytes, but the file ends earlier. Copy or export it again."
        )
    return header, content


def place_of(path: Path, header: NiftiHeader) -> np.ndarray:
    """ijk_to_ras in mm: sform, else qform, else where Slicer puts such a file.

    Warnings report a header without a place, with two different ones, or in another unit than mm.
    """
    if header.mm_per_unit != 1:
        _logger.warning(
            "%s says that its unit is %g mm; converted to millimeters", path, header.mm_per_unit
        )
    if header.sform is not None and header.qform is not None:
        shift_mm = largest_shift_mm(header.shape_ijk[::-1], header.sform, header.qform)
        if not shift_mm <= _SAME_PLACE_VOXELS * min(spacing_ijk_mm_of(header.sform)):
            _logger.warning(
                "%s has two positions that differ by up to %.3g mm: the sform is used, "
                "Slicer may use the qform",
                path,
                shift_mm,
            )
    if header.sform is not None:
        return header.sform
    if header.qform is not None:
        return header.qform
    _logger.warning(
        "%s does not say how it is positioned (no sform, no qform). It is placed as "
        "Slicer does, with its first axis to the left and its second axis to the back; "
        "check left and right",
        path,
    )
    return np.diag([*(header.pixdim_ijk * header.mm_per_unit * (-1, -1, 1)), 1.0])


def _check_place(path: Path, header: NiftiHeader) -> None:
    if header.sform is not None:
        try:
            checked_ijk_to_ras(header.sform)
        except VolumeError as error:
            raise VolumeError(f"{path}: {error}") from error
    elif not (header.pixdim_ijk > 0).all():
        raise VolumeError(
            f"{path} has the voxel size {header.pixdim_ijk.tolist()} and no sform; expected sizes "
            "of more than zero. Repair the voxel size in its header."
        )


def _parsed(path: Path, start: bytes) -> NiftiHeader:
    for version, size in enumerate(_SIZES):
        for order in _BYTE_ORDERS:
            is_this = len(start) >= size and np.frombuffer(start, order + "i4", 1)[0] == size
            offset, magic = _MAGICS[version]
            if is_this and start[offset : offset + len(magic)] == magic:
                return _of_fields(path, _fields(start, version, order), order)
    raise VolumeError(
        f"{path} is not a NIfTI file: its first bytes are not those of a header. It is "
        "damaged or of another type; copy or export it again."
    )


def _fields(start: bytes, version: int, order: _ByteOrder) -> np.void:
    formats = [kinds[version][0] for kinds in _FIELDS.values()]
    offsets = [kinds[version][1] for kinds in _FIELDS.values()]
    dtype = np.dtype({"names": list(_FIELDS), "formats": formats, "offsets": offsets})
    return np.frombuffer(start, dtype.newbyteorder(order), 1)[0]


def _of_fields(path: Path, fields: np.void, order: _ByteOrder) -> NiftiHeader:
    dim = fields["dim"].astype(int).tolist()
    num_axes = dim[0]
    shape = without_trailing_ones(dim[1 : num_axes + 1]) if 1 <= num_axes <= 7 else ()
    if len(shape) != 3:
        raise VolumeError(
            f"{path} has {len(shape)} dimensions ({' x '.join(map(str, shape))}); expected three. "
            "Give one 3-D volume, for instance one time point of a series."
        )
    num_voxels = shape[0] * shape[1] * shape[2]
    offset = fields["vox_offset"]
    if min(shape) < 1 or num_voxels > LARGEST_FILE_VOXELS or not 0 <= offset < 1e9:
        raise VolumeError(
            f"{path} promises {' x '.join(map(str, shape))} voxels from byte {offset:g} on; "
            f"expected 1 to {LARGEST_FILE_VOXELS:.0e}. Its header is damaged; copy or export it "
            "again."
        )
    mm_per_unit = _MM_PER_UNIT.get(int(fields["units"]) & 7, 1.0)
    sform = None
    if fields["sform_code"] > 0:
        sform = np.eye(4)
        sform[:3] = fields["srow"].astype(np.float64) * mm_per_unit
    qform = None
    if fields["qform_code"] > 0:
        qform = _of_quaternion(fields)
        qform[:3] *= mm_per_unit
    float_type = _FLOATS.get(int(fields["datatype"]))
    return NiftiHeader(
        shape_ijk=(shape[0], shape[1], shape[2]),
        bytes_before_voxels=int(offset),
        bytes_of_file=int(offset) + (num_voxels * int(fields["bitpix"]) + 7) // 8,
        float_type=np.dtype(float_type).newbyteorder(order) if float_type else None,
        pixdim_ijk=fields["pixdim"][1:4].astype(np.float64),
        mm_per_unit=mm_per_unit,
        sform=sform,
        qform=qform,
    )


def _of_quaternion(fields: np.void) -> np.ndarray:
    """4x4 of quaternion, voxel sizes and offset, as nifti1.h says under method 2."""
    imaginary = fields["quatern"].astype(np.float64)
    rest = 1 - float(imaginary @ imaginary)
    if rest < -1e-5:
        imaginary = np.full(3, np.nan)  # no rotation
    elif rest < 1e-7:  # half a turn, but for the rounding to 32 bits
        imaginary /= np.linalg.norm(imaginary)
        rest = 0.0
    b, c, d = imaginary
    a = np.sqrt(rest) if rest >= 0 else np.nan
    rotation = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    handedness = -1.0 if fields["pixdim"][0] < 0 else 1.0
    qform = np.eye(4)
    qform[:3, :3] = rotation * fields["pixdim"][1:4] * (1.0, 1.0, handedness)
    qform[:3, 3] = fields["qoffset"]
    return qform
