"""Edits of a label map without painting: grow, shrink, move, add, remove, split and merge.

Lengths are millimeters along the map's own axes or in its world, so a thick slice counts with its
real thickness. Labels that are in the way yield, except those that are named as fixed, such as
bone. Voxels that a segment leaves get the nearest label. Each function gives a new label map and
does not change the one it was given.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from AnatoMaskGANLib.editing.errors import EditError
from AnatoMaskGANLib.editing.field import distance_mm
from AnatoMaskGANLib.editing.regions import Box, as_box, box_of, grown, voxels_of_mm
from AnatoMaskGANLib.volumes import LabelMap

_MOST_GROWTH_MM = 1000.0
_MARGIN = 2  # voxels kept around a segment, so that distances are known on both sides of its border


def grow(label_map: LabelMap, label: int, by_mm: float, fixed: Collection[int] = ()) -> LabelMap:
    """Grows a segment by so many mm on every side, or shrinks it if `by_mm` is negative.

    Raises EditError for a label that the map does not have, and if nothing of the segment would be
    left.
    """
    if not abs(by_mm) <= _MOST_GROWTH_MM:
        raise EditError(f"The growth is {by_mm} mm; expected -1000 to 1000.")
    mask, box = _segment(label_map, label, max(by_mm, 0))
    is_segment = _depth_mm(label_map, mask) <= by_mm
    if not is_segment.any():
        raise EditError(
            f"Shrunk by {-by_mm:g} mm, nothing of label {label} would be left; expected a "
            "smaller value. Shrink it less, or remove it."
        )
    return _with_segment(label_map, label, box, is_segment, fixed)


def resize(
    label_map: LabelMap, label: int, percent: float, fixed: Collection[int] = ()
) -> LabelMap:
    """Grows or shrinks a segment on every side to a percentage of its volume.

    The volume comes as near to it as voxels allow; fixed labels may keep it smaller. Raises
    EditError like `grow`.
    """
    if not 0 < percent <= 10_000:
        raise EditError(
            f"The volume is to be {percent} %; expected more than 0 and at most 10000. To "
            "delete a segment, remove it."
        )
    size = np.count_nonzero(label_map.labels_kji == label)
    wanted = round(size * percent / 100)
    # no other shape of that volume has to grow farther than a ball
    volume_mm3 = size * float(np.prod(label_map.spacing_ijk_mm))
    radius = (3 * volume_mm3 / (4 * np.pi)) ** (1 / 3)
    most_mm = max(0.0, radius * ((percent / 100) ** (1 / 3) - 1)) + 2 * max(
        label_map.spacing_ijk_mm
    )
    mask, box = _segment(label_map, label, most_mm)
    depth = _depth_mm(label_map, mask)
    may_be = mask | ~np.isin(label_map.labels_kji[box], list(fixed))
    # takes the voxels that lie deepest in the segment or nearest to it
    ordered = np.argsort(np.where(may_be, depth, np.inf), axis=None, kind="stable")
    is_segment = np.zeros(mask.size, dtype=bool)
    is_segment[ordered[: max(1, min(wanted, np.count_nonzero(may_be)))]] = True
    return _with_segment(label_map, label, box, is_segment.reshape(mask.shape), fixed)


def move(
    label_map: LabelMap, label: int, by_ras_mm: Sequence[float], fixed: Collection[int] = ()
) -> LabelMap:
    """Moves a segment by so many mm to the right, front and top of the patient, rounded to whole
    voxels.

    Raises EditError for a label that the map does not have, and if the segment would leave the map.
    """
    mask, _ = _segment(label_map, label, 0)
    step_ijk = np.linalg.solve(label_map.ijk_to_ras[:3, :3], np.asarray(by_ras_mm, dtype=float))
    step = np.rint(step_ijk[::-1]).astype(int)
    whole = label_map.labels_kji == label
    places = np.argwhere(whole) + step
    inside = ((places >= 0) & (places < whole.shape)).all(axis=1)
    if not inside.any():
        raise EditError(
            f"Moved by {tuple(float(mm) for mm in by_ras_mm)} mm, label {label} would "
            "be outside the label map; expected at least a part of it inside. Move it "
            "less far."
        )
    moved = np.zeros_like(whole)
    moved[tuple(places[inside].T)] = True
    everything = as_box(slice(0, size) for size in whole.shape)
    return _with_segment(label_map, label, everything, moved, fixed)


def add_ball(
    label_map: LabelMap,
    label: int,
    center_ras_mm: Sequence[float],
    diameter_mm: float,
    inside: Collection[int] | None = None,
    name: str = "",
) -> LabelMap:
    """Adds a ball of a label, such as a lesion, about a place in the world.

    inside names the labels that the ball may replace; None means all. Raises EditError if the ball
    would have no voxel.
    """
    center = np.linalg.solve(label_map.ijk_to_ras, np.array([*center_ras_mm, 1.0], dtype=float))[
        2::-1
    ]
    shape = label_map.shape_kji
    spacing = np.array(label_map.spacing_ijk_mm[::-1])
    k, j, i = (
        ((np.arange(size) - middle) * mm) ** 2
        for size, middle, mm in zip(shape, center, spacing, strict=True)
    )
    is_ball = (k[:, None, None] + j[:, None] + i) <= (diameter_mm / 2) ** 2
    if inside is not None:
        is_ball &= np.isin(label_map.labels_kji, list(inside))
    if not is_ball.any():
        raise EditError(
            f"A ball of {diameter_mm:g} mm about "
            f"{tuple(float(mm) for mm in center_ras_mm)} covers no voxel that it may "
            "replace; expected a position inside the label map. Move it, make it larger, "
            "or let it replace other labels."
        )
    names = {**label_map.names, **({label: name} if name else {})}
    return replace(label_map, labels_kji=_written(label_map, is_ball, label), names=names)


def thickest_place_ras_mm(label_map: LabelMap, label: int) -> tuple[float, float, float]:
    """Gives the center of the voxel that lies deepest in a segment, in RAS mm.

    If several lie equally deep, it is the first in the map. Raises EditError for a label that the
    map does not have.
    """
    mask, box = _segment(label_map, label, 0)
    depth = _depth_mm(label_map, mask)
    deepest = np.unravel_index(np.argmin(depth), depth.shape)
    ijk = [float(side.start + at) for side, at in zip(box, deepest, strict=True)][::-1]
    place = label_map.ijk_to_ras @ np.array([*ijk, 1.0])
    return (float(place[0]), float(place[1]), float(place[2]))


def remove(label_map: LabelMap, label: int, to: int | None = None) -> LabelMap:
    """Removes a segment. to is the new label of its voxels; with None, each gets the label that
    lies nearest, background included."""
    mask, box = _segment(label_map, label, 0)
    if to is not None:
        return replace(label_map, labels_kji=_written(label_map, label_map.labels_kji == label, to))
    return _with_segment(label_map, label, box, np.zeros_like(mask), ())


def merge(label_map: LabelMap, labels: Collection[int], into: int) -> LabelMap:
    """Gives the voxels of several labels one label. The scan stays as it is if their fill is
    `keep`."""
    for label in labels:
        _segment(label_map, label, 0)
    is_merged = np.isin(label_map.labels_kji, list(labels))
    return replace(label_map, labels_kji=_written(label_map, is_merged, into))


def split(label_map: LabelMap, label: int, new_label: int, axis_ras: int, at_mm: float) -> LabelMap:
    """Gives the part of a segment that lies beyond a plane a new label.

    axis_ras is 0 for right, 1 for front and 2 for top. at_mm is the position of the plane on that
    axis of the world. The scan stays as it is if the look of the new label is `keep`. Raises
    EditError if one side would be empty.
    """
    _segment(label_map, label, 0)
    places = np.argwhere(label_map.labels_kji == label)
    matrix = label_map.ijk_to_ras
    along = places[:, ::-1] @ matrix[axis_ras, :3] + matrix[axis_ras, 3]
    beyond = along > at_mm
    if beyond.all() or not beyond.any():
        raise EditError(
            f"The plane at {at_mm:g} mm does not cut label {label}, which reaches from "
            f"{along.min():g} to {along.max():g} mm. Give a position in between."
        )
    mask = np.zeros(label_map.shape_kji, dtype=bool)
    mask[tuple(places[beyond].T)] = True
    return replace(label_map, labels_kji=_written(label_map, mask, new_label))


def _segment(label_map: LabelMap, label: int, room_mm: float) -> tuple[np.ndarray, Box]:
    """Gives the mask of a segment in its box, with room around it."""
    whole = label_map.labels_kji == label
    if label == 0 or not whole.any():
        raise EditError(
            f"The label map has no label {label}; expected one of {list(label_map.values)}."
        )
    room = voxels_of_mm(room_mm, label_map.spacing_ijk_mm[::-1])
    box = grown(box_of(whole), tuple(size + _MARGIN for size in room), whole.shape)
    return whole[box], box


def _depth_mm(label_map: LabelMap, mask: np.ndarray) -> np.ndarray:
    """Gives the distance of voxels to the border of a mask in mm, as [K,J,I]. It is negative
    inside.

    It is the distance between centers minus half a voxel, so that the border lies between them. The
    segment is taken to continue beyond the map.
    """
    spacing = label_map.spacing_ijk_mm[::-1]
    half = min(spacing) / 2
    return np.where(mask, half - distance_mm(~mask, spacing), distance_mm(mask, spacing) - half)


def _with_segment(
    label_map: LabelMap, label: int, box: Box, is_segment: np.ndarray, fixed: Collection[int]
) -> LabelMap:
    """Gives a label exactly the voxels of a mask in a box, except those of fixed labels.

    Voxels that it leaves get the nearest other label.
    """
    from scipy import ndimage

    labels = label_map.labels_kji.copy()
    part = labels[box]
    was_segment = part == label
    is_segment = is_segment & ~(np.isin(part, list(fixed)) & ~was_segment)
    left = was_segment & ~is_segment
    if left.any():
        others = ~was_segment & ~is_segment
        if others.any():
            around = grown(box_of(left), (_MARGIN,) * 3, part.shape)
            if not others[around].any():
                around = as_box(slice(0, size) for size in part.shape)
            index = ndimage.distance_transform_edt(
                ~others[around],
                sampling=label_map.spacing_ijk_mm[::-1],
                return_distances=False,
                return_indices=True,
            )
            part[around] = np.where(left[around], part[around][tuple(index)], part[around])
        else:
            part[left] = 0
    part[is_segment] = label
    return replace(label_map, labels_kji=labels)


def _written(label_map: LabelMap, mask: np.ndarray, label: int) -> np.ndarray:
    """Writes one value into the labels in a mask, in a type that can hold it."""
    dtype = np.promote_types(label_map.labels_kji.dtype, np.min_scalar_type(label))
    labels = label_map.labels_kji.astype(dtype)
    labels[mask] = label
    return labels
