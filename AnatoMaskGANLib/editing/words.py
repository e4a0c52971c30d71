"""An edit as a user describes it in words, before the label maps are known."""

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
    """The look of each new label by its name, in the words of `look_from_text`."""
    fills: Mapping[str, str] = field(default_factory=dict)
    """The fill of each removed label by its name, in the same words or `around`."""
    modality: str | None = None
    """Kind of scan for looks that are named after a tissue. With None, CT is recognized."""
    reach_mm: float | None = None
    """How far voxels may move. None derives it from the voxels and the edit."""
    are_defaults_taken: bool = False
    """Whether a new label without a look gets the look that is right most often, and an unknown
    kind of scan is taken for T1. Otherwise both are refused if they matter."""

    def settings(self, scan: Volume, before: LabelMap, after: LabelMap) -> EditSettings:
        """Gives the settings of an edit of these maps. Raises EditError for words that describe no
        look.

        Words for a name that neither map has are left out, because they may belong to another edit.
        """
        # imported here because it needs PyTorch, which the words themselves do not
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

    def to_dict(self) -> dict[str, Any]:
        """Gives the words as plain values, for a message."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EditWords:
        """Gives the words of such a dictionary. Raises EditError for an unknown name."""
        unknown = values.keys() - {one.name for one in fields(cls)}
        if unknown:
            raise EditError(f"An edit has no option {sorted(unknown)[0]!r}.")
        return cls(**values)
