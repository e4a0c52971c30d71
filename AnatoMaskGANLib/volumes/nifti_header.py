"""Reads what must be known about a NIfTI file before any library reads it.

Libraries repair in silence: ITK gives zeros for the missing end of a truncated file, nibabel and
ITK put 1 mm for a voxel size of zero, and where sform and qform say two places they differ in the
one they take. So the few header fields that decide this are read here, once, for both.
"""

from __future__ import annotations

import gzip
import logging
import struct
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from AnatoMaskGANLib.volumes.errors import VolumeError
from AnatoMaskGANLib.volumes.geometry import (
    checked_ijk_to_ras,
    largest_shift_mm,
    spacing_ijk_mm_of,
    without_rounding_shear,
    without_trailing_ones,
)
from AnatoMaskGANLib.volumes.packed_size import check_unpacked_size
from AnatoMaskGANLib.volumes.stored_volume import LARGEST_FILE_VOXELS

_logger = logging.getLogger(__name__)

# A deflate stream cannot shrink its input by more than this factor.
_LARGEST_DEFLATE_RATIO = 1032

# Programs that compute with 32 bits write quaternions longer than one; they are brought to length
# one, as by ITK. Beyond this they are no rounding.
_LARGEST_QUATERNION_EXCESS = 1e-3

# The most bytes that are unpacked before it is known whether the file holds what its header
# promises.
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
    "scl_slope": (("f4", 112), ("f8", 176)),
    "scl_inter": (("f4", 116), ("f8", 184)),
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
# A header whose voxels lie in a file of their own, .img.
_PAIR_MAGICS = ((344, b"ni1\0"), (4, b"ni2\0\r\n\x1a\n"))
# The least bytes before the voxels: the header and the four bytes that announce extensions.
_FIRST_VOXEL = (352, 544)
_VOX_OFFSET = (("f", 108), ("q", 168))
_CODES = ((("h", 252), ("h", 254)), (("i", 344), ("i", 348)))
_MM_PER_UNIT = {1: 1000.0, 2: 1.0, 3: 0.001}


@dataclass(frozen=True, eq=False)
class NiftiHeader:
    """The fields of a header that decide size and place."""

    shape_ijk: tuple[int, int, int]
    bytes_before_voxels: int
    bytes_of_file: int
    """Unpacked: header, extensions and voxels; of a pair the voxels only."""
    is_pair: bool
    """Whether the voxels lie in a file of their own."""
    version: int
    """1 or 2."""
    byte_order: _ByteOrder
    datatype: int
    """The code of nifti1.h for the type of the voxels as they are stored."""
    scale: tuple[float, float]
    """Slope and intercept by which stored numbers become values; (1, 0) if the file has none."""
    pixdim_ijk: np.ndarray
    mm_per_unit: float
    sform: np.ndarray | None
    """4x4 in mm, None if the file has none."""
    qform: np.ndarray | None
    """4x4 in mm, None if the file has none; NaN if its quaternion is no rotation."""


def read_whole_nifti(path: Path) -> tuple[NiftiHeader, bytes]:
    """Header and unpacked content of a NIfTI file, known to be whole.

    The content of a pair (.hdr and .img) is that of one file: header, then voxels. Whether a file
    is packed is seen in the file: some are not, in spite of a name that ends in .gz.
    Raises VolumeError if the file is no NIfTI, is truncated or damaged, has not three axes,
    or has a sform that is no geometry or, without sform, a voxel size that is not above zero.
    """
    header_file = _other_half(path, "img", "hdr") if _is_half(path, "img") else path
    start = _unpacked(header_file, _SIZES[1], is_all=False)
    header = _parsed(path, start)
    _check_place(path, header)
    if not header.is_pair:
        content = _unpacked(path, header.bytes_of_file, is_all=True)
    else:
        size = _SIZES[header.version - 1]
        voxels = _unpacked(_other_half(path, "hdr", "img"), header.bytes_of_file, is_all=True)
        first = _FIRST_VOXEL[header.version - 1]
        stored = len(voxels) - header.bytes_before_voxels
        content = start[:size].ljust(first, b"\0") + voxels[header.bytes_before_voxels :]
        header = replace(
            header, bytes_before_voxels=first, bytes_of_file=len(content) - stored + _needed(header)
        )
    if len(content) < header.bytes_of_file:
        raise VolumeError(
            f"{path} is truncated or damaged: its header promises "
            f"{' x '.join(map(str, header.shape_ijk))} voxels in {header.bytes_of_file} "
            "bytes, but the file ends earlier. Copy or export it again."
        )
    return header, content


def voxel_file_of(path: Path) -> list[Path]:
    """The file with the voxels of a header that is one half of a pair; none for other files."""
    if not _is_half(path, "hdr"):
        return []
    try:
        return [_other_half(path, "hdr", "img")]
    except VolumeError:  # the reader says what is wrong when the file's turn comes
        return []


def as_single_file(header: NiftiHeader, content: bytes) -> bytes:
    """The content with the header of one NIfTI file that says no place, for a library that would
    stop at a place that this module mends: voxels begin where `header` says."""
    mended = bytearray(content)
    version, order = header.version - 1, header.byte_order
    offset, magic = _MAGICS[version]
    mended[offset : offset + len(magic)] = magic
    kind, place = _VOX_OFFSET[version]
    struct.pack_into(order + kind, mended, place, header.bytes_before_voxels)
    for kind, place in _CODES[version]:
        struct.pack_into(order + kind, mended, place, 0)
    return bytes(mended)


def _needed(header: NiftiHeader) -> int:
    return header.bytes_of_file - header.bytes_before_voxels


def _unpacked(path: Path, num_bytes: int, is_all: bool) -> bytes:
    """The first bytes of a file, up to the given number.

    is_all: read on to the end of packed data, where the checksum is.
    """
    try:
        with open(path, "rb") as file:
            is_packed = file.read(2) == b"\x1f\x8b"
        if is_all:
            _tell_of_wrong_name(path, is_packed)
        with gzip.open(path) if is_packed else open(path, "rb") as file:
            possible = path.stat().st_size * (_LARGEST_DEFLATE_RATIO if is_packed else 1)
            if is_all and is_packed and _UNCHECKED_BYTES < num_bytes <= possible:
                check_unpacked_size(path, 0, num_bytes)
            content = file.read(num_bytes) if not is_all or num_bytes <= possible else b""
            while is_all and is_packed and file.read(1 << 20):
                pass
    except (OSError, EOFError, zlib.error) as error:
        raise VolumeError(
            f"{path} cannot be read: {error}. Expected a complete NIfTI file. It is "
            "damaged, truncated or of another type; copy or export it again."
        ) from error
    return content


def _tell_of_wrong_name(path: Path, is_packed: bool) -> None:
    has_gz = path.suffix.lower() == ".gz"
    if has_gz != is_packed:
        _logger.warning(
            "%s is %s in spite of its name; read by its content. Other programs may refuse it: "
            "rename it",
            path,
            "packed with gzip" if is_packed else "not packed with gzip",
        )


def _is_half(path: Path, ending: str) -> bool:
    return path.name.lower().endswith((f".{ending}", f".{ending}.gz"))


def _other_half(path: Path, ending: str, other: str) -> Path:
    """The file with the voxels of a header, or the header of a file of voxels.

    Raises VolumeError if it is not there.
    """
    stem = path.name.lower().removesuffix(".gz").removesuffix(f".{ending}")
    stem = path.name[: len(stem)]
    for name in (f"{stem}.{other}", f"{stem}.{other}.gz"):
        for spelling in (name, name.upper(), stem + name[len(stem) :].upper()):
            if (path.parent / spelling).is_file():
                return path.parent / spelling
    if _is_half(path, other):
        return path
    raise VolumeError(
        f"{path} is one half of a pair, and {stem}.{other} is not in the same folder; "
        "expected both. Put the two files into one folder."
    )


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
            place, _ = without_rounding_shear(header.shape_ijk[::-1], header.sform)
            checked_ijk_to_ras(place)
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
            if not is_this:
                continue
            fields = _fields(start, version, order)
            for (offset, magic), is_pair in (
                (_MAGICS[version], False),
                (_PAIR_MAGICS[version], True),
            ):
                if start[offset : offset + len(magic)] == magic:
                    return _of_fields(path, fields, _Layout(version + 1, order, is_pair))
            if version == 0 and _is_half(path, "hdr") or _is_half(path, "img"):
                return _of_analyze(path, fields, order)
    raise VolumeError(
        f"{path} is not a NIfTI file: its first bytes are not those of a header. It is "
        "damaged or of another type; copy or export it again."
    )


@dataclass(frozen=True)
class _Layout:
    """The version and the byte order of a header, and whether the file is a pair."""

    version: int
    byte_order: _ByteOrder
    is_pair: bool


def _of_analyze(path: Path, fields: np.void, order: _ByteOrder) -> NiftiHeader:
    """The header of an Analyze 7.5 pair, whose fields lie where NIfTI-1 has them and which says no
    place; a factor is where SPM puts one."""
    own = fields.copy()
    for name in ("qform_code", "sform_code", "scl_inter", "units"):
        own[name] = 0
    own["pixdim"][1:4] = np.abs(own["pixdim"][1:4])
    return _of_fields(path, own, _Layout(1, order, True))


def _fields(start: bytes, version: int, order: _ByteOrder) -> np.void:
    formats = [kinds[version][0] for kinds in _FIELDS.values()]
    offsets = [kinds[version][1] for kinds in _FIELDS.values()]
    dtype = np.dtype({"names": list(_FIELDS), "formats": formats, "offsets": offsets})
    return np.frombuffer(start, dtype.newbyteorder(order), 1)[0]


def _of_fields(path: Path, fields: np.void, layout: _Layout) -> NiftiHeader:
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
    if not layout.is_pair and 0 <= offset < _FIRST_VOXEL[layout.version - 1]:
        # some programs leave it at 0 and mean the first place that there can be
        offset = _FIRST_VOXEL[layout.version - 1]
    if min(shape) < 1 or num_voxels > LARGEST_FILE_VOXELS or not 0 <= offset < 1e9:
        raise VolumeError(
            f"{path} promises {' x '.join(map(str, shape))} voxels from byte {offset:g} on; "
            f"expected 1 to {LARGEST_FILE_VOXELS:.0e}. Its header is damaged; copy or export it "
            "again."
        )
    mm_per_unit = _MM_PER_UNIT.get(int(fields["units"]) & 7, 1.0)
    sform = None
    if fields["sform_code"] > 0 and not (fields["srow"][:, :3] == 0).all():
        sform = np.eye(4)
        sform[:3] = fields["srow"].astype(np.float64) * mm_per_unit
    elif fields["sform_code"] > 0:
        _logger.warning("%s has an sform that contains only zeros; it is ignored", path)
    qform = None
    if fields["qform_code"] > 0:
        qform = _of_quaternion(fields)
        qform[:3] *= mm_per_unit
    slope, inter = float(fields["scl_slope"]), float(fields["scl_inter"])
    has_scale = np.isfinite(slope) and np.isfinite(inter) and slope != 0
    return NiftiHeader(
        shape_ijk=(shape[0], shape[1], shape[2]),
        bytes_before_voxels=int(offset),
        bytes_of_file=int(offset) + (num_voxels * int(fields["bitpix"]) + 7) // 8,
        is_pair=layout.is_pair,
        version=layout.version,
        byte_order=layout.byte_order,
        datatype=int(fields["datatype"]),
        scale=(slope, inter) if has_scale else (1.0, 0.0),
        pixdim_ijk=fields["pixdim"][1:4].astype(np.float64),
        mm_per_unit=mm_per_unit,
        sform=sform,
        qform=qform,
    )


def _of_quaternion(fields: np.void) -> np.ndarray:
    """4x4 of quaternion, voxel sizes and offset, as nifti1.h says under method 2."""
    imaginary = fields["quatern"].astype(np.float64)
    rest = 1 - float(imaginary @ imaginary)
    if rest < -_LARGEST_QUATERNION_EXCESS:
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
