"""Moves real voxels with their labels, by one interpolation from the original scan."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from AnatoMaskGANLib.editing.field import Displacement, register_labels
from AnatoMaskGANLib.editing.places import fix_places
from AnatoMaskGANLib.editing.region_cut import MOVED, RegionCut, in_type_of
from AnatoMaskGANLib.editing.regions import Box, as_box, grown
from AnatoMaskGANLib.editing.rigid import find_shifts, put_shifts
from AnatoMaskGANLib.editing.seams import join_places
from AnatoMaskGANLib.editing.settings import EditSettings
from AnatoMaskGANLib.editing.slices import beside

_TILE_VOXELS = 4_000_000  # voxels of the scan that are moved at a time
_SEARCH_VOXELS = 16  # right places are searched this far around a tile
_SPLINE_MARGIN = 12  # voxels; the coefficients of a cubic spline have no effect farther away
_SEAM_VOXELS = 2  # voxels this near to voxels with corrected places join them in a seam
_STILL = 1e-3  # voxels; a place this near to the voxel itself counts as not moved
_QUICK_CELLS = 60_000
_QUICK_ITERATIONS = (20, 10, 10)


def move(
    cut: RegionCut,
    to_move: np.ndarray,
    settings: EditSettings,
    is_quick: bool,
    on_step: Callable[[float], None],
) -> int:
    """Moves the voxels of a cut so that its old labels become those of `to_move`, [K,J,I].

    Gives back the number of label voxels that the field did not bring to their label; their content
    was taken from the nearest right place. is_quick uses a coarse field and linear interpolation.
    on_step is called again and again with the fraction that is done. An exception that it raises
    ends the work.
    """
    scan, region = cut.scan, cut.region
    field = settings.field
    if is_quick:
        field = replace(field, most_cells=_QUICK_CELLS, iterations=_QUICK_ITERATIONS)
    open_sides = tuple(
        (side.start == 0, side.stop == size)
        for side, size in zip(region.box, scan.before.shape, strict=True)
    )
    displacement = register_labels(
        cut.old, to_move, scan.label_spacing_kji, region.reach_mm, open_sides, field, on_step
    )
    shifts = {} if is_quick else find_shifts(cut.old, to_move)
    num_missed = 0
    for tile in _tiles(cut.box):
        on_step(1.0)
        num_missed += _move_tile(cut, to_move, displacement, shifts, tile, is_quick)
    return num_missed


def _move_tile(
    cut: RegionCut,
    to_move: np.ndarray,
    displacement: Displacement,
    shifts: Mapping[int, tuple[int, int, int]],
    tile: Box,
    is_quick: bool,
) -> int:
    grids = cut.scan.grids
    first = [side.start for side in cut.region.box]
    own = as_box(  # this box is relative to the region's box
        slice(max(0, side.start - start), min(size, side.stop - start))
        for side, start, size in zip(grids.label_box(tile), first, cut.old.shape, strict=True)
    )
    if any(side.start >= side.stop for side in own):
        return 0
    local = grown(own, (_SEARCH_VOXELS,) * 3, cut.old.shape)
    offsets = displacement.inside(local)
    is_off = is_loose = np.zeros(offsets.shape[1:], dtype=bool)
    if not is_quick:
        farthest = np.abs(offsets).max(axis=(1, 2, 3))
        for offset in shifts.values():
            farthest = np.maximum(farthest, np.abs(offset))
        halo = tuple((np.ceil(farthest).astype(int) + _SEARCH_VOXELS).tolist())
        wide = grown(local, halo, cut.old.shape)
        start = tuple(a.start - b.start for a, b in zip(local, wide, strict=True))
        own_places = np.indices(offsets.shape[1:], dtype=np.float32)
        own_places += np.array(start, dtype=np.float32).reshape(3, 1, 1, 1)
        places, is_off = fix_places(offsets + own_places, cut.old[wide], to_move[local])
        spacing = cut.scan.label_spacing_kji
        around = beside(spacing)
        is_shifted = put_shifts(places, cut.old[wide], to_move[local], start, shifts, around)
        was_shifted = np.isin(cut.old[local], list(shifts))
        is_loose = _near(is_off | is_shifted | was_shifted, around) & ~is_shifted
        lengths = [mm / min(spacing) for mm in spacing]
        join_places(places, cut.old[wide], to_move[local], is_loose, lengths)
        offsets = places - own_places
    if not offsets.any():
        return 0
    core = as_box(
        slice(a.start - b.start, a.stop - b.start) for a, b in zip(own, local, strict=True)
    )
    num_missed = int(np.count_nonzero(is_off[core]))
    if grids.is_same:
        offsets = offsets[:, core[0], core[1], core[2]]
    else:
        corner = [a + side.start for a, side in zip(first, local, strict=True)]
        offsets = _on_scan(offsets, is_off | is_loose, grids.label_places(tile), corner)
        offsets = np.einsum("ab,b...->a...", grids.turn.astype(np.float32), offsets)
    is_moved = np.abs(offsets).max(axis=0) > _STILL
    if not is_moved.any():
        return num_missed
    places = np.argwhere(is_moved).T + offsets[:, is_moved]
    places += np.array([[side.start] for side in tile], dtype=np.float32)
    values = interpolated(cut.scan.voxels, places, order=1 if is_quick else 3)
    part = cut.within(tile)
    cut.voxels[part][is_moved] = in_type_of(values, cut.voxels)
    cut.how_made[part][is_moved] = MOVED
    return num_missed


def interpolated(voxels: np.ndarray, places: np.ndarray, order: int) -> np.ndarray:
    """Interpolates a scan at places [3,N] in its voxels, as [N] float32. Values stay in the range
    of the voxels around each place.

    order is 1 for linear interpolation and 3 for a cubic spline. Beyond its faces the scan
    continues with the values at the faces.
    """
    from scipy import ndimage

    sides = []
    for low, high, size in zip(places.min(axis=1), places.max(axis=1), voxels.shape, strict=True):
        start = int(np.clip(math.floor(low) - _SPLINE_MARGIN, 0, size - 1))
        stop = int(np.clip(math.ceil(high) + _SPLINE_MARGIN + 1, start + 1, size))
        sides.append(slice(start, stop))
    around = voxels[tuple(sides)].astype(np.float32)
    inside = places - np.array([[side.start] for side in sides], dtype=np.float32)
    values = ndimage.map_coordinates(around, inside, order=order, mode="nearest")
    return np.clip(values, around.min(), around.max())


def _on_scan(
    offsets: np.ndarray, is_off: np.ndarray, places: np.ndarray, start: list[int]
) -> np.ndarray:
    """Interpolates offsets of label voxels linearly at places of voxels of a scan, as [3,...].
    Where a place was corrected, the offset is that of the nearest label voxel. It is zero outside
    the labels' box."""
    from scipy import ndimage

    places = places - np.array(start, dtype=np.float32).reshape(3, 1, 1, 1)
    found = np.stack([
        ndimage.map_coordinates(part, places, order=1, mode="nearest") for part in offsets
    ])  # fmt: skip
    nearest = np.rint(places).astype(np.intp)
    is_inside = np.ones(places.shape[1:], dtype=bool)
    for axis, size in enumerate(is_off.shape):
        is_inside &= (nearest[axis] >= 0) & (nearest[axis] < size)
        np.clip(nearest[axis], 0, size - 1, out=nearest[axis])
    is_fixed = is_off[tuple(nearest)] & is_inside
    spots = nearest[:, is_fixed]
    found[:, is_fixed] = offsets[:, spots[0], spots[1], spots[2]]
    found[:, ~is_inside] = 0
    return found


def _near(mask: np.ndarray, around: np.ndarray) -> np.ndarray:
    """Gives a mask with the voxels around it. around [3,3,3] marks the voxels that count as next to
    the middle one."""
    from scipy import ndimage

    if not mask.any():
        return mask
    return ndimage.binary_dilation(mask, around, iterations=_SEAM_VOXELS)


def _tiles(box: Box) -> Iterator[Box]:
    """Gives boxes of at most so many voxels that together make up the box."""
    sizes = [side.stop - side.start for side in box]
    while math.prod(sizes) > _TILE_VOXELS:
        longest = sizes.index(max(sizes))
        sizes[longest] = -(-sizes[longest] // 2)
    sides = [
        [slice(at, min(at + size, side.stop)) for at in range(side.start, side.stop, size)]
        for side, size in zip(box, sizes, strict=True)
    ]
    yield from itertools.product(*sides)
