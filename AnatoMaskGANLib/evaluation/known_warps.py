"""Edits whose truth is known: a scan and its label map are warped by one known field.

A structure swells about its middle, or moves, and its neighbors give way. An edit has to find the
warped scan from the scan and the two label maps. The method is ours: edits of real scans have no
known truth otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from AnatoMaskGANLib.volumes import LabelMap, Volume, same_grid

_FADED = 3.7
"""The field is zero farther than this many reaches away, where it is below a thousandth of its full
value."""
_STEP_VOXELS = 3.0  # drawn edits move a border this far, in shortest edges of a voxel
_MOST_GAIN = 1.35
_FEWEST_VOXELS = 200  # the smallest structure that is drawn
_MOST_SHARE = 0.3  # the largest structure that is drawn, as a fraction of all labeled voxels
_THICK = 1.5  # an axis with voxels as many times as long as the shortest is not moved along


@dataclass(frozen=True)
class Swell:
    """A structure grows about its middle."""

    labels: tuple[int, ...]
    gain: float
    """Factor by which lengths in the structure grow."""
    reach_mm: float
    """Distance from the structure at which the movement has faded to 0.6."""


@dataclass(frozen=True)
class Shift:
    """A structure moves."""

    labels: tuple[int, ...]
    by_kji_mm: tuple[float, float, float]
    """How far it moves along the axes of the label map's array."""
    reach_mm: float
    """Distance from the structure's old and new place at which the movement has faded to 0.6."""


Warp = Swell | Shift


def warp_field(
    labels_kji: np.ndarray, spacing_kji: Sequence[float] | np.ndarray, warp: Warp
) -> np.ndarray:
    """Gives, for each voxel after the edit, the offset to where it comes from, as [3,K,J,I] float32
    in voxels."""
    from scipy import ndimage

    spacing = np.asarray(spacing_kji, dtype=np.float64)
    mask = np.isin(labels_kji, warp.labels)
    columns = spacing.reshape(3, 1, 1, 1)
    if isinstance(warp, Swell):
        middle = np.array(ndimage.center_of_mass(mask)).reshape(3, 1, 1, 1)
        offset = -(np.indices(labels_kji.shape) - middle) * (1 - 1 / warp.gain)
    else:
        step = np.array(warp.by_kji_mm, dtype=float) / spacing
        mask = mask | (ndimage.shift(mask.astype(np.float32), step, order=0) > 0)
        offset = -(np.array(warp.by_kji_mm, dtype=float).reshape(3, 1, 1, 1) / columns)
    outside = ndimage.distance_transform_edt(~mask, sampling=spacing)
    fraction = np.exp(-0.5 * (outside / warp.reach_mm) ** 2)
    fraction[outside > _FADED * warp.reach_mm] = 0
    return (offset * fraction).astype(np.float32)


def warped(
    voxels_kji: np.ndarray, labels_kji: np.ndarray, field: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Warps voxels by cubic splines, as float32 in their range, and labels by the nearest voxel.

    Voxels that the field does not move keep their values.
    """
    from scipy import ndimage

    places = np.indices(labels_kji.shape, dtype=np.float32) + field
    moved = ndimage.map_coordinates(
        voxels_kji.astype(np.float32), places, order=3, mode="nearest", output=np.float32
    )
    moved = np.clip(moved, voxels_kji.min(), voxels_kji.max())
    moved = np.where(field.any(axis=0), moved, voxels_kji.astype(np.float32))
    return moved, ndimage.map_coordinates(labels_kji, places, order=0, mode="nearest")


def check_grid_of_scan(scan: Volume, label_map: LabelMap) -> None:
    """Raises ValueError for a label map that is not on the grid of its scan."""
    if not same_grid(scan, label_map):
        raise ValueError(
            f"The scan ({scan.shape_kji} voxels) and the label map ({label_map.shape_kji}) are not "
            "on one grid; expected the same grid. Resample the label map to the scan."
        )


def known_edit(scan: Volume, before: LabelMap, warp: Warp) -> tuple[LabelMap, Volume]:
    """Gives the label map after the edit, and the scan as it should be, in its own type.

    Only the box that the field moves is interpolated. Raises ValueError if scan and label map are
    not on one grid, or if the map has no such label.
    """
    from scipy import ndimage

    check_grid_of_scan(scan, before)
    mask = np.isin(before.labels_kji, warp.labels)
    if not mask.any():
        raise ValueError(
            f"The label map has none of the labels {warp.labels}; expected one of {before.values}."
        )
    spacing = np.array(before.spacing_ijk_mm[::-1])
    step = np.abs(warp.by_kji_mm) if isinstance(warp, Shift) else np.zeros(3)
    room = np.ceil((_FADED * warp.reach_mm + step) / spacing).astype(int) + 12
    (found,) = ndimage.find_objects(mask.astype(np.int8))
    box = tuple(
        slice(max(0, side.start - more), min(size, side.stop + more))
        for side, more, size in zip(found, room, mask.shape, strict=True)
    )
    part, labels = scan.voxels_kji[box], before.labels_kji[box]
    moved, moved_labels = warped(part, labels, warp_field(labels, spacing, warp))
    truth, after = scan.voxels_kji.copy(), before.labels_kji.copy()
    truth[box] = moved if truth.dtype.kind == "f" else np.rint(moved)
    after[box] = moved_labels
    return replace(before, labels_kji=after), replace(scan, voxels_kji=truth)


def warp_name(warp: Warp, label_map: LabelMap) -> str:
    """A name for tables: what a warp does, and to which structures."""
    kind = "swell" if isinstance(warp, Swell) else "shift"
    return f"{kind} {' and '.join(label_map.names.get(n, str(n)) for n in warp.labels)}"


def draw_warps(label_map: LabelMap, num_structures: int, seed: int) -> list[Warp]:
    """Draws so many structures, or all that qualify, and gives two edits of each: it swells and
    moves.

    A border moves by three voxels at most. A structure qualifies if it has at least 200 voxels and
    at most 30 % of all labeled voxels, and does not touch the faces of the map. Raises ValueError
    for a map without such a structure.
    """
    from scipy import ndimage

    labels = label_map.labels_kji
    spacing = np.array(label_map.spacing_ijk_mm[::-1])
    values, counts = np.unique(labels[labels > 0], return_counts=True)
    most = max(_MOST_SHARE * counts.sum(), _FEWEST_VOXELS) if len(values) else 0
    boxes = {
        int(value): ndimage.find_objects((labels == value).astype(np.int8))[0]
        for value, count in zip(values, counts, strict=True)
        if _FEWEST_VOXELS <= count <= most
    }
    may_be = [
        value
        for value, box in boxes.items()
        if all(
            size == 1 or (side.start > 0 and side.stop < size)
            for side, size in zip(box, labels.shape, strict=True)
        )
    ]
    if not may_be:
        raise ValueError(
            f"The label map has no structure to edit; expected one of {_FEWEST_VOXELS} voxels or "
            "more that is inside of the map and smaller than a third of all labels."
        )
    draws = np.random.default_rng(seed)
    chosen = [may_be[n] for n in sorted(draws.permutation(len(may_be))[:num_structures])]
    step_mm = _STEP_VOXELS * float(spacing.min())
    warps: list[Warp] = []
    for value in chosen:
        extent = [
            (side.stop - side.start) * mm for side, mm in zip(boxes[value], spacing, strict=True)
        ]
        gain = 1 / max(1 - step_mm / (max(extent) / 2), 1 / _MOST_GAIN)
        warps.append(Swell((value,), gain, 2 * step_mm))
        is_free = (spacing <= _THICK * spacing.min()) & (np.array(labels.shape) > 1)
        direction = draws.normal(size=3) * is_free
        direction *= step_mm / np.linalg.norm(direction)
        k, j, i = direction.tolist()
        warps.append(Shift((value,), (k, j, i), 2 * step_mm))
    return warps
