"""Edits a real scan to follow an edit of its segmentation, in one call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from AnatoMaskGANLib.editing.looks import AROUND, Look, modality_of, tissue_look
from AnatoMaskGANLib.editing.session import EditedScan, ScanEditSession
from AnatoMaskGANLib.editing.settings import EditSettings
from AnatoMaskGANLib.volumes import LabelMap, Volume


@dataclass(frozen=True)
class Question:
    """A question that two label maps leave open, with the answer that is right most often."""

    label: int
    name: str
    """The name of the label; empty if it has none."""
    kind: str
    """"look": the scan does not have such a structure; "fill": the structure is gone."""
    default: Look


def edit_scan(
    scan: Volume,
    before: LabelMap,
    after: LabelMap,
    settings: EditSettings | None = None,
    on_progress: Callable[[float, str], None] | None = None,
) -> EditedScan:
    """Gives the scan as it would be if its segmentation were `after`, and what was done.

    before is the scan's own segmentation. It may have another grid than the scan, but `after` must
    have the grid of `before`. The scan itself is not changed, and the same inputs give the same
    voxels. Raises VolumeError for a scan with voxels that are not numbers. Raises EditError for
    grids that do not overlap or differ between the maps, for a new label without a look, and for a
    look like a label that the scan does not have.
    """
    session = ScanEditSession(scan, before)
    session.update(after, settings, on_progress=on_progress)
    return session.edited()


def questions(scan: Volume, before: LabelMap, after: LabelMap) -> list[Question]:
    """Lists what the user may be asked about an edit: looks of new labels and fills of removed
    ones."""
    names = {**before.names, **after.names}
    found = []
    for label in sorted(set(after.values) - set(before.values)):
        found.append(Question(label, names.get(label, ""), "look", _default_look(scan)))
    for label in sorted(set(before.values) - set(after.values)):
        found.append(Question(label, names.get(label, ""), "fill", AROUND))
    return found


def _default_look(scan: Volume) -> Look:
    """Gives soft tissue for a CT, and for an MR the brightness that half of its tissue exceeds."""
    return tissue_look("soft-tissue", scan, modality_of(scan) or "t1")
