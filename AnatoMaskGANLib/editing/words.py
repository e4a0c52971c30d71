"""What a user says of an edit in words, before the label maps are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from AnatoMaskGANLib.editing.errors import EditError
from AnatoMaskGANLib.editing.looks import look_from_text, modality_of
from AnatoMaskGANLib.editing.settings import EditSettings
from AnatoMaskGANLib.volumes import LabelMap, Volume


@dataclass(frozen=True)
class EditWords:
    """Looks and fills by the names of the labels, as plain texts."""

    looks: Mapping[str, str] = field(default_factory=dict)
    """Name of a new label -> the words of `look_from_text`."""
    fills: Mapping[str, str] = field(default_factory=dict)
    """Name of a removed label -> such words, or around."""
    modality: str | None = None
    """For looks that are named after a tissue; None: CT is recognized."""
    reach_mm: float | None = None
    """How far voxels may move; None: by the voxels and the edit."""
    are_defaults_taken: bool = False
    """Whether a new label without a look gets the look that suits most, and an unknown kind of scan
    is taken for T1; else both are refused where they matter."""

    def settings(self, scan: Volume, before: LabelMap, after: LabelMap) -> EditSettings:
        """The settings of an edit of these maps. Raises EditError for words that say no look.

        Words for a name that neither map has are left out: they may be of another edit.
        """
        # it needs PyTorch, as the words themselves do not
        from AnatoMaskGANLib.editing.scan_edit import questions

        names = {**before.names, **after.names}
        modality = self.modality or modality_of(scan)
        if modality is None and self.are_defaults_taken:
            modality = "t1"
        looks, fills = (
            {
                value: look_from_text(texts[name], scan, names, modality)
                for value, name in names.items()
                if texts.get(name)
            }
            for texts in (self.looks, self.fills)
        )
        if self.are_defaults_taken:
            for question in questions(scan, before, after):
                if question.kind == "look":
                    looks.setdefault(question.label, question.default)
        return EditSettings(looks, fills, reach_mm=self.reach_mm)

    def record(self) -> dict[str, Any]:
        """As plain values, for a message."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> EditWords:
        """The words of such a record; EditError for a name that is none."""
        unknown = record.keys() - {one.name for one in fields(cls)}
        if unknown:
            raise EditError(f"An edit has no option {sorted(unknown)[0]!r}.")
        return cls(**record)
