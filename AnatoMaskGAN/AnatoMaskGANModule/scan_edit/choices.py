"""Choices of a script or the panel for an edit of a scan, in the words of the command line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from AnatoMaskGANLib.editing import EditWords


@dataclass(frozen=True)
class ScanEditChoices:
    """How `AnatoMaskGANLogic.editScan` edits a scan. The choices are those of `anatomaskgan
    edit`."""

    changes: Sequence[str] = ()
    """Edits in words, such as "grow liver by 5 mm". They are done on the segments one after the
    other, and the segmentation itself stays as it is. Numbers with slashes between them make a
    series."""
    looks: Mapping[str, str] = field(default_factory=dict)
    """The look of each new segment by its name: like:NAME, MEAN, MEAN,SD, fluid, fat, soft-tissue,
    calcification, contrast-enhanced or keep, with a rim if it has one."""
    fills: Mapping[str, str] = field(default_factory=dict)
    """What fills the place of each removed segment, by its name: one of these looks, or around."""
    fixed: Sequence[str] = ()
    """Names of segments that do not yield to `changes`, such as bones."""
    modality: str | None = None
    """Kind of scan for the looks that are named after a tissue: ct, t1 or t2. With None, CT is
    recognized."""
    reachMm: float | None = None
    """How far from a changed segment voxels may move. None derives it from the voxels and the
    edit."""
    areDefaultsTaken: bool = False
    """Whether a new segment without a look is taken for soft tissue, and an unknown kind of scan
    for T1. Otherwise both are refused."""

    @classmethod
    def of(cls, named: Mapping[str, Any]) -> ScanEditChoices:
        """Gives the choices of these names. Raises TypeError for an unknown name and lists the
        closest ones."""
        from AnatoMaskGANLib.synthesis.options import closest_names

        own = [one.name for one in fields(cls)]
        for name in named:
            if name not in own:
                names = closest_names(name, own)
                raise TypeError(f"There is no choice {name!r}; expected {names}.")
        return cls(**named)

    def to_json(self) -> str:
        """Gives what a provenance needs to find the edited label map again."""
        return json.dumps({"changes": list(self.changes), "fixed": list(self.fixed)})

    def words(self) -> EditWords:
        """Gives the looks and fills as the core takes them."""
        from AnatoMaskGANLib.editing import EditWords

        return EditWords(
            dict(self.looks), dict(self.fills), self.modality, self.reachMm, self.areDefaultsTaken
        )
