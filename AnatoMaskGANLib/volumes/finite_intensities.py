"""Scans that have a number in every voxel, as networks and figures need them."""

from __future__ import annotations

import numpy as np

from AnatoMaskGANLib.volumes.errors import VolumeError
from AnatoMaskGANLib.volumes.volume import Volume


def refuse_non_finite(volume: Volume, what: str) -> Volume:
    """The volume itself. Raises VolumeError if voxels are NaN or infinite; what: how the message
    calls the volume."""
    voxels = volume.voxels_kji
    if voxels.dtype.kind == "f":
        num_wrong = voxels.size - int(np.count_nonzero(np.isfinite(voxels)))
        if num_wrong:
            raise VolumeError(
                f"{what} has {num_wrong} of {voxels.size} voxels whose values are NaN or "
                "infinite; expected a finite intensity in every voxel. Replace these "
                "values first."
            )
    return volume
