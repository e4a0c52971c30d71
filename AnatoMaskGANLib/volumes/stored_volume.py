"""The content of a file, before it is known to be a label map or a volume."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from AnatoMaskGANLib.volumes.volume import Volume


@dataclass(frozen=True, eq=False)
class StoredVolume:
    """Array, place and notes of a file, between the readers of file types and the containers."""

    array: np.ndarray
    """[K,J,I], or [K,J,I,layers] from a Slicer segmentation with layers."""
    ijk_to_ras: np.ndarray
    """4x4, voxel index to RAS in mm, unchecked."""
    record: Mapping[str, Any] = field(default_factory=dict)
    """What this project noted: names, codes, window, unit, provenance."""
    header: Mapping[str, str] = field(default_factory=dict)
    """Other keys and values of the header."""
    is_segmentation: bool = False
    """Whether the file is of a kind that holds labels and never intensities."""


RECORD_KEY = "AnatoMaskGAN"
"""The name under which the record stands in file headers, as JSON."""

SCALING_KEY = "scaling in the header"
"""The entry that says how stored numbers became values, in a header that scales them."""

# More voxels than any scan has: the header of a damaged or hostile file.
LARGEST_FILE_VOXELS = 2_000_000_000


def record_of(volume: Volume) -> dict[str, Any]:
    """What a file notes of a volume besides voxels and place: provenance, unit and window."""
    record: dict[str, Any] = {"provenance": dict(volume.provenance), "unit": volume.unit}
    if volume.window is not None:
        record["window"] = list(volume.window)
    return {key: entry for key, entry in record.items() if entry}
