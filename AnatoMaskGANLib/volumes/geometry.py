"""The places of voxels: one 4x4 matrix turns a voxel index (i, j, k) into RAS millimeters.

Arrays are KJI, so an array of shape (K, J, I) has its voxel `array[k, j, i]` centered at
`ijk_to_ras @ (i, j, k, 1)`. Any right- or left-handed, oblique, anisotropic grid is one such
matrix; only a shear is refused, because NRRD, MetaImage, DICOM and the model grid cannot hold it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import numpy as np

from AnatoMaskGANLib.volumes.errors import VolumeError

# The largest cosine of the angle between two axes of a grid. ITK accepts the axes of a NIfTI file
# with the same tolerance, which is 0.03 mm at the end of a 300 mm axis.
SHEAR_TOLERANCE = 1e-4

# Beyond the tolerance an angle may still be a right one whose digits were rounded in a header; the
# axes are made perpendicular where that moves no voxel by more than this part of the spacing.
_LARGEST_REPAIR_VOXELS = 0.1

# Below this a spacing is taken for zero; electron microscopy comes near 1e-6 mm.
SMALLEST_SPACING_MM = 1e-7

LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Turns RAS positions into LPS ones and back: it is its own inverse."""

AXIS_NAMES_IJK = "ijk"


def checked_ijk_to_ras(ijk_to_ras: np.ndarray) -> np.ndarray:
    """A read-only float64 copy of `ijk_to_ras`; VolumeError if it is no geometry of a volume."""
    matrix = np.array(ijk_to_ras, dtype=np.float64)
    if matrix.shape != (4, 4):
        raise VolumeError(
            f"The geometry is an array of shape {matrix.shape}; expected a 4x4 matrix "
            "from voxel index to RAS millimeters. Give the affine of the whole volume."
        )
    if not np.isfinite(matrix).all():
        raise VolumeError(
            "The geometry has values that are NaN or infinite, so the voxels have no "
            f"position: {_in_short(matrix)}. Expected finite numbers. Repair the header "
            "of the file."
        )
    if not np.allclose(matrix[3], (0, 0, 0, 1), rtol=0, atol=1e-9):
        raise VolumeError(
            f"The last row of the geometry is {matrix[3].tolist()}; expected [0, 0, 0, 1]. "
            "Give an affine matrix without perspective."
        )
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    for axis, length in zip(AXIS_NAMES_IJK, spacing, strict=True):
        if length < SMALLEST_SPACING_MM:
            raise VolumeError(
                f"The spacing along axis {axis} is {length:g} mm; expected more than zero. "
                "Repair the voxel size in the header of the file."
            )
    directions = matrix[:3, :3] / spacing
    if abs(np.linalg.det(directions)) < 1e-6:
        raise VolumeError(
            "The geometry is singular: its three axes lie in one plane: "
            f"{_in_short(matrix)}. Expected three independent axes. Repair the header of "
            "the file."
        )
    for first, second in itertools.combinations(range(3), 2):
        cosine = float(directions[:, first] @ directions[:, second])
        if abs(cosine) > SHEAR_TOLERANCE:
            angle = np.degrees(np.arccos(np.clip(cosine, -1, 1)))
            raise VolumeError(
                f"The geometry is sheared: axes {AXIS_NAMES_IJK[first]} and "
                f"{AXIS_NAMES_IJK[second]} meet at {angle:.2f} degrees; expected 90. Resample the "
                "volume onto a grid with perpendicular axes first, for instance with Slicer's "
                "Resample Scalar/Vector/DWI Volume or nibabel.processing.conform."
            )
    matrix.setflags(write=False)
    return matrix


def without_rounding_shear(
    shape_kji: Sequence[int], ijk_to_ras: np.ndarray
) -> tuple[np.ndarray, float]:
    """The matrix with perpendicular axes and the largest shift in mm, where the shear is rounding.

    The center of the volume and the spacing stay. A matrix that is no geometry, has no shear, or
    has one that would move a voxel by more than a tenth of the spacing comes back as it was, with
    a shift of 0.
    """
    matrix = np.array(ijk_to_ras, dtype=np.float64)
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
        return ijk_to_ras, 0.0
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    if spacing.min() < SMALLEST_SPACING_MM:
        return ijk_to_ras, 0.0
    directions = matrix[:3, :3] / spacing
    cosines = np.abs(directions.T @ directions - np.eye(3))
    if cosines.max() <= SHEAR_TOLERANCE or abs(np.linalg.det(directions)) < 0.5:
        return ijk_to_ras, 0.0
    left, _, right = np.linalg.svd(directions)
    squared = np.eye(4)
    squared[:3, :3] = (left @ right) * spacing
    middle = [(size - 1) / 2 for size in reversed(shape_kji[:3])]
    squared[:3, 3] = matrix[:3, 3] + (matrix[:3, :3] - squared[:3, :3]) @ middle
    shift_mm = largest_shift_mm(shape_kji[:3], matrix, squared)
    if shift_mm > _LARGEST_REPAIR_VOXELS * spacing.min():
        return ijk_to_ras, 0.0
    return squared, shift_mm


def spacing_ijk_mm_of(ijk_to_ras: np.ndarray) -> tuple[float, float, float]:
    """The distance in mm between neighboring voxel centers along i, j and k."""
    i, j, k = np.linalg.norm(ijk_to_ras[:3, :3], axis=0)
    return float(i), float(j), float(k)


def corner_indices_ijk(shape_kji: Sequence[int]) -> np.ndarray:
    """The indices [8, 4] (i, j, k, 1) of the eight corner voxels."""
    last_ijk = [size - 1 for size in reversed(shape_kji)]
    corners = itertools.product(*[(0, last) for last in last_ijk])
    return np.array([(*corner, 1) for corner in corners], dtype=np.float64)


def largest_shift_mm(
    shape_kji: Sequence[int], ijk_to_ras: np.ndarray, other_ijk_to_ras: np.ndarray
) -> float:
    """The largest distance in mm between a voxel's centers under two geometries.

    The difference of two affine maps is affine, so the largest one is found at a corner.
    """
    corners = corner_indices_ijk(shape_kji)
    difference = corners @ (np.asarray(ijk_to_ras) - np.asarray(other_ijk_to_ras))[:3].T
    return float(np.linalg.norm(difference, axis=1).max())


def axes_closest_to_ras(ijk_to_ras: np.ndarray) -> tuple[tuple[int, int, int], tuple[bool, ...]]:
    """The axis of the grid that runs closest along R, A and S, and whether it runs the other way.

    The answer is the one of the six assignments with the largest sum of direction cosines; among
    equal ones (an axis turned by 45 degrees) the first in lexical order, so that it is always the
    same.
    """
    directions = ijk_to_ras[:3, :3] / np.linalg.norm(ijk_to_ras[:3, :3], axis=0)

    def agreement(axes: tuple[int, ...]) -> float:
        return round(sum(abs(directions[world, axis]) for world, axis in enumerate(axes)), 6)

    axes = max(itertools.permutations(range(3)), key=agreement)
    flips = tuple(bool(directions[world, axis] < 0) for world, axis in enumerate(axes))
    return (axes[0], axes[1], axes[2]), flips


def without_trailing_ones(shape: Iterable[int]) -> tuple[int, ...]:
    """The shape without axes of size one beyond the third, which hold nothing."""
    sizes = list(shape)
    while len(sizes) > 3 and sizes[-1] == 1:
        sizes.pop()
    return tuple(sizes)


def _in_short(matrix: np.ndarray) -> str:
    return "[" + "; ".join(" ".join(f"{value:g}" for value in row) for row in matrix) + "]"
