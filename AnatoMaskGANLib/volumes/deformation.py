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
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from AnatoMaskGANLib.volumes.errors import VolumeError
from AnatoMaskGANLib.volumes.geometry import axes_closest_to_ras
from AnatoMaskGANLib.volumes.label_map import LabelMap
from AnatoMaskGANLib.volumes.label_table import LabelTable

MOST_STRETCH = 0.5
"""Bound on the derivative of the displacement, everywhere and in every direction. Below 1 it makes
x + u(x) one-to-one with a Jacobian above (1 - 0.5) ** 3; ours, half of what would do."""

_SLICES_AT_A_TIME = 16
_LATTICE = 24  # points along a side of the label box, at which a displacement is measured
_FEWEST_PLACES = 8
_MOST_POINTS = 64  # control spacings along the longest side of the grid
_MOST_TRIES = 8
_LONGER = 1.25  # factor that makes bends longer when they would fold
_HALVINGS = 2  # how often the lattice on which the stretch is bounded is halved
_NOTHING_MM = 1e-9


@dataclass(frozen=True)
class DeformationSettings:
    """Limits of how far a new anatomy may differ from the one it is made from; ours.

    Lengths are fractions of the size of the anatomy, the longest side of the box around its labels,
    so that a finger and a trunk are bent alike. For the brain of an adult, 170 mm long, the
    defaults are 4 mm and 34 mm.
    """

    displacement: float = 0.025
    """Largest elastic displacement of a label, beyond what the best affine map of the labels does,
    as a fraction of the anatomy's size."""
    control_spacing: float = 0.2
    """Distance of the spline's control points, how far a bend reaches, as a fraction of the
    anatomy's size. It is longer where so large a displacement would fold."""
    rotation_degrees: float = 8.0
    """Largest rotation about each axis of the grid, either way."""
    scale: float = 1.08
    """Largest enlargement along each axis; the smallest is 1 / scale."""
    flips: bool = True
    """Half of the maps are flipped left to right, with left and right labels exchanged."""

    def __post_init__(self) -> None:
        ranges = {
            "displacement": (0.0, 0.5),
            "control_spacing": (0.02, 10.0),
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
    return _pulled(moved, affine, draw_bend(moved, settings, draws))


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


@dataclass(frozen=True, eq=False)
class Bend:
    """A cubic B-spline displacement over the grid of a label map."""

    points_mm: np.ndarray
    """[n,n,n,3] displacements of the control points along the axes k, j, i. Point p of an axis lies
    at (p - 1) control spacings."""
    control_spacing_mm: float

    def at(self, positions_mm: Sequence[np.ndarray]) -> np.ndarray:
        """[K,J,I,3] displacements in mm on the lattice of these positions along k, j, i."""
        weights = [
            spline_weights(along / self.control_spacing_mm, num_points)
            for along, num_points in zip(positions_mm, self.points_mm.shape[:3], strict=True)
        ]
        field = self.points_mm
        for axis in range(3):
            field = np.moveaxis(np.tensordot(weights[axis], field, axes=(1, axis)), 0, axis)
        return field


def draw_bend(
    label_map: LabelMap, settings: DeformationSettings, draws: np.random.Generator
) -> Bend:
    """A displacement whose largest length over the labels, beyond the best affine map, is that of
    the settings, and which is nowhere steeper than MOST_STRETCH.

    A spline through random points is mostly shift and shear; what of it is affine over the labels
    is taken out, and the rest scaled to its length. Where that would fold, bends are made longer;
    where nothing helps, the displacement is smaller.
    """
    size_mm = anatomy_size_mm(label_map)
    wanted_mm = settings.displacement * size_mm
    grid_mm = _extent_mm(label_map)
    spacing_mm = max(settings.control_spacing * size_mm, max(grid_mm) / _MOST_POINTS)
    for _ in range(_MOST_TRIES):
        shape = [math.ceil(length / spacing_mm) + 4 for length in grid_mm]
        points = _without_affine(label_map, Bend(draws.standard_normal((*shape, 3)), spacing_mm))
        bend = Bend(points, spacing_mm)
        longest = largest_displacement_mm(label_map, bend)
        if wanted_mm == 0 or longest < _NOTHING_MM:
            return Bend(np.zeros_like(points), spacing_mm)
        bend = Bend(points * (wanted_mm / longest), spacing_mm)
        stretch = largest_stretch(bend)
        if stretch <= MOST_STRETCH:
            return bend
        spacing_mm *= _LONGER
    return Bend(bend.points_mm * (MOST_STRETCH / stretch), bend.control_spacing_mm)


def anatomy_size_mm(label_map: LabelMap) -> float:
    """The longest side of the box around the labels."""
    sides = zip(_label_box(label_map.labels_kji), label_map.spacing_ijk_mm[::-1], strict=True)
    return max((last - first + 1) * mm for (first, last), mm in sides)


def largest_displacement_mm(label_map: LabelMap, bend: Bend) -> float:
    """Longest displacement of a label, on a lattice of its box."""
    positions, is_labeled = _lattice_of_labels(label_map)
    return float(np.linalg.norm(bend.at(positions)[is_labeled], axis=-1).max())


def largest_stretch(bend: Bend) -> float:
    """A bound on the norm of the spline's derivative, anywhere and in any direction.

    On a control lattice that is halved twice, which describes the same spline, the derivative is a
    weighted mean of the differences of points nearby (Choi and Lee 2000 use the same bound on the
    first lattice, where it is looser).
    """
    points, spacing = bend.points_mm, bend.control_spacing_mm
    for _ in range(_HALVINGS):
        for axis in range(3):
            points = _halved(points, axis)
        spacing /= 2
    squares = [np.sum(np.diff(points, axis=axis) ** 2, axis=-1) for axis in range(3)]
    near = [_largest_near(square, axis) for axis, square in enumerate(squares)]
    return float(np.sqrt(np.sum(near, axis=0).max())) / spacing


def _halved(points: np.ndarray, axis: int) -> np.ndarray:
    """The control points of the same spline at half the spacing, by knot insertion; the outermost
    point on either side, which the grid does not need, is left out."""
    moved = np.moveaxis(points, axis, 0)
    between = (moved[:-1] + moved[1:]) / 2
    on = (moved[:-2] + 6 * moved[1:-1] + moved[2:]) / 8
    fine = np.empty((2 * len(moved) - 3, *moved.shape[1:]))
    fine[0::2], fine[1::2] = between, on
    return np.moveaxis(fine, 0, axis)


def _largest_near(squares: np.ndarray, axis: int) -> np.ndarray:
    """The largest of the differences that meet in each cell: three along their own axis and four
    along the others."""
    for other in range(3):
        windows = sliding_window_view(squares, 3 if other == axis else 4, axis=other)
        squares = windows.max(axis=-1)
    return squares


def _without_affine(label_map: LabelMap, bend: Bend) -> np.ndarray:
    """The control points less those of the affine map that is nearest over the labels.

    A cubic B-spline whose control points lie on an affine map is that map.
    """
    positions, is_labeled = _lattice_of_labels(label_map)
    places = np.stack(np.meshgrid(*positions, indexing="ij"), axis=-1)[is_labeled]
    field = bend.at(positions)[is_labeled]
    with_ones = np.column_stack([places, np.ones(len(places))])
    affine, *_ = np.linalg.lstsq(with_ones, field, rcond=None)
    steps = [(np.arange(n) - 1) * bend.control_spacing_mm for n in bend.points_mm.shape[:3]]
    at_points = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1)
    return bend.points_mm - (at_points @ affine[:3] + affine[3])


def _lattice_of_labels(label_map: LabelMap) -> tuple[list[np.ndarray], np.ndarray]:
    """Positions in mm along k, j, i of a lattice in the box of the labels, and which are labeled;
    all of them where it meets too few labels."""
    indices = [
        np.unique(np.linspace(first, last, _LATTICE).round().astype(int))
        for first, last in _label_box(label_map.labels_kji)
    ]
    is_labeled = label_map.labels_kji[np.ix_(*indices)] > 0
    if np.count_nonzero(is_labeled) < _FEWEST_PLACES:
        is_labeled = np.ones_like(is_labeled)
    spacings = label_map.spacing_ijk_mm[::-1]
    return [index * mm for index, mm in zip(indices, spacings, strict=True)], is_labeled


def _extent_mm(label_map: LabelMap) -> list[float]:
    """The distances from the first voxel to the last, along k, j, i."""
    sides = zip(label_map.shape_kji, label_map.spacing_ijk_mm[::-1], strict=True)
    return [(size - 1) * mm for size, mm in sides]


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


def _pulled(label_map: LabelMap, affine: np.ndarray, bend: Bend) -> LabelMap:
    """Every voxel with the label at A (x + u(x) - c) + c, c the middle of the labels; 0 outside."""
    labels = label_map.labels_kji
    control, control_spacing_mm = bend.points_mm, bend.control_spacing_mm
    spacing = np.array(label_map.spacing_ijk_mm[::-1])
    center_mm = np.array([(first + last) / 2 for first, last in _label_box(labels)]) * spacing
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


def _label_box(labels_kji: np.ndarray) -> list[tuple[int, int]]:
    """First and last voxel with a label along k, j, i."""
    box = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        used = np.flatnonzero(labels_kji.any(axis=others))
        box.append((int(used[0]), int(used[-1])))
    return box
