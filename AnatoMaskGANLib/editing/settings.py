"""How an edited label map changes its scan."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from AnatoMaskGANLib.editing.errors import EditError
from AnatoMaskGANLib.editing.looks import AROUND, Look

DEFAULT_REACH_VOXELS = 12.0
"""The reach of an edit where none is given, in shortest edges of the label map's voxels."""


@dataclass(frozen=True)
class FieldSettings:
    """How label maps are registered; lengths in cells of the grid at hand."""

    iterations: tuple[int, ...] = (10, 10, 20, 20, 15)
    """Of the five grids from coarse to fine; a small box starts at a later one."""
    most_cells: int = 1_500_000
    """Of the finest grid: a larger box gets a coarser one."""
    step_smoothing: float = 2.0
    """Standard deviation of the Gaussian on each step."""
    field_smoothing: float = 0.9
    """Standard deviation of the Gaussian on the field after each step."""
    code_smoothing: float = 0.7
    """Standard deviation of the Gaussian on the labels' codes."""


@dataclass(frozen=True)
class EditSettings:
    """What cannot be known from the two label maps, and how far an edit reaches."""

    looks: Mapping[int, Look] = field(default_factory=dict)
    """Label that the old map has nowhere, to what it looks like."""
    fills: Mapping[int, Look] = field(default_factory=dict)
    """Label of a structure that went, to what takes its place; others are filled as `AROUND`."""
    cut_labels: frozenset[int] = frozenset()
    """Labels whose lost voxels are cut away and filled; of others the border is drawn in."""
    reach_mm: float | None = None
    """How far from a changed label voxels may move; None: 12 voxels, or twice as far as contents
    move, whichever is more."""
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
        """What takes the place of a structure."""
        return self.fills.get(label, AROUND)

    def record(self) -> dict[str, object]:
        """All settings in plain values, for a provenance record."""
        return {
            "looks": {str(label): asdict(look) for label, look in sorted(self.looks.items())},
            "fills": {str(label): asdict(look) for label, look in sorted(self.fills.items())},
            "cut_labels": sorted(self.cut_labels),
            "reach_mm": self.reach_mm,
            "field": asdict(self.field),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> EditSettings:
        """The settings of a provenance record."""
        values = dict(record)
        for name in ("looks", "fills"):
            looks = values[name]
            values[name] = {int(label): _look_of(look) for label, look in looks.items()}
        field_record = dict(values["field"])
        field_record["iterations"] = tuple(field_record["iterations"])
        values["field"] = FieldSettings(**field_record)
        values["cut_labels"] = frozenset(values["cut_labels"])
        return cls(**values)


def _look_of(record: Mapping[str, Any]) -> Look:
    rim = record["rim"]
    return Look(**{**record, "rim": None if rim is None else _look_of(rim)})
