"""Regions of an edit: boxes of the label map's grid that do not touch one another's reach.

The result in a region depends only on the two maps inside its box. An edit elsewhere, an undo, or
another order of strokes therefore does not change its voxels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import SimpleITK

from AnatoMaskGANLib.editing.boxes import Box, as_box, changed_box
from AnatoMaskGANLib.editing.field import distance_mm

_BLOCK_VOXELS = 4  # changes are grouped by blocks of this many voxels along each axis
# the depth of a change is measured voxel by voxel in boxes of up to this many voxels
_MOST_DEPTH_VOXELS = 4_000_000


@dataclass(frozen=True)
class Region:
    """A box of the label map's grid with all that is changed in it."""

    box: Box
    """The box with the reach around the changes, cut off at the faces of the map."""
    reach_mm: float
    """How far from a changed label voxels may move."""


def find_regions(
    before: np.ndarray,
    after: np.ndarray,
    spacing_kji: tuple[float, ...],
    reach_mm: float,
    is_automatic: bool,
) -> list[Region]:
    """Finds the regions of all changes, in the order of their first slices.

    If is_automatic is set and contents move farther than half of `reach_mm`, the reach grows to
    twice that distance, so that the surroundings give way without folding.
    """
    outer = changed_box(before, after)
    if outer is None:
        return []
    differs = before[outer] != after[outer]
    found = []
    for inner in _groups(differs, spacing_kji, reach_mm):
        box = as_box(
            slice(part.start + side.start, part.stop + side.start)
            for part, side in zip(inner, outer, strict=True)
        )
        reach = reach_mm
        if is_automatic:
            reach = max(reach, 4 * _depth_mm(differs[inner], spacing_kji))
        found.append((box, reach))
    return _merged(found, before.shape, spacing_kji)


def box_of(mask: np.ndarray) -> Box:
    """Gives the smallest box that holds all voxels of a mask that has some."""
    sides = []
    for axis in range(3):
        used = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        sides.append(slice(int(used[0]), int(used[-1]) + 1))
    return as_box(sides)


def grown(box: Box, by_kji: tuple[int, ...], shape_kji: tuple[int, ...]) -> Box:
    """Grows a box by that many voxels at each side, cut off at the faces of the grid."""
    return as_box(
        slice(max(0, side.start - by), min(size, side.stop + by))
        for side, by, size in zip(box, by_kji, shape_kji, strict=True)
    )


def voxels_of_mm(mm: float, spacing_kji: tuple[float, ...]) -> tuple[int, ...]:
    """Gives the number of whole voxels along each axis that a length covers."""
    return tuple(math.ceil(mm / one) for one in spacing_kji)


def overlap(first: Box, second: Box) -> bool:
    """Whether two boxes have a voxel in common."""
    return all(a.start < b.stop and b.start < a.stop for a, b in zip(first, second, strict=True))


def _groups(differs: np.ndarray, spacing_kji: tuple[float, ...], reach_mm: float) -> list[Box]:
    """Gives boxes of changes that lie farther apart than the reach."""
    from scipy import ndimage

    blocks = differs
    for axis in range(3):
        starts = np.arange(0, blocks.shape[axis], _BLOCK_VOXELS)
        blocks = np.logical_or.reduceat(blocks, starts, axis=axis)
    lengths = [_BLOCK_VOXELS * mm for mm in spacing_kji]
    near = distance_mm(blocks, lengths) <= reach_mm
    image = SimpleITK.GetImageFromArray(near.astype(np.uint8))
    parts = SimpleITK.GetArrayFromImage(SimpleITK.ConnectedComponent(image, True))
    return [
        as_box(
            slice(side.start * _BLOCK_VOXELS, min(side.stop * _BLOCK_VOXELS, size))
            for side, size in zip(box, differs.shape, strict=True)
        )
        for box in ndimage.find_objects(np.where(blocks, parts, 0))
    ]


def _depth_mm(differs: np.ndarray, spacing_kji: tuple[float, ...]) -> float:
    """Gives the thickness of the changes in mm. Twice this is about how far a border moved."""
    step = 1
    while differs[::step, ::step, ::step].size > _MOST_DEPTH_VOXELS:
        step += 1
    outside = np.pad(~differs[::step, ::step, ::step], 1, constant_values=True)
    # an axis with a single slice has no depth
    spacing = [
        mm * step if size > 1 else 1e6 for mm, size in zip(spacing_kji, differs.shape, strict=True)
    ]
    return float(distance_mm(outside, spacing).max())


def _merged(
    found: list[tuple[Box, float]], shape_kji: tuple[int, ...], spacing_kji: tuple[float, ...]
) -> list[Region]:
    """Gives regions with the reach around their boxes. Regions that overlap are merged."""
    todo = list(found)
    done: list[tuple[Box, float]] = []
    while todo:
        box, reach = todo.pop()
        wide = grown(box, voxels_of_mm(reach, spacing_kji), shape_kji)
        for number, (other, other_reach) in enumerate(done):
            if overlap(wide, grown(other, voxels_of_mm(other_reach, spacing_kji), shape_kji)):
                both = as_box(
                    slice(min(a.start, b.start), max(a.stop, b.stop))
                    for a, b in zip(box, other, strict=True)
                )
                todo.append((both, max(reach, other_reach)))
                del done[number]
                break
        else:
            done.append((box, reach))
    regions = [
        Region(grown(box, voxels_of_mm(reach, spacing_kji), shape_kji), reach)
        for box, reach in done
    ]
    return sorted(regions, key=lambda region: [side.start for side in region.box])
