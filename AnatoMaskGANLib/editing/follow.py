"""One region of an edit: voxels are moved with their labels, holes filled, new structures painted.

Every voxel is made once, from the original scan, whatever edits came before. Voxels that the field
does not move and that are neither filled nor painted keep their bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from AnatoMaskGANLib.editing.contents import put_part
from AnatoMaskGANLib.editing.moving import move
from AnatoMaskGANLib.editing.parts import find_parts
from AnatoMaskGANLib.editing.region_cut import LabeledScan, RegionCut
from AnatoMaskGANLib.editing.regions import Box, Region
from AnatoMaskGANLib.editing.settings import DEFAULT_REACH_VOXELS, EditSettings


@dataclass(frozen=True, eq=False)
class FollowedRegion:
    """A box of the scan's grid after the edit."""

    box: Box
    voxels: np.ndarray
    """[K,J,I]. Voxels in the scan's type."""
    how_made: np.ndarray
    """[K,J,I] uint8. KEPT, MOVED, FILLED or PAINTED for each voxel."""
    num_to_move: int
    """Number of voxels of the label map that the field had to bring to another label."""
    num_missed: int
    """Number of these voxels that the field did not bring there."""


def follow_region(
    scan: LabeledScan,
    after: np.ndarray,
    region: Region,
    settings: EditSettings,
    is_quick: bool,
    on_step: Callable[[float], None],
) -> FollowedRegion | None:
    """Makes the region after the edit. Gives None if no voxel of the scan lies in it.

    after [K,J,I] is the whole edited map. is_quick asks for a first picture, from a coarse field
    with linear interpolation. on_step is called again and again with the fraction that is done. An
    exception that it raises ends the work.
    """
    box = scan.grids.scan_box(region.box)
    if box is None:
        return None
    new = after[region.box]
    kept = {label for label, look in settings.looks.items() if look.kind == "keep"}
    old = _with_kept_voxels(scan.before[region.box], new, kept, settings)
    voxels = scan.voxels[box].copy()
    cut = RegionCut(scan, region, box, old, new, voxels, np.zeros(voxels.shape, np.uint8))
    new_labels = set(np.unique(new).tolist()) - scan.labels - kept - {0}
    parts = find_parts(
        old,
        new,
        new_labels,
        settings.cut_labels,
        scan.label_spacing_kji,
        min(region.reach_mm, DEFAULT_REACH_VOXELS * min(scan.label_spacing_kji)) / 2,
    )
    is_part = np.zeros(new.shape, dtype=bool)
    for part in parts:
        is_part[part.piece.box] |= part.piece.mask
    to_move = np.where(is_part, old, new)
    num_to_move = int(np.count_nonzero(to_move != old))
    num_missed = move(cut, to_move, settings, is_quick, on_step) if num_to_move else 0
    for part in parts:
        on_step(1.0)
        put_part(cut, part, is_part, settings)
    return FollowedRegion(box, voxels, cut.how_made, num_to_move, num_missed)


def _with_kept_voxels(
    old: np.ndarray, new: np.ndarray, kept: set[int], settings: EditSettings
) -> np.ndarray:
    """Gives the old labels, with the new ones where a change of labels must not change any
    voxel."""
    merged = [label for label, look in settings.fills.items() if look.kind == "keep"]
    if not kept and not merged:
        return old
    stays = np.isin(new, list(kept)) | np.isin(old, merged)
    return np.where(stays, new, old)
