"""Parts of an edit that a field cannot move: structures that were added, removed or carried away.

A part is a connected piece of one label. A piece that shrinks, grows or shifts is not a part,
because the field moves it. Such a piece keeps some of its voxels, or lies near voxels that its
label lost and that it may come from.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import SimpleITK

from AnatoMaskGANLib.editing.field import distance_mm
from AnatoMaskGANLib.editing.regions import Box, as_box, box_of, grown, voxels_of_mm

_KEPT_SHARE = 0.1  # a piece that keeps a smaller fraction of its voxels was removed
_FOUND_SHARE = 0.02  # a piece with a smaller fraction of its voxels in the old map was added
_FEWEST_VOXELS = 8  # a smaller piece that was added is a crumb of a thin structure
# least Dice coefficient of a removed piece, shifted, with the added piece that it became
_SAME_SHAPE = 0.7


@dataclass(frozen=True, eq=False)
class Piece:
    """A connected piece of a label."""

    box: Box
    """Its place in the box of the region."""
    mask: np.ndarray
    """Its voxels in this box, as bool."""

    @property
    def places(self) -> np.ndarray:
        """Gives its voxels in the box of the region, as [N,3]."""
        return np.argwhere(self.mask) + [side.start for side in self.box]


@dataclass(frozen=True, eq=False)
class Part:
    """Voxels of a region's box that need contents of their own."""

    kind: str
    """"added": a label in a place where it was not before; "removed": a piece that is gone;
    "carried": a piece that now lies elsewhere, too far away for a field."""
    label: int
    """The label of the piece that was added or removed."""
    piece: Piece
    offset_kji: tuple[int, int, int] = (0, 0, 0)
    """The offset of a carried piece, from its voxels to where their content lies in the scan."""


def find_parts(
    before: np.ndarray,
    after: np.ndarray,
    new_labels: Collection[int],
    cut_labels: Collection[int],
    spacing_kji: tuple[float, ...],
    near_mm: float,
) -> list[Part]:
    """Finds the parts of a region, removed ones first.

    new_labels are labels that the scan's own map does not have anywhere. Voxels that cut_labels
    lose are taken away and not pushed together. near_mm is how far the field can carry a piece that
    does not overlap its old place.
    """
    removed: list[Part] = []
    others: list[Part] = []
    for label, box in changed_labels(before, after).items():
        is_old, is_new = before[box] == label, after[box] == label
        is_gained, is_lost = is_new & ~is_old, is_old & ~is_new
        if label in new_labels:
            others.append(Part("added", label, Piece(box, is_new)))
            continue
        came = [
            piece
            for piece in _pieces(is_new, is_old, _FOUND_SHARE, box)
            if np.count_nonzero(piece.mask) >= _FEWEST_VOXELS
        ]
        if label in cut_labels:
            if is_lost.any():
                removed.append(Part("removed", label, Piece(box, is_lost)))
            others += [Part("added", label, piece) for piece in came]
            continue
        went = _pieces(is_old, is_new, _KEPT_SHARE, box)
        carried = []
        for piece in came:
            number, offset = _origin(piece, went, spacing_kji, near_mm)
            if number is not None:
                carried.append(number)
                others.append(Part("carried", label, piece, offset))
            elif not _is_near(piece, Piece(box, is_lost), spacing_kji, near_mm):
                others.append(Part("added", label, piece))
        for number, piece in enumerate(went):
            if number in carried or not _is_near(
                piece, Piece(box, is_gained), spacing_kji, near_mm
            ):
                lost = piece.mask & (after[piece.box] != label)
                removed.append(Part("removed", label, Piece(piece.box, lost)))
    return removed + others


def changed_labels(before: np.ndarray, after: np.ndarray) -> dict[int, Box]:
    """Gives the labels that gained or lost a voxel, without background. Each has the box of its
    voxels in both maps."""
    slices: dict[int, list[int]] = {}
    changed: set[int] = set()
    for number, (old, new) in enumerate(zip(before, after, strict=True)):
        differs = old != new
        for label in np.union1d(np.unique(old), np.unique(new)).tolist():
            slices.setdefault(label, []).append(number)
        changed |= set(np.unique(old[differs]).tolist()) | set(np.unique(new[differs]).tolist())
    boxes = {}
    for label in sorted(changed - {0}):
        first, stop = slices[label][0], slices[label][-1] + 1
        inner = box_of((before[first:stop] == label) | (after[first:stop] == label))
        boxes[label] = (slice(inner[0].start + first, inner[0].stop + first), *inner[1:])
    return boxes


def _pieces(mask: np.ndarray, other: np.ndarray, most_shared: float, box: Box) -> list[Piece]:
    """Gives the connected pieces of the mask of a box that have hardly a voxel in common with the
    other mask."""
    if not (mask & ~other).any():
        return []
    image = SimpleITK.GetImageFromArray(mask.astype(np.uint8))
    numbered = SimpleITK.ConnectedComponent(image, True)
    numbers = SimpleITK.GetArrayFromImage(numbered)
    sizes = np.bincount(numbers.ravel())
    kept = np.bincount(numbers[other], minlength=len(sizes))
    measured = SimpleITK.LabelShapeStatisticsImageFilter()
    measured.Execute(numbered)
    found = []
    for number in range(1, len(sizes)):
        if kept[number] >= most_shared * sizes[number]:
            continue
        i, j, k, size_i, size_j, size_k = measured.GetBoundingBox(number)
        own = (slice(k, k + size_k), slice(j, j + size_j), slice(i, i + size_i))
        found.append(Piece(_shifted(own, box), numbers[own] == number))
    return found


def _shifted(inner: Box, outer: Box) -> Box:
    """Converts a box that is relative to another one into the coordinates of that one."""
    return as_box(
        slice(a.start + b.start, a.stop + b.start) for a, b in zip(inner, outer, strict=True)
    )


def _is_near(piece: Piece, others: Piece, spacing_kji: tuple[float, ...], near_mm: float) -> bool:
    """Whether some of the other voxels are near a piece. The piece lies in the others' box."""
    own = as_box(
        slice(a.start - b.start, a.stop - b.start)
        for a, b in zip(piece.box, others.box, strict=True)
    )
    around = grown(own, voxels_of_mm(near_mm, spacing_kji), others.mask.shape)
    if not others.mask[around].any():
        return False
    mask = np.zeros(others.mask[around].shape, dtype=bool)
    inside = tuple(
        slice(a.start - b.start, a.stop - b.start) for a, b in zip(own, around, strict=True)
    )
    mask[inside] = piece.mask
    return float(distance_mm(mask, spacing_kji)[others.mask[around]].min()) <= near_mm


def _origin(
    piece: Piece, went: list[Piece], spacing_kji: tuple[float, ...], near_mm: float
) -> tuple[int | None, tuple[int, int, int]]:
    """Gives the number of the removed piece that this one was, and the offset to it. None if there
    is no such piece."""
    places = piece.places
    for number, old in enumerate(went):
        old_places = old.places
        offset = np.rint(old_places.mean(axis=0) - places.mean(axis=0)).astype(int)
        if np.linalg.norm(offset * spacing_kji) <= near_mm:
            continue
        at = places + offset - [side.start for side in old.box]
        inside = ((at >= 0) & (at < old.mask.shape)).all(axis=1)
        num_same = np.count_nonzero(old.mask[tuple(at[inside].T)])
        if 2 * num_same >= _SAME_SHAPE * (len(places) + len(old_places)):
            return number, tuple(offset.tolist())
    return None, (0, 0, 0)
