"""What an edited scan says of itself: enough to make it again, and that it is a real person's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import numpy as np

from AnatoMaskGANLib import __version__
from AnatoMaskGANLib.editing.settings import EditSettings
from AnatoMaskGANLib.volumes import Volume

METHOD = "moved voxels 2"
"""Changes when the same inputs give other voxels."""

_OF_REAL = (
    "A real scan, edited: outside the edit every voxel is a real person's data, and inside it most "
    "are that person's too. Not a synthetic patient. For research; not for diagnosis."
)
_OF_SYNTHETIC = "A synthetic image, edited. For research; not for diagnosis."


def scan_sha256(scan: Volume) -> str:
    """Hash of voxels, their type, shape and place (to 1e-4 mm)."""
    digest = hashlib.sha256()
    voxels = scan.voxels_kji
    place = np.round(scan.ijk_to_ras, 4) + 0.0  # + 0.0: no negative zero
    digest.update(voxels.dtype.newbyteorder("<").str.encode("ascii"))
    digest.update(np.array(scan.shape_kji, dtype="<i8").tobytes())
    digest.update(place.astype("<f8").tobytes())
    little_endian = voxels.astype(voxels.dtype.newbyteorder("<"), copy=False)
    digest.update(np.ascontiguousarray(little_endian).data)
    return digest.hexdigest()


def edit_record(
    scan: Volume,
    hashes: Mapping[str, str],
    settings: EditSettings,
    counts: Mapping[str, int],
) -> dict[str, str]:
    """The record of an edit, on top of what the scan itself says. hashes: of the scan and both
    label maps, by their keys in the record. counts: how many voxels were made in which way."""
    is_synthetic = scan.provenance.get("SyntheticData") == "YES"
    return {
        **scan.provenance,
        "EditedScan": "YES",
        "EditMethod": METHOD,
        "EditProgram": f"AnatoMaskGAN {__version__}",
        **hashes,
        "EditSettings": json.dumps(settings.record(), sort_keys=True),
        **{f"Voxels{name}": str(count) for name, count in counts.items()},
        "Notice": _OF_SYNTHETIC if is_synthetic else _OF_REAL,
    }
