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
_ALIKE_VOLUMES = (0.5, 2.0)  # of a piece that went and one that came, which is the same one then


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
    and not pushed together. near_mm: how far the field carries a piece.
    """
    differs = before != after
    came: list[Part] = []
    went: list[Part] = []
    labels = np.union1d(np.unique(after[differs]), np.unique(before[differs])).tolist()
    for label in labels:
        if label == 0:
            continue
        is_old, is_new = before == label, after == label
        if label in new_labels:
            came.append(Part("added", label, is_new))
            continue
        is_gained, is_lost = is_new & ~is_old, is_old & ~is_new
        if label in cut_labels and is_lost.any():
            went.append(Part("removed", label, is_lost))
            is_lost = np.zeros_like(is_lost)
        came += [
            Part("added", label, piece)
            for piece in _pieces(is_new, is_old, _FOUND_SHARE, is_lost, spacing_kji, near_mm)
            if np.count_nonzero(piece) >= _FEWEST_VOXELS
        ]
        if label not in cut_labels:
            went += [
                Part("removed", label, piece & differs)
                for piece in _pieces(is_old, is_new, _KEPT_SHARE, is_gained, spacing_kji, near_mm)
            ]
    return went + _carried_or_added(came, went, spacing_kji)


def _pieces(
    mask: np.ndarray,
    other: np.ndarray,
    most_shared: float,
    partners: np.ndarray,
    spacing_kji: tuple[float, ...],
    near_mm: float,
) -> list[np.ndarray]:
    """Connected pieces of the mask that share hardly a voxel with the other one and have no partner
    voxels nearby that they may have come from or gone to."""
    if not (mask & ~other).any():
        return []
    whole = box_of(mask)
    image = SimpleITK.GetImageFromArray(mask[whole].astype(np.uint8))
    numbers = SimpleITK.GetArrayFromImage(SimpleITK.ConnectedComponent(image, True))
    sizes = np.bincount(numbers.ravel())
    kept = np.bincount(numbers[other[whole]], minlength=len(sizes))
    found = []
    for number in range(1, len(sizes)):
        if kept[number] >= most_shared * sizes[number]:
            continue
        piece = np.zeros_like(mask)
        piece[whole] = numbers == number
        around = grown(box_of(piece), voxels_of_mm(near_mm, spacing_kji), mask.shape)
        candidates = partners[around]
        if candidates.any():
            if distance_mm(piece[around], spacing_kji)[candidates].min() <= near_mm:
                continue
        found.append(piece)
    return found


def _carried_or_added(
    came: list[Part], went: list[Part], spacing_kji: tuple[float, ...]
) -> list[Part]:
    """Pieces that came, with the offset to the piece of their label that went, if one did."""
    found = []
    for part in came:
        volume = np.count_nonzero(part.mask)
        fits = []
        for old in went:
            ratio = volume / max(np.count_nonzero(old.mask), 1)
            if old.label == part.label and _ALIKE_VOLUMES[0] <= ratio <= _ALIKE_VOLUMES[1]:
                offset = np.rint(_middle(old.mask) - _middle(part.mask)).astype(int)
                fits.append((float(np.linalg.norm(offset * spacing_kji)), tuple(offset.tolist())))
        found.append(Part("carried", part.label, part.mask, min(fits)[1]) if fits else part)
    return found


def _middle(mask: np.ndarray) -> np.ndarray:
    return np.array([places.mean() for places in np.nonzero(mask)])
