"""Finds where the frames of a multi-frame object lie: one grid, and the slice of every frame.

Segmentation objects and Enhanced images say place, orientation and spacing of each frame in
functional groups (DICOM PS3.3, C.7.6.16), shared by all frames or per frame, and in any order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from AnatoMaskGANLib.volumes.errors import VolumeError
from AnatoMaskGANLib.volumes.geometry import LPS_FROM_RAS, SMALLEST_SPACING_MM

# Positions have few decimals, as in series; more than this is another slice or a tilted gantry.
_LARGEST_SHIFT_MM = 0.1
_LARGEST_TURN = 1e-4
# More slices than any scan has: positions of a damaged or hostile file.
_MOST_SLICES = 4096


@dataclass(frozen=True, eq=False)
class FrameStack:
    """The grid on which the frames of an object lie."""

    ijk_to_ras: np.ndarray
    """4x4; i runs along the rows, j along the columns, k along their cross product in LPS."""
    num_slices: int
    slice_of_frame: tuple[int, ...]
    """Frame, in the order of the file, to its index k."""

    @property
    def has_gaps(self) -> bool:
        """Whether slices between the frames have no frame."""
        return len(set(self.slice_of_frame)) < self.num_slices


def functional_group(dataset: Any, frame: int, name: str) -> Any:
    """The one item of a functional group of a frame, of its own or shared; None without one."""
    own = getattr(dataset, "PerFrameFunctionalGroupsSequence", ())
    shared = getattr(dataset, "SharedFunctionalGroupsSequence", ())
    for groups in (*own[frame : frame + 1], *shared[:1]):
        items = getattr(groups, name, None)
        if items:
            return items[0]
    return None


def stack_of(path: Path, dataset: Any, num_frames: int) -> FrameStack:
    """The grid of a data set's frames, which may leave out slices between them.

    Raises VolumeError for frames without a place, with different orientations or spacings, and
    for places that are no multiples of one distance along the normal.
    """
    positions = _numbers(
        path, dataset, num_frames, ("PlanePositionSequence", "ImagePositionPatient", 3)
    )
    along = _same_for_all(
        path, dataset, num_frames, ("PlaneOrientationSequence", "ImageOrientationPatient", 6)
    )
    spacing_ji = _same_for_all(
        path, dataset, num_frames, ("PixelMeasuresSequence", "PixelSpacing", 2)
    )
    row, column = along[:3], along[3:]
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if max(abs(length - 1) for length in lengths) > 1e-2 or abs(row @ column) > 1e-2:
        raise VolumeError(
            f"{path} has the orientation {along.tolist()}; expected two perpendicular directions "
            "of length 1. It is damaged; export it again."
        )
    row, column = row / lengths[0], column / lengths[1]
    normal = np.cross(row, column)
    places_mm = positions @ normal
    spacing_k = _slice_distance(path, dataset, places_mm)
    first = int(np.argmin(places_mm))
    slices = np.rint((places_mm - places_mm[first]) / spacing_k).astype(np.int64)
    expected = positions[first] + slices[:, None] * spacing_k * normal
    shift_mm = float(np.linalg.norm(positions - expected, axis=1).max())
    if shift_mm > _LARGEST_SHIFT_MM:
        raise VolumeError(
            f"{path} has a frame {shift_mm:.2f} mm from its position in an evenly spaced stack "
            f"of slices {spacing_k:g} mm apart; expected parallel slices above each other. Load "
            "it in Slicer and save it as a segmentation or a volume."
        )
    ijk_to_lps = np.eye(4)
    ijk_to_lps[:3, 0] = row * spacing_ji[1]
    ijk_to_lps[:3, 1] = column * spacing_ji[0]
    ijk_to_lps[:3, 2] = normal * spacing_k
    ijk_to_lps[:3, 3] = positions[first]
    return FrameStack(
        LPS_FROM_RAS @ ijk_to_lps, int(slices.max()) + 1, tuple(int(k) for k in slices)
    )


def _slice_distance(path: Path, dataset: Any, places_mm: np.ndarray) -> float:
    """Distance of neighboring slices: the one that the file says, if all places are multiples of
    it, else the smallest between two places."""
    places = np.sort(places_mm)
    gaps = np.diff(places)
    gaps = gaps[gaps > _LARGEST_SHIFT_MM / 10]
    said = _said_distance(dataset)
    if not len(gaps):
        if said is None:
            raise VolumeError(
                f"{path} has one slice and does not say how thick it is; expected Slice Thickness "
                "or Spacing Between Slices. Export it again."
            )
        return said
    extent = float(places[-1] - places[0])
    for distance in (said, float(gaps.min())):
        if distance is None:
            continue
        off = np.abs(gaps / distance - np.rint(gaps / distance)) * distance
        count = round(extent / distance)
        if off.max() <= _LARGEST_SHIFT_MM and 1 <= count < _MOST_SLICES:
            return extent / count
    raise VolumeError(
        f"{path} has slices from {gaps.min():g} to {gaps.max():g} mm apart over {extent:g} mm; "
        "expected multiples of one distance. Load it in Slicer and save it as a segmentation or a "
        "volume."
    )


def _said_distance(dataset: Any) -> float | None:
    """Spacing Between Slices or Slice Thickness of the first frame, None without a usable one."""
    measures = functional_group(dataset, 0, "PixelMeasuresSequence")
    for key in ("SpacingBetweenSlices", "SliceThickness"):
        value = getattr(measures, key, None)
        if value is not None and math.isfinite(value) and value > SMALLEST_SPACING_MM:
            return float(value)
    return None


def _numbers(path: Path, dataset: Any, num_frames: int, wanted: tuple[str, str, int]) -> np.ndarray:
    """[frames, count] of what every frame says. wanted: functional group, attribute, count."""
    group, key, count = wanted
    rows: list[Sequence[float]] = []
    for frame in range(num_frames):
        values = getattr(functional_group(dataset, frame, group), key, None)
        numbers = [float(value) for value in values] if values is not None else []
        if len(numbers) != count or not all(map(math.isfinite, numbers)):
            raise VolumeError(
                f"Frame {frame + 1} of {path} does not say its {key}; expected {count} numbers for "
                "each frame. Objects without a place, such as those of microscope slides, cannot "
                "be used; export it again, or convert it to NIfTI."
            )
        rows.append(numbers)
    return np.array(rows, dtype=np.float64)


def _same_for_all(
    path: Path, dataset: Any, num_frames: int, wanted: tuple[str, str, int]
) -> np.ndarray:
    """The numbers that all frames have in common; arguments as for `_numbers`."""
    numbers = _numbers(path, dataset, num_frames, wanted)
    if np.abs(numbers - numbers[0]).max() > _LARGEST_TURN:
        raise VolumeError(
            f"{path} has frames with different {wanted[1]}; expected parallel slices of one "
            "grid. Split it into one object for each orientation."
        )
    if wanted[1] == "PixelSpacing" and numbers[0].min() < SMALLEST_SPACING_MM:
        raise VolumeError(
            f"{path} has the PixelSpacing {numbers[0].tolist()}; expected more than zero. It is "
            "damaged; export it again."
        )
    return numbers[0]
