"""Settings of how a scan follows its edited label map."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from AnatoMaskGANLib.editing.errors import EditError
from AnatoMaskGANLib.editing.looks import AROUND, Look

DEFAULT_REACH_VOXELS = 12.0
"""The reach of an edit if none is given, in shortest edges of the label map's voxels."""


@dataclass(frozen=True)
class FieldSettings:
    """How label maps are registered. Lengths are in cells of the present grid."""

    iterations: tuple[int, ...] = (10, 10, 20, 20, 15)
    """Number of iterations on the five grids, from coarse to fine. A small box starts at a later
    grid."""
    most_cells: int = 1_500_000
    """Most cells of the finest grid. A larger box gets a coarser grid."""
    step_smoothing: float = 2.0
    """Standard deviation of the Gaussian on each step."""
    field_smoothing: float = 0.9
    """Standard deviation of the Gaussian on the field after each step."""
    code_smoothing: float = 0.7
    """Standard deviation of the Gaussian on the labels' codes."""


@dataclass(frozen=True)
class EditSettings:
    """The settings that cannot be derived from the two label maps, and the reach of an edit."""

    looks: Mapping[int, Look] = field(default_factory=dict)
    """The look of each label that the old map does not have anywhere."""
    fills: Mapping[int, Look] = field(default_factory=dict)
    """What takes the place of each removed label. Other removed labels are filled as `AROUND`."""
    cut_labels: frozenset[int] = frozenset()
    """Labels whose lost voxels are cut away and filled. The borders of other labels are drawn
    in."""
    reach_mm: float | None = None
    """How far from a changed label voxels may move. None means 12 voxels, or twice as far as
    contents move, whichever is more."""
    field: FieldSettings = FieldSettings()
    """How the maps are registered."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "looks", dict(self.looks))
        object.__setattr__(self, "fills", dict(self.fills))
        object.__setattr__(self, "cut_labels", frozenset(self.cut_labels))
        for label, look in self.looks.items():
            if look.kind == "around":
                raise EditError(
                    f"The look of label {label} is 'around', which is only for filling "
                    "holes; expected mean and standard deviation, a tissue, like another "
                    "label, or keep."
                )
        if self.reach_mm is not None and not 0 < self.reach_mm < math.inf:
            raise EditError(
                f"The reach is {self.reach_mm} mm; expected more than 0, or none to "
                "derive it from the voxels and the edit."
            )

    def fill_of(self, label: int) -> Look:
        """Gives what takes the place of a removed structure."""
        return self.fills.get(label, AROUND)

    def to_dict(self) -> dict[str, object]:
        """Gives all settings as plain values, for a provenance."""
        return {
            "looks": {str(label): asdict(look) for label, look in sorted(self.looks.items())},
            "fills": {str(label): asdict(look) for label, look in sorted(self.fills.items())},
            "cut_labels": sorted(self.cut_labels),
            "reach_mm": self.reach_mm,
            "field": asdict(self.field),
        }

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> EditSettings:
        """Gives the settings that a provenance holds."""
        values = dict(given)
        for name in ("looks", "fills"):
            looks = values[name]
            values[name] = {int(label): _look_of(look) for label, look in looks.items()}
        field_record = dict(values["field"])
        field_record["iterations"] = tuple(field_record["iterations"])
        values["field"] = FieldSettings(**field_record)
        values["cut_labels"] = frozenset(values["cut_labels"])
        return cls(**values)


def _look_of(values: Mapping[str, Any]) -> Look:
    rim = values["rim"]
    return Look(**{**values, "rim": None if rim is None else _look_of(rim)})
