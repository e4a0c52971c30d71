"""New anatomies from one: label maps bent, turned, scaled and flipped, with their topology kept.

A voxel x of the new map takes the label nearest to A (x + u(x)), where A is the affine part, about
the middle of the labels, and u a cubic B-spline displacement. Both are one-to-one: A is invertible,
and u is kept so flat (`MOST_STRETCH`) that x + u(x) is a homeomorphism. So as continuous shapes all
labels keep their holes, parts and neighbors. On the voxel lattice this holds for what is thick
against a voxel; sheets and bridges of one voxel can open or close, as in any resampling.

Letters: n control points along an axis.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from AnatoMaskGANLib.volumes.errors import VolumeError
from AnatoMaskGANLib.volumes.geometry import axes_closest_to_ras
from AnatoMaskGANLib.volumes.label_map import LabelMap
from AnatoMaskGANLib.volumes.label_table import LabelTable

MOST_STRETCH = 0.5
"""Bound on the derivative of the displacement, everywhere and in every direction. Below 1 it makes
x + u(x) one-to-one with a Jacobian above (1 - 0.5) ** 3; ours, half of what would do."""

_SLICES_AT_A_TIME = 16


@dataclass(frozen=True)
class DeformationSettings:
    """How far a new anatomy may differ from the one it is made of; ours, for adult anatomy."""

    displacement_mm: float = 4.0
    """Largest elastic displacement along each axis."""
    control_spacing_mm: float = 32.0
    """Distance of the spline's control points: how far a bend reaches."""
    rotation_degrees: float = 8.0
    """Largest rotation about each axis of the grid, either way."""
    scale: float = 1.08
    """Largest enlargement along each axis; the smallest is 1 / scale."""
    flips: bool = True
    """Half of the maps are flipped left to right, with left and right labels exchanged."""

    def __post_init__(self) -> None:
        ranges = {
            "displacement_mm": (0.0, 100.0),
            "control_spacing_mm": (1.0, 1000.0),
            "rotation_degrees": (0.0, 90.0),
            "scale": (1.0, 2.0),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} is {value}; expected {low:g} to {high:g}")


def deform_label_map(
    label_map: LabelMap,
    table: LabelTable,
    seed: int,
    settings: DeformationSettings | None = None,
) -> LabelMap:
    """Another anatomy on the same grid; the same seed gives the same one.

    table: the label table whose values the labels have; its swaps say which labels change places
    in a flip. Anatomy that is moved out of the grid is cut off. Raises VolumeError for an empty map
    or, with flips, for labels that the table does not know.
    """
    settings = settings or DeformationSettings()
    if not label_map.values:
        raise VolumeError("The label map has no label, so there is nothing to deform.")
    draws = np.random.default_rng([seed, 0x5EED])
    is_flipped = settings.flips and draws.random() < 0.5
    moved = flip_left_right(label_map, table) if is_flipped else label_map
    affine = _draw_affine(settings, draws)
    control = draw_control_points(moved, settings, draws)
    return _pulled(moved, affine, control, settings.control_spacing_mm)


def flip_left_right(label_map: LabelMap, table: LabelTable) -> LabelMap:
    """The mirror image on the same grid, left and right labels exchanged.

    Mirrored along the axis of the grid nearest to left-right, about its middle. Raises VolumeError
    for values that the table does not know: their partners are unknown.
    """
    unknown = [value for value in label_map.values if value not in table.labels]
    if unknown:
        raise VolumeError(
            f"The label map has values {unknown}, which the table {table.name} does not know, so "
            "their left-right partners are unknown. Match the labels to the table first."
        )
    axes, _ = axes_closest_to_ras(label_map.ijk_to_ras)
    array_axis = 2 - axes[0]
    lookup = np.arange(max(label_map.values + tuple(table.labels)) + 1)
    for value, partner in table.swaps.items():
        lookup[value] = partner
    swapped = lookup[np.flip(label_map.labels_kji, array_axis)]
    labels = swapped.astype(np.min_scalar_type(int(lookup.max())), copy=False)
    present = {int(value) for value in np.unique(labels) if value}
    names = {value: table.labels[value] for value in present}
    codes = {value: table.codes[value] for value in present if value in table.codes}
    return replace(label_map, labels_kji=labels, names=names, codes=codes)


def draw_control_points(
    label_map: LabelMap, settings: DeformationSettings, draws: np.random.Generator
) -> np.ndarray:
    """Displacements [n,n,n,3] in mm of the spline's control points, along the axes k, j, i.

    No larger than the settings' displacement, and together no steeper than MOST_STRETCH: the
    spline and its derivatives are weighted means of the points and of their differences, so what
    holds for these holds everywhere (Choi and Lee 2000 use the same bound).
    """
    shape = [
        math.ceil((size - 1) * mm / settings.control_spacing_mm) + 4
        for size, mm in zip(label_map.shape_kji, label_map.spacing_ijk_mm[::-1], strict=True)
    ]
    points = draws.standard_normal((*shape, 3))
    points *= settings.displacement_mm / np.abs(points).max()
    stretch = largest_stretch(points, settings.control_spacing_mm)
    return points * min(1.0, MOST_STRETCH / stretch) if stretch > 0 else points


def largest_stretch(points: np.ndarray, control_spacing_mm: float) -> float:
    """A bound on the norm of the spline's derivative, anywhere and in any direction."""
    steps = [np.linalg.norm(np.diff(points, axis=axis), axis=-1).max() for axis in range(3)]
    return float(np.linalg.norm(steps)) / control_spacing_mm


def _draw_affine(settings: DeformationSettings, draws: np.random.Generator) -> np.ndarray:
    """[3,3] in mm along the axes k, j, i, from the new map to the old: scales, then rotations."""
    logarithms = draws.uniform(-1, 1, 3) * math.log(settings.scale)
    matrix = np.diag(np.exp(logarithms))
    for axis, angle in enumerate(np.radians(draws.uniform(-1, 1, 3) * settings.rotation_degrees)):
        turn = np.eye(3)
        first, second = (axis + 1) % 3, (axis + 2) % 3
        turn[first, first] = turn[second, second] = math.cos(angle)
        turn[first, second], turn[second, first] = -math.sin(angle), math.sin(angle)
        matrix = turn @ matrix
    return matrix


def _pulled(
    label_map: LabelMap, affine: np.ndarray, control: np.ndarray, control_spacing_mm: float
) -> LabelMap:
    """Every voxel with the label at A (x + u(x) - c) + c, c the middle of the labels; 0 outside."""
    labels = label_map.labels_kji
    spacing = np.array(label_map.spacing_ijk_mm[::-1])
    center_mm = _middle_of_labels(labels) * spacing
    weights = [
        spline_weights(np.arange(size) * mm / control_spacing_mm, num_points)
        for size, mm, num_points in zip(labels.shape, spacing, control.shape[:3], strict=True)
    ]
    # Contract two axes once; the third one slab by slab, so that no whole field lies in memory.
    partly = np.einsum("jb,abcx->ajcx", weights[1], control)
    partly = np.einsum("ic,ajcx->ajix", weights[2], partly).astype(np.float32)
    rows = (np.arange(labels.shape[1]) * spacing[1])[None, :, None]
    columns = (np.arange(labels.shape[2]) * spacing[2])[None, None, :]
    found = np.zeros_like(labels)
    for first in range(0, labels.shape[0], _SLICES_AT_A_TIME):
        end = min(first + _SLICES_AT_A_TIME, labels.shape[0])
        place = np.tensordot(weights[0][first:end].astype(np.float32), partly, axes=1)
        place[..., 0] += (np.arange(first, end) * spacing[0])[:, None, None] - center_mm[0]
        place[..., 1] += rows - center_mm[1]
        place[..., 2] += columns - center_mm[2]
        source_mm = place @ affine.T.astype(np.float32) + center_mm.astype(np.float32)
        index = np.rint(source_mm / spacing.astype(np.float32)).astype(np.intp)
        inside = ((index >= 0) & (index < labels.shape)).all(axis=-1)
        k, j, i = index[inside].T
        found[first:end][inside] = labels[k, j, i]
    present = {int(value) for value in np.unique(found) if value}
    if not present:
        raise VolumeError(
            "The deformation moved every label out of the grid. Give a grid with room around the "
            "labels, or a smaller deformation."
        )
    return replace(
        label_map,
        labels_kji=found,
        names={value: name for value, name in label_map.names.items() if value in present},
        codes={value: code for value, code in label_map.codes.items() if value in present},
    )


def spline_weights(positions: np.ndarray, num_points: int) -> np.ndarray:
    """Cubic B-spline weights [N,n] of the control points at positions in control spacings.

    Point p lies at p - 1, so that the grid is covered; each row sums to 1.
    """
    distance = np.abs(positions[:, None] - (np.arange(num_points)[None] - 1))
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.clip(2 - distance, 0, None) ** 3 / 6
    return np.where(distance < 1, near, far)


def _middle_of_labels(labels_kji: np.ndarray) -> np.ndarray:
    """Middle of the box of the labels, in voxels along k, j, i."""
    middle = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        used = np.flatnonzero(labels_kji.any(axis=others))
        middle.append((used[0] + used[-1]) / 2)
    return np.array(middle)
