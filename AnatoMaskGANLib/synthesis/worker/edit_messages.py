"""Requests to the process about edits of a scan, and its answers, as objects.

The scan and its label map are sent once. For an edited label map, only the box that differs from
the map sent before is sent, and only the box of voxels that changed comes back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from AnatoMaskGANLib.editing.words import EditWords
from AnatoMaskGANLib.synthesis.worker.exchange import ExchangeFolder
from AnatoMaskGANLib.volumes import ChangedRegion


@dataclass(frozen=True)
class EditRequest:
    """A request to let the scan follow its label map."""

    words: EditWords = field(default_factory=EditWords)
    is_quick: bool = False
    """Asks for a first picture, which has no provenance. A request without this follows it."""

    def to_message(self) -> dict[str, Any]:
        """Gives the request as a part of a message."""
        return {"words": self.words.to_dict(), "is_quick": self.is_quick}

    @classmethod
    def from_message(cls, message: Mapping[str, Any]) -> EditRequest:
        """Reads the request from such a part. Raises EditError for an unknown option."""
        return cls(EditWords.from_dict(message["words"]), bool(message["is_quick"]))


@dataclass(frozen=True, eq=False)
class ScanEdited:
    """A scan after an edit, given as what changed since the last answer."""

    request: int
    is_anew: bool
    """Whether the box holds all changes to the original scan, as in the first answer."""
    changed: ChangedRegion | None
    voxels_kji: np.ndarray | None
    """Voxels of the box; None where nothing changed."""
    counts: Mapping[str, int]
    """Numbers of voxels that were Moved, Filled and Painted."""
    questions: tuple[tuple[str, str], ...]
    """What the label maps leave open: names of labels, each with "look" or "fill"."""
    warnings: tuple[str, ...]
    """What the user should know, in whole sentences. Empty for a first picture."""
    provenance: Mapping[str, str]
    """How the edit was made. Empty for a first picture."""


def scan_edited(answer: Mapping[str, Any], exchange: ExchangeFolder) -> ScanEdited:
    """Gives the message of a decoded answer. Raises KeyError, TypeError or ValueError for a damaged
    one."""
    changed, voxels = None, None
    if answer["box"] is not None:
        start, stop = answer["box"]
        changed = ChangedRegion(tuple(start), tuple(stop))
        voxels = exchange.take_array(answer["array"])
    return ScanEdited(
        answer["request"],
        answer["is_anew"],
        changed,
        voxels,
        answer["counts"],
        tuple((name, kind) for name, kind in answer["questions"]),
        tuple(answer["warnings"]),
        answer["provenance"],
    )
