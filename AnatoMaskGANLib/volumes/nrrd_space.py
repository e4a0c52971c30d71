"""The place of an NRRD file in left-anterior-superior, which SimpleITK before 2.5.6 mirrors.

Those versions turn two axes of it instead of one, without a word. So the two lines of the header
that say the place are read here as well, for this one space.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from AnatoMaskGANLib.volumes.errors import VolumeError
from AnatoMaskGANLib.volumes.text_headers import header_of

_LAS = ("left-anterior-superior", "las")
_RAS_FROM_LAS = np.diag([-1.0, 1.0, 1.0])
_VECTOR = re.compile(r"\(([^()]*)\)")


def place_in_nrrd_space(path: Path, ijk_to_ras: np.ndarray) -> np.ndarray:
    """ijk_to_ras as SimpleITK found it, or as the header says it where that is in LAS.

    Raises VolumeError for a header in LAS whose vectors are no three numbers each.
    """
    header = header_of(path)
    if header.get("space", "").lower() not in _LAS:
        return ijk_to_ras
    directions = _vectors(header.get("space directions", ""))
    origin = _vectors(header.get("space origin", "(0,0,0)"))
    if len(directions) != 3 or len(origin) != 1:
        raise VolumeError(
            f"{path} has the space directions {header.get('space directions', '')[:80]!r} and the "
            f"space origin {header.get('space origin', '')[:40]!r}; expected three vectors and one "
            "vector. Export the file again."
        )
    place = np.eye(4)
    place[:3, :3] = _RAS_FROM_LAS @ np.array(directions).T
    place[:3, 3] = _RAS_FROM_LAS @ origin[0]
    return place


def _vectors(text: str) -> list[np.ndarray]:
    """The vectors of three numbers in a line; "none", of an axis that is no space, is left out."""
    vectors = []
    for match in _VECTOR.findall(text):
        try:
            numbers = [float(number) for number in match.split(",")]
        except ValueError:
            continue
        if len(numbers) == 3:
            vectors.append(np.array(numbers))
    return vectors
