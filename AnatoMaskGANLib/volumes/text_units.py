"""The unit of lengths and the space in headers of NRRD and MetaImage, which ITK passes over."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from AnatoMaskGANLib.volumes.errors import VolumeError
from AnatoMaskGANLib.volumes.text_headers import header_of

_logger = logging.getLogger(__name__)

_MM_PER_UNIT = {
    "m": 1000.0,
    "meter": 1000.0,
    "cm": 10.0,
    "centimeter": 10.0,
    "mm": 1.0,
    "millimeter": 1.0,
    "um": 0.001,
    "\u00b5m": 0.001,  # the micro sign
    "\u03bcm": 0.001,  # the Greek letter
    "micron": 0.001,
    "micrometer": 0.001,
}
# Texts that mean that there is no unit.
_NO_UNIT = ("", "?", "???", "unknown")
_ANATOMICAL_SPACE = re.compile(
    r"((left|right)-(posterior|anterior)-(superior|inferior)|[lr][ap][si])"
)


def mm_per_unit_of(path: Path) -> float:
    """Millimeters in the unit of an NRRD or MetaImage header; 1 for other files and without a unit.

    A warning reports another unit than mm, and an NRRD file that does not say where its axes lead.
    Raises VolumeError for a unit that is no length and for different ones.
    """
    suffix = path.suffix.lower()
    if suffix in (".nrrd", ".nhdr"):
        header = header_of(path)
        space = header.get("space", "").lower()
        if not _ANATOMICAL_SPACE.match(space):
            _logger.warning(
                "%s does not say how it is positioned (%s). It is placed as ITK does, "
                "with its axes to the left, back and top of the patient; check left and "
                "right",
                path,
                f"space: {space}" if space else "no space",
            )
        # Where the header names no space, each axis has its own unit.
        has_space = space or "space dimension" in header
        text = header.get("space units" if has_space else "units", "")
        names = re.findall(r'"([^"]*)"', text)
    elif suffix in (".mha", ".mhd"):
        names = [header_of(path).get("distanceunits", "")]
    else:
        return 1.0
    lengths = {length for length in map(_mm_of, names) if length is not None}
    if len(lengths) > 1 or 0.0 in lengths:
        raise VolumeError(
            f"{path} gives its lengths in {', '.join(names)}; expected a single unit: m, "
            "cm, mm or um. Convert them to mm, or correct the header."
        )
    mm_per_unit = lengths.pop() if lengths else 1.0
    if mm_per_unit != 1:
        _logger.warning(
            "%s says that its unit is %g mm; converted to millimeters", path, mm_per_unit
        )
    return mm_per_unit


def _mm_of(name: str) -> float | None:
    """Millimeters in a unit; 0 for one that is no length, None for no unit."""
    plain = name.strip().lower().replace("metre", "meter")
    if plain in _NO_UNIT:
        return None
    return _MM_PER_UNIT.get(plain, _MM_PER_UNIT.get(plain.removesuffix("s"), 0.0))
