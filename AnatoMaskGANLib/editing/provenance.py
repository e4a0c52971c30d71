"""The provenance of an edited scan: how to make it again, and that it shows a real person."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import numpy as np

from AnatoMaskGANLib import __version__
from AnatoMaskGANLib.editing.settings import EditSettings
from AnatoMaskGANLib.volumes import Volume

METHOD = "moved voxels 2"
"""The name of the method. It changes when the same inputs give other voxels."""

_OF_REAL = (
    "A real scan, edited: outside the edit every voxel is a real person's data, and inside it most "
    "are that person's too. Not a synthetic patient. For research; not for diagnosis."
)
_OF_SYNTHETIC = "A synthetic image, edited. For research; not for diagnosis."


def scan_sha256(scan: Volume) -> str:
    """Gives the hash of the voxels, their type, shape and place (to 1e-4 mm)."""
    digest = hashlib.sha256()
    voxels = scan.voxels_kji
    place = np.round(scan.ijk_to_ras, 4) + 0.0  # adding 0.0 turns negative zeros into zeros
    digest.update(voxels.dtype.newbyteorder("<").str.encode("ascii"))
    digest.update(np.array(scan.shape_kji, dtype="<i8").tobytes())
    digest.update(place.astype("<f8").tobytes())
    little_endian = voxels.astype(voxels.dtype.newbyteorder("<"), copy=False)
    digest.update(np.ascontiguousarray(little_endian).data)
    return digest.hexdigest()


def edit_provenance(
    scan: Volume,
    hashes: Mapping[str, str],
    settings: EditSettings,
    counts: Mapping[str, int],
) -> dict[str, str]:
    """Gives the provenance of an edit, in addition to the scan's own.

    hashes are those of the scan and both label maps, by their keys in the provenance. counts are
    the numbers of voxels that were made in each way.
    """
    is_synthetic = scan.provenance.get("SyntheticData") == "YES"
    return {
        **scan.provenance,
        "EditedScan": "YES",
        "EditMethod": METHOD,
        "EditProgram": f"AnatoMaskGAN {__version__}",
        **hashes,
        "EditSettings": json.dumps(settings.to_dict(), sort_keys=True),
        **{f"Voxels{name}": str(count) for name, count in counts.items()},
        "Notice": _OF_SYNTHETIC if is_synthetic else _OF_REAL,
    }
