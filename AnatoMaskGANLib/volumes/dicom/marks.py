"""The marks by which a DICOM series says how it was made: synthetic, edited, or neither.

Synthetic Data (0008,001C) is YES where "some or all" of the content was made artificially (PS3.3,
C.12.1), so for edited scans too; another entry says that those are a real person's data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from AnatoMaskGANLib import __version__

PROGRAM = "AnatoMaskGAN"

# Codes of DICOM's context group 7005, purposes of contributing equipment.
_SYNTHESIZING = ("109100", "Synthesizing Equipment")
_MODIFYING = ("109103", "Modifying Equipment")
_PROCESSING = ("109102", "Processing Equipment")

_LONGEST_DESCRIPTION = 64
_LONGEST_DERIVATION = 1024


@dataclass(frozen=True)
class Marks:
    """Texts and codes for the elements of a series."""

    is_synthetic: bool
    """Whether some or all voxels were made by a program."""
    is_edited: bool
    """Whether it is a scan of which a program made a part."""
    purpose: tuple[str, str]
    """Code and meaning of what this program did, of the coding scheme DCM."""
    series_description: str
    derivation: str
    notice: str


def marks_of(provenance: Mapping[str, str]) -> Marks:
    """The marks of a volume with that provenance."""
    notice = provenance.get("Notice", "For research; not for diagnosis.")
    seed = f" seed {provenance['Seed']}" if "Seed" in provenance else ""
    made_by = f"{provenance.get('Model', '')}{seed}".strip()
    is_edited = "EditedScan" in provenance or "EditedInPlace" in provenance
    if is_edited:
        series, purpose = f"EDITED {PROGRAM} {made_by}", _MODIFYING
        did = f"A scan that {PROGRAM} {__version__} edited as its segmentation was changed."
    elif provenance.get("SyntheticData") == "YES":
        series, purpose = f"SYNTHETIC {PROGRAM} {made_by}", _SYNTHESIZING
        did = f"A synthetic image that {PROGRAM} made of a segmentation with the model {made_by}."
    else:
        series, purpose = f"DERIVED {PROGRAM}", _PROCESSING
        did = f"A volume that {PROGRAM} {__version__} wrote as a series."
    return Marks(
        is_synthetic=is_edited or purpose is _SYNTHESIZING,
        is_edited=is_edited,
        purpose=purpose,
        series_description=series.strip()[:_LONGEST_DESCRIPTION].strip(),
        derivation=f"{did} {notice}"[:_LONGEST_DERIVATION],
        notice=notice,
    )
