"""Looks of structures that the scan does not have, and fills for structures that were removed.

Looks are written in words, as on the command line: `like:5` or `like:liver`, `120,15` (mean and
standard deviation), `120` (mean, with the scan's own grain), `around` (like what is around it),
`keep` (the voxels stay, because labels were only split, merged or renamed) and the tissues of
`TISSUES`. A rim of its own comes after a semicolon with its thickness in mm: `fluid;rim 3
contrast-enhanced`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from AnatoMaskGANLib.editing.errors import EditError
from AnatoMaskGANLib.volumes import Volume

KINDS = ("like", "value", "around", "keep")
TISSUES = ("fluid", "fat", "soft-tissue", "calcification", "contrast-enhanced")
"""Looks that are named after a tissue, in CT and MR."""
MODALITIES = ("ct", "t1", "t2")

# CT values are in Hounsfield units: the mean, and the standard deviation of the tissue in addition
# to the scan's grain.
_HU: Mapping[str, tuple[float, float]] = {
    "fluid": (8.0, 0.0),
    "fat": (-100.0, 10.0),
    "soft-tissue": (45.0, 8.0),
    "calcification": (400.0, 80.0),
    "contrast-enhanced": (160.0, 15.0),
}
# MR has no units. A tissue has the level that its brightness refers to, a factor on that level, and
# its own standard deviation divided by its mean. The level "middle" is the brightness that half of
# the tissue exceeds; one in fifty voxels exceeds "bright".
_MR: Mapping[str, Mapping[str, tuple[str, float, float]]] = {
    "t1": {
        "fluid": ("middle", 0.35, 0.0),
        "fat": ("bright", 1.0, 0.05),
        "soft-tissue": ("middle", 1.0, 0.05),
        "calcification": ("middle", 0.15, 0.1),
        "contrast-enhanced": ("bright", 1.1, 0.08),
    },
    "t2": {
        "fluid": ("bright", 1.2, 0.0),
        "fat": ("bright", 0.8, 0.05),
        "soft-tissue": ("middle", 0.8, 0.05),
        "calcification": ("middle", 0.15, 0.1),
        "contrast-enhanced": ("middle", 1.0, 0.08),
    },
}
_LOWEST_CT = -500  # a scan of integers with lower values is a CT in Hounsfield units
_EVERY = 4  # the brightness of an MR scan is measured at every fourth voxel along each axis


@dataclass(frozen=True)
class Look:
    """What voxels look like: other voxels of the scan, or a mean and standard deviation."""

    kind: str
    """"like": the voxels of a label; "value": a mean and standard deviation; "around": what is
    around the voxels; "keep": the voxels stay as they are."""
    label: int = 0
    """The label of "like"."""
    mean: float = 0.0
    """The mean of "value", in the intensities of the scan."""
    standard_deviation: float | None = None
    """The standard deviation of "value" over its voxels. None: that of the scan's own grain
    nearby."""
    rim: Look | None = None
    """The outer layer, if it looks different."""
    rim_mm: float = 0.0
    """Thickness of the rim."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise EditError(f"A look is of the kind {self.kind!r}; expected {', '.join(KINDS)}.")
        if not math.isfinite(self.mean):
            raise EditError(f"A look has the mean {self.mean}; expected a finite intensity.")
        if self.standard_deviation is not None and not 0 <= self.standard_deviation < math.inf:
            raise EditError(
                f"A look has the standard deviation {self.standard_deviation}; expected 0 or more, "
                "or none to use the noise of the scan itself."
            )
        if self.rim is not None and not 0 < self.rim_mm < math.inf:
            raise EditError(
                f"A rim is {self.rim_mm} mm thick; expected more than 0. Give its thickness in mm."
            )

    @property
    def labels(self) -> frozenset[int]:
        """Gives the labels that the scan must have for this look."""
        own = frozenset({self.label}) if self.kind == "like" else frozenset()
        return own | self.rim.labels if self.rim is not None else own


AROUND = Look("around")
KEEP = Look("keep")


def look_from_text(
    text: str, scan: Volume, names: Mapping[int, str], modality: str | None = None
) -> Look:
    """Gives the look that is described in words, see above. names are those of the labels, for
    `like:`. modality is one of `MODALITIES`, for tissues; with None, a scan is CT if it says so or
    has the range of CT.

    Raises EditError for words that describe no look.
    """
    core, _, rest = text.partition(";")
    look = _plain_look(core.strip(), scan, names, modality)
    if not rest.strip():
        return look
    words = rest.split(maxsplit=2)
    thickness = _number(words[1]) if len(words) == 3 and words[0] == "rim" else None
    if thickness is None:
        raise EditError(
            f"The rim of a look is {rest.strip()!r}; expected rim, its thickness in mm and a look, "
            "such as: rim 3 contrast-enhanced."
        )
    rim = _plain_look(words[2].strip(), scan, names, modality)
    return Look(look.kind, look.label, look.mean, look.standard_deviation, rim, thickness)


def tissue_look(tissue: str, scan: Volume, modality: str | None = None) -> Look:
    """Gives the look of one of `TISSUES` in this scan. Raises EditError for an unknown tissue or
    modality, and if the modality has to be given."""
    if tissue not in TISSUES:
        raise EditError(f"The tissue is {tissue!r}; expected one of {', '.join(TISSUES)}.")
    modality = modality or modality_of(scan)
    if modality is None:
        raise EditError(
            f"How {tissue} looks depends on the kind of scan, which is not known for this "
            f"scan; expected one of {', '.join(MODALITIES)}. Give the modality, or mean "
            "and standard deviation."
        )
    if modality not in MODALITIES:
        raise EditError(f"The modality is {modality!r}; expected one of {', '.join(MODALITIES)}.")
    if modality == "ct":
        mean, own = _HU[tissue]
        return Look("value", mean=mean, standard_deviation=own or None)
    level, factor, fraction = _MR[modality][tissue]
    mean = factor * _brightness(scan, level)
    return Look("value", mean=mean, standard_deviation=fraction * mean or None)


def modality_of(scan: Volume) -> str | None:
    """Gives "ct" if the scan says so or has the range of values of CT, else None. MR weightings
    cannot be recognized from the voxels alone."""
    if scan.unit == "HU" or float(scan.voxels_kji[_sparse()].min()) < _LOWEST_CT:
        return "ct"
    return None


def _plain_look(text: str, scan: Volume, names: Mapping[int, str], modality: str | None) -> Look:
    if text in ("around", "keep"):
        return Look(text)
    if text in TISSUES:
        return tissue_look(text, scan, modality)
    if text.startswith("like:"):
        return Look("like", label=_label_of(text[len("like:") :].strip(), names))
    mean, comma, standard_deviation = text.partition(",")
    numbers = [_number(mean), _number(standard_deviation) if comma else None]
    if numbers[0] is None or (comma and numbers[1] is None):
        raise EditError(
            f"The look is {text!r}; expected like:LABEL, MEAN, MEAN,DEVIATION, around, keep, or a "
            f"tissue ({', '.join(TISSUES)})."
        )
    return Look("value", mean=numbers[0], standard_deviation=numbers[1])


def _label_of(text: str, names: Mapping[int, str]) -> int:
    if text.isdecimal():
        return int(text)
    found = [value for value, name in names.items() if name.casefold() == text.casefold()]
    if len(found) != 1:
        known = ", ".join(sorted(names.values())[:20]) or "none"
        raise EditError(
            f"{len(found)} labels have the name {text!r}; expected one. Give its value, or one of "
            f"these names: {known}."
        )
    return found[0]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _brightness(scan: Volume, level: str) -> float:
    """Gives the brightness that half ("middle") or one in fifty ("bright") of the voxels above the
    mean exceed."""
    values = scan.voxels_kji[_sparse()].astype(np.float64)
    values = values[values > values.mean()]
    if values.size == 0:
        raise EditError(
            "The scan has the same intensity everywhere, so it does not show how bright a "
            "tissue is. Give mean and standard deviation."
        )
    return float(np.percentile(values, {"middle": 50, "bright": 98}[level]))


def _sparse() -> tuple[slice, ...]:
    return (slice(None, None, _EVERY),) * 3
