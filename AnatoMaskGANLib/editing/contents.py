"""Contents of parts that cannot be moved. They are put into the scan by their looks and fills."""

from __future__ import annotations

import numpy as np

from AnatoMaskGANLib.editing.field import distance_mm
from AnatoMaskGANLib.editing.looks import Look
from AnatoMaskGANLib.editing.moving import interpolated
from AnatoMaskGANLib.editing.painting import (
    enclosed,
    fill,
    outline,
    own_grain,
    paint,
    with_partial_volume,
    with_soft_border,
)
from AnatoMaskGANLib.editing.parts import Part
from AnatoMaskGANLib.editing.region_cut import FILLED, MOVED, PAINTED, RegionCut, in_type_of
from AnatoMaskGANLib.editing.regions import Box, as_box, grown
from AnatoMaskGANLib.editing.settings import EditSettings

_CONTEXT = 14  # the surroundings of a part reach this far, in shortest edges of a voxel
_EDGE_SHARE = 0.25  # the fraction of a painted structure in the voxels next to it
# the fraction of a filling in the voxels next to the hole; the rest is what was there
_HOLE_EDGE_SHARE = 0.75


def put_part(cut: RegionCut, part: Part, is_part: np.ndarray, settings: EditSettings) -> None:
    """Writes one part into the cut. is_part [K,J,I] marks the voxels of all parts of the region."""
    box = _box_around(cut, part.piece.box)
    if box is None:
        return
    mask = cut.on_scan(part.piece.mask, box, part.piece.box)
    if not mask.any():
        return
    labels = cut.on_scan(cut.new, box)
    is_other = cut.on_scan(is_part, box)
    work = _Work(cut, box, labels, is_other)
    if part.kind == "carried":
        work.carry(mask, part)
    elif part.kind == "added":
        look = settings.looks.get(part.label, Look("like", label=part.label))
        work.add(mask, look, part.label)
    else:
        look = settings.fill_of(part.label)
        for label in np.unique(labels[mask]).tolist():
            work.remove(mask & (labels == label), look, label)


class _Work:
    """The surroundings of one part."""

    def __init__(
        self,
        cut: RegionCut,
        box: Box,
        labels: np.ndarray,
        is_part: np.ndarray,
    ) -> None:
        self.cut = cut
        self.box = box
        self.labels = labels
        self.is_part = is_part
        self.inside = cut.within(box)
        spacing = np.array(cut.scan.scan_spacing_kji)
        self.lengths = tuple((spacing / spacing.min()).tolist())

    @property
    def voxels(self) -> np.ndarray:
        """Gives the surroundings as they are by now, as [K,J,I] float32."""
        return self.cut.voxels[self.inside].astype(np.float32)

    def carry(self, mask: np.ndarray, part: Part) -> None:
        """Copies a piece with its own voxels, from where they lie in the scan."""
        edge = with_partial_volume(mask, ~self.is_part, _EDGE_SHARE, self.lengths)
        offset = self.cut.scan.grids.turn @ np.array(part.offset_kji, dtype=np.float64)
        start = [side.start for side in self.box]
        where = edge > 0
        places = np.argwhere(where).T + (np.array(start) + offset)[:, None]
        values = np.zeros(mask.shape, np.float32)
        values[where] = interpolated(self.cut.scan.voxels, places.astype(np.float32), order=3)
        self._blend(values, edge, MOVED)

    def add(self, mask: np.ndarray, look: Look, label: int) -> None:
        """Paints a structure in a place where it was not before."""
        if look.rim is not None:
            outside = np.pad(~mask, 1, mode="edge")
            spacing = self.cut.scan.scan_spacing_kji
            depth = distance_mm(outside, spacing)[1:-1, 1:-1, 1:-1]
            # the center of a voxel at the border lies half a voxel inside
            rim = mask & (depth <= look.rim_mm + 0.5 * min(spacing))
            self._add_plain(rim, look.rim, label, ~self.is_part)
            self._add_plain(mask & ~rim, look, label, np.zeros_like(mask))
        else:
            self._add_plain(mask, look, label, ~self.is_part)

    def _add_plain(self, mask: np.ndarray, look: Look, label: int, may_change: np.ndarray) -> None:
        if not mask.any():
            return
        values = self._values(mask, look, label)
        self._blend(
            values, with_partial_volume(mask, may_change, _EDGE_SHARE, self.lengths), PAINTED
        )

    def remove(self, hole: np.ndarray, look: Look, label: int) -> None:
        """Fills the place of a removed structure where the edited map now has this label."""
        own = (self.labels == label) & ~self.is_part
        if label == 0:
            hole = hole | (enclosed(hole) & own)
            own &= ~hole
        if look.kind == "around":
            shown = outline(self.voxels, hole, own, self.lengths, is_mixed=label == 0)
            hole, own = hole | shown, own & ~shown
        fraction = with_partial_volume(hole, own, _HOLE_EDGE_SHARE, self.lengths)
        if look.kind == "around":
            values = self._values(hole, Look("like", label=label), label)
            values = with_soft_border(values, self.voxels, hole, own)
        else:
            values = self._values(hole, look, label)
        self._blend(values, fraction, FILLED)

    def _values(self, mask: np.ndarray, look: Look, label: int) -> np.ndarray:
        scan = self.cut.scan
        if look.kind == "like":
            sources = (self.labels == look.label) & ~self.is_part
            otherwise = scan.tissue(look.label) if look.label in scan.labels else None
            is_mixed = look.label == 0
            return fill(self.voxels, mask, sources, self.box, self.lengths, otherwise, is_mixed)
        original = scan.voxels[self.box].astype(np.float32)
        old = self.cut.on_scan(self.cut.old, self.box)
        # The whole tissue nearby is searched, because its most even part shows nothing but noise.
        tissue = (old != 0) | mask
        grain = own_grain(original, tissue)
        standard_deviation = (
            grain.standard_deviation if look.standard_deviation is None else look.standard_deviation
        )
        return paint(mask, look.mean, standard_deviation, grain, self.box)

    def _blend(self, values: np.ndarray, fraction: np.ndarray, how: int) -> None:
        part = self.cut.voxels[self.inside]
        where = fraction > 0
        real = part[where].astype(np.float32)
        part[where] = in_type_of(real + fraction[where] * (values[where] - real), part)
        self.cut.how_made[self.inside][where] = how


def _box_around(cut: RegionCut, used: Box) -> Box | None:
    """Gives the box of the scan that holds a box of the region and its surroundings."""
    label_box = as_box(
        slice(side.start + own.start, side.stop + own.start)
        for side, own in zip(used, cut.region.box, strict=True)
    )
    box = cut.scan.grids.scan_box(label_box)
    if box is None:
        return None
    spacing = np.array(cut.scan.scan_spacing_kji)
    around = tuple(np.ceil(_CONTEXT * spacing.min() / spacing).astype(int).tolist())
    wide = grown(box, around, cut.scan.voxels.shape)
    return as_box(
        slice(max(side.start, own.start), min(side.stop, own.stop))
        for side, own in zip(wide, cut.box, strict=True)
    )
