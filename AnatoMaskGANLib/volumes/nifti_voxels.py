"""The voxels of a NIfTI file where nibabel is missing.

ITK opens files by their names, and takes case.nii where case.nii.gz is asked for and both are
there; it also reads NaN as 0, and not every NIfTI-2 file.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from AnatoMaskGANLib.volumes.errors import VolumeError
from AnatoMaskGANLib.volumes.nifti_header import NiftiHeader

# Codes of nifti1.h for numbers that a voxel can be.
_TYPES = {
    **{2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1"},
    **{512: "u2", 768: "u4", 1024: "i8", 1280: "u8"},
}


def voxels_of(path: Path, header: NiftiHeader, content: bytes) -> np.ndarray:
    """[K,J,I], scaled as the header says, in this machine's byte order.

    Raises VolumeError for voxels that are no single numbers, such as colors, and for a
    header that contradicts itself.
    """
    if header.datatype not in _TYPES:
        raise VolumeError(
            f"{path} has voxels of the type {header.datatype} of nifti1.h; expected one of "
            f"{', '.join(map(str, sorted(_TYPES)))} (whole numbers and floats of 8 to 64 bits). "
            "Convert it to one of these, or install the package nibabel."
        )
    dtype = np.dtype(_TYPES[header.datatype]).newbyteorder(header.byte_order)
    num_voxels = int(np.prod(header.shape_ijk, dtype=np.int64))
    if len(content) < header.bytes_before_voxels + num_voxels * dtype.itemsize:
        raise VolumeError(
            f"{path} cannot be read: its voxels of the type {header.datatype} take "
            f"{8 * dtype.itemsize} bits each, and its header says fewer. It is damaged; copy or "
            "export it again."
        )
    stored = np.frombuffer(content, dtype, num_voxels, header.bytes_before_voxels)
    array = stored.reshape(header.shape_ijk[::-1]).astype(dtype.newbyteorder("="))
    slope, inter = header.scale
    return array if (slope, inter) == (1.0, 0.0) else array * np.float64(slope) + inter
