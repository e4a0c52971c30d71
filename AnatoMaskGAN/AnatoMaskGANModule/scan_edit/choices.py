"""What a script or the panel chooses for an edit of a scan, in the words of the command line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from AnatoMaskGANLib.editing import EditWords


@dataclass(frozen=True)
class ScanEditChoices:
    """How `AnatoMaskGANLogic.editScan` edits a scan, as `anatomaskgan edit` takes it."""

    changes: Sequence[str] = ()
    """Edits in words, done on the segments one after the other, such as "grow liver by 5 mm"; the
    segmentation itself stays as it is. Numbers with slashes between them make a series."""
    looks: Mapping[str, str] = field(default_factory=dict)
    """Name of a new segment -> what it looks like: like:NAME, MEAN, MEAN,SD, fluid, fat,
    soft-tissue, calcification, contrast-enhanced or keep, with a rim if it has one."""
    fills: Mapping[str, str] = field(default_factory=dict)
    """Name of a removed segment -> what fills its place: one of these, or around."""
    fixed: Sequence[str] = ()
    """Names of segments that do not yield to `changes`, such as bones."""
    modality: str | None = None
    """Kind of scan for the looks that are named after a tissue: ct, t1 or t2; None: CT is
    recognized."""
    reachMm: float | None = None
    """How far from a changed segment voxels may move; None: by the voxels and the edit."""
    areDefaultsTaken: bool = False
    """Whether a new segment without a look is taken for soft tissue, and an unknown kind of scan
    for T1, instead of refusing them."""

    @classmethod
    def of(cls, named: Mapping[str, Any]) -> ScanEditChoices:
        """The choices of these names; TypeError for a name that is none, with the closest ones."""
        from AnatoMaskGANLib.synthesis.options import closest_names

        own = [one.name for one in fields(cls)]
        for name in named:
            if name not in own:
                names = closest_names(name, own)
                raise TypeError(f"There is no choice {name!r}; expected {names}.")
        return cls(**named)

    def to_json(self) -> str:
        """What a provenance needs to find the edited label map again."""
        return json.dumps({"changes": list(self.changes), "fixed": list(self.fixed)})

    def words(self) -> EditWords:
        """The looks and fills, as the core takes them."""
        from AnatoMaskGANLib.editing import EditWords

        return EditWords(
            dict(self.looks), dict(self.fills), self.modality, self.reachMm, self.areDefaultsTaken
        )
