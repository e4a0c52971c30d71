"""What of an edit cannot be moved: structures that came, that went, or that were carried away.

A part is a connected piece of one label. A piece that shrinks, grows or shifts keeps some of its
voxels, or has lost ones nearby that it may come from, and is no part: the field moves it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import SimpleITK

from .field import distance_mm
from .regions import box_of, grown, voxels_of_mm

_KEPT_SHARE = 0.1  # of a piece: one that keeps less of its voxels has gone
_FOUND_SHARE = 0.02  # of a piece: one with less of its voxels in the old map has come
_FEWEST_VOXELS = 8  # of a piece that came; smaller ones are crumbs of a thin structure
_SAME_SHAPE = 0.7  # Dice coefficient of a piece that went, shifted, and the one that came of it


@dataclass(frozen=True, eq=False)
class Part:
    """Voxels of a region's box that need contents of their own."""

    kind: str
    """"added": a label where nothing of it was; "removed": a piece that went; "carried": a piece
    that lies elsewhere now, too far for a field."""
    label: int
    """Of the piece that came or went."""
    mask: np.ndarray
    """[K,J,I] bool, of the region's box."""
    offset_kji: tuple[int, int, int] = (0, 0, 0)
    """Of a carried one: from its voxels to where their content lies in the scan."""


def find_parts(
    before: np.ndarray,
    after: np.ndarray,
    new_labels: Collection[int],
    cut_labels: Collection[int],
    spacing_kji: tuple[float, ...],
    near_mm: float,
) -> list[Part]:
    """The parts of a region, removed ones first.

    new_labels: those that the scan's own map has nowhere. cut_labels: what these lose is taken away
    and not pushed together. near_mm: how far the field carries a piece without overlap.
    """
    differs = before != after
    removed: list[Part] = []
    others: list[Part] = []
    labels = np.union1d(np.unique(after[differs]), np.unique(before[differs])).tolist()
    for label in labels:
        if label == 0:
            continue
        is_old, is_new = before == label, after == label
        if label in new_labels:
            others.append(Part("added", label, is_new))
            continue
        came = [
            piece
            for piece in _pieces(is_new, is_old, _FOUND_SHARE)
            if np.count_nonzero(piece) >= _FEWEST_VOXELS
        ]
        went = _pieces(is_old, is_new, _KEPT_SHARE)
        is_gained, is_lost = is_new & ~is_old, is_old & ~is_new
        if label in cut_labels:
            if is_lost.any():
                removed.append(Part("removed", label, is_lost))
            others += [Part("added", label, piece) for piece in came]
            continue
        carried = []
        for piece in came:
            number, offset = _origin(piece, went, spacing_kji, near_mm)
            if number is not None:
                carried.append(number)
                others.append(Part("carried", label, piece, offset))
            elif not _is_near(piece, is_lost, spacing_kji, near_mm):
                others.append(Part("added", label, piece))
        for number, piece in enumerate(went):
            if number in carried or not _is_near(piece, is_gained, spacing_kji, near_mm):
                removed.append(Part("removed", label, piece & differs))
    return removed + others


def _pieces(mask: np.ndarray, other: np.ndarray, most_shared: float) -> list[np.ndarray]:
    """Connected pieces of the mask that share hardly a voxel with the other one."""
    if not (mask & ~other).any():
        return []
    box = box_of(mask)
    image = SimpleITK.GetImageFromArray(mask[box].astype(np.uint8))
    numbers = SimpleITK.GetArrayFromImage(SimpleITK.ConnectedComponent(image, True))
    sizes = np.bincount(numbers.ravel())
    kept = np.bincount(numbers[other[box]], minlength=len(sizes))
    found = []
    for number in range(1, len(sizes)):
        if kept[number] < most_shared * sizes[number]:
            piece = np.zeros_like(mask)
            piece[box] = numbers == number
            found.append(piece)
    return found


def _is_near(
    piece: np.ndarray, others: np.ndarray, spacing_kji: tuple[float, ...], near_mm: float
) -> bool:
    """Whether a piece has some of the other voxels nearby."""
    around = grown(box_of(piece), voxels_of_mm(near_mm, spacing_kji), piece.shape)
    if not others[around].any():
        return False
    return float(distance_mm(piece[around], spacing_kji)[others[around]].min()) <= near_mm


def _origin(
    piece: np.ndarray, went: list[np.ndarray], spacing_kji: tuple[float, ...], near_mm: float
) -> tuple[int | None, tuple[int, int, int]]:
    """Which of the pieces that went is this one, and the offset to it; None: none of them."""
    for number, old in enumerate(went):
        offset = np.rint(_middle(old) - _middle(piece)).astype(int)
        if np.linalg.norm(offset * spacing_kji) <= near_mm:
            continue
        places = np.argwhere(piece) + offset
        inside = ((places >= 0) & (places < old.shape)).all(axis=1)
        num_same = np.count_nonzero(old[tuple(places[inside].T)])
        if 2 * num_same >= _SAME_SHAPE * (len(places) + np.count_nonzero(old)):
            return number, tuple(offset.tolist())
    return None, (0, 0, 0)


def _middle(mask: np.ndarray) -> np.ndarray:
    return np.array([places.mean() for places in np.nonzero(mask)])
