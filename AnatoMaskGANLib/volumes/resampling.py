"""Resampling between a map's own grid and the model's grid, without ever turning the axes.

The model grid runs along the map's own axes, permuted and flipped to be closest to RAS, in the
model's spacing; so an oblique map stays as sharp as it is and a slice stays a slice. Along each
axis the two grids share their middle, and the model's covers the whole extent of the map.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import SimpleITK

from AnatoMaskGANLib.volumes.errors import VolumeError
from AnatoMaskGANLib.volumes.geometry import axes_closest_to_ras, corner_indices_ijk
from AnatoMaskGANLib.volumes.label_map import LabelMap, in_smallest_type
from AnatoMaskGANLib.volumes.volume import Volume, same_grid

_logger = logging.getLogger(__name__)

# An axis whose spacing differs from the model's by less than this fraction of a voxel over its
# whole length keeps its own grid: permuting and flipping is exact and interpolates nothing.
_SAME_SPACING_VOXELS = 0.05

# More voxels than any scan has: a spacing in the wrong unit.
_LARGEST_GRID_VOXELS = 2_000_000_000


def to_model_grid(label_map: LabelMap, spacing_ijk_mm: Sequence[float]) -> LabelMap:
    """The label map on the model grid, each voxel with the label nearest to its center.

    The same painting stored in another order or direction of axes gives the same model labels.
    Raises VolumeError if the grid would have more than 2e9 voxels.
    """
    axes, flips = axes_closest_to_ras(label_map.ijk_to_ras)
    source_shape_ijk = label_map.shape_kji[::-1]
    num_voxels = num_model_voxels(label_map, spacing_ijk_mm)
    if num_voxels > _LARGEST_GRID_VOXELS:
        raise VolumeError(
            f"On the model grid ({_times(spacing_ijk_mm)} mm) the label map of "
            f"{_times(source_shape_ijk)} voxels of {_times(label_map.spacing_ijk_mm)} mm "
            f"would have {num_voxels:.3g} voxels; expected at most "
            f"{_LARGEST_GRID_VOXELS:.0e}. Check that its spacing is in millimeters."
        )
    indices_ras: list[np.ndarray] = []
    # model index (i, j, k) to the map's own index
    model_to_source = np.zeros((4, 4))
    model_to_source[3, 3] = 1
    for model_axis, (axis, is_flipped) in enumerate(zip(axes, flips, strict=True)):
        size = source_shape_ijk[axis]
        step = _step_in_source_voxels(
            size, label_map.spacing_ijk_mm[axis], float(spacing_ijk_mm[model_axis])
        )
        model_size = _model_size(size, step)
        first = (size - 1) / 2 - step * (model_size - 1) / 2
        if is_flipped:
            first, step = first + step * (model_size - 1), -step
        model_to_source[axis, model_axis] = step
        model_to_source[axis, 3] = first
        positions = first + step * np.arange(model_size)
        indices_ras.append(_nearest_indices(positions, size, is_flipped))
    # array axes are KJI: axis a of (i, j, k) is array axis 2 - a
    labels = label_map.labels_kji.transpose([2 - axes[2], 2 - axes[1], 2 - axes[0]])
    for array_axis, indices in enumerate(reversed(indices_ras)):
        labels = _take(labels, indices, array_axis)
    return LabelMap(
        np.ascontiguousarray(labels),
        label_map.ijk_to_ras @ model_to_source,
        label_map.names,
        label_map.codes,
    )


def num_model_voxels(label_map: LabelMap | Volume, spacing_ijk_mm: Sequence[float]) -> int:
    """The number of voxels of the model grid of a map or a volume; takes no memory for them."""
    axes, _ = axes_closest_to_ras(label_map.ijk_to_ras)
    count = 1
    for axis, model_spacing in zip(axes, spacing_ijk_mm, strict=True):
        size = label_map.shape_kji[2 - axis]
        spacing = label_map.spacing_ijk_mm[axis]
        count *= _model_size(size, _step_in_source_voxels(size, spacing, float(model_spacing)))
    return count


def _model_size(size: int, step: float) -> int:
    """Voxels of the model grid along an axis whose own voxels are 1 / step of them."""
    return max(1, int(np.ceil(size / step - 1e-3)))


def to_grid_of(volume: Volume, like: LabelMap | Volume) -> Volume:
    """The volume on exactly the grid of `like`, linearly interpolated.

    Where the grids agree up to permuted and flipped axes and whole voxels (within 1/40 of one),
    values are copied, in their own type; elsewhere float32. Up to half a voxel outside, the edge
    goes on; farther out the value is the lower end of the window, or else the volume's lowest.
    """
    like_to_volume = np.linalg.inv(volume.ijk_to_ras) @ like.ijk_to_ras
    axes = _axes_if_parallel(like_to_volume, like.shape_kji)
    if axes is None:
        voxels = _resample_turned(volume, like)
    else:
        voxels = _resample_along_axes(volume, like.shape_kji, like_to_volume, axes)
    return Volume(voxels, like.ijk_to_ras, volume.window, volume.unit, volume.provenance)


def labels_on_grid_of(label_map: LabelMap, like: LabelMap | Volume) -> LabelMap:
    """The label map on exactly the grid of `like`: each voxel has the label nearest to its center,
    outside the map background. On the same grid it is the map itself."""
    if same_grid(label_map, like):
        return label_map
    image = SimpleITK.GetImageFromArray(in_smallest_type(label_map.labels_kji))
    like_to_map = np.linalg.inv(label_map.ijk_to_ras) @ like.ijk_to_ras
    resampler = _resampler(like_to_map, like.shape_kji)
    resampler.SetInterpolator(SimpleITK.sitkNearestNeighbor)
    labels = SimpleITK.GetArrayFromImage(resampler.Execute(image))
    return replace(label_map, labels_kji=labels, ijk_to_ras=like.ijk_to_ras)


def is_part_of_grid(label_map: LabelMap, like: LabelMap | Volume) -> bool:
    """Whether every voxel of the map lies on a voxel of `like`, within 1/20 of one: a map of some
    slices, as segmentation objects of DICOM are."""
    corners = np.linalg.inv(like.ijk_to_ras) @ label_map.ijk_to_ras
    places = corner_indices_ijk(label_map.shape_kji) @ corners[:3].T
    last = np.array(like.shape_kji[::-1]) - 1
    is_inside = (places > -0.05).all() and (places < last + 0.05).all()
    steps = np.abs(corners[:3, :3])
    is_whole = np.abs(places - np.rint(places)).max() < 0.05
    return bool(is_inside and is_whole and np.abs(np.sort(steps, axis=0)[-1] - 1).max() < 0.01)


def volume_to_model_grid(volume: Volume, like_model: LabelMap) -> Volume:
    """A real volume on the model grid of its label map, linearly interpolated."""
    return to_grid_of(volume, like_model)


def _step_in_source_voxels(size: int, source_spacing: float, model_spacing: float) -> float:
    step = model_spacing / source_spacing
    return 1.0 if abs(step - 1) * size < _SAME_SPACING_VOXELS else step


def _nearest_indices(positions: np.ndarray, size: int, is_flipped: bool) -> np.ndarray:
    """The voxel nearest to each position; of two equally near ones the left, posterior, lower."""
    positions = np.round(positions, 6)
    nearest = np.floor(positions + 0.5) if is_flipped else np.ceil(positions - 0.5)
    return np.clip(nearest.astype(np.intp), 0, size - 1)


def _take(array: np.ndarray, indices: np.ndarray, axis: int) -> np.ndarray:
    """`array` at these indices along one axis; a view where they run evenly through it."""
    size = array.shape[axis]
    key: list[slice] = [slice(None)] * array.ndim
    if len(indices) == size and np.array_equal(indices, np.arange(size)):
        return array
    if len(indices) == size and np.array_equal(indices, np.arange(size)[::-1]):
        key[axis] = slice(None, None, -1)
        return array[tuple(key)]
    return np.take(array, indices, axis=axis)


def _axes_if_parallel(
    like_to_volume: np.ndarray, like_shape_kji: Sequence[int]
) -> tuple[int, int, int] | None:
    """The parallel axis of the volume for each axis of `like`; None if the grids are turned.

    Axes turned by less than a hundredth of a voxel over the whole grid count as parallel.
    """
    sizes_ijk = np.array(like_shape_kji[::-1], dtype=np.float64)
    reach = np.abs(like_to_volume[:3, :3]) * np.maximum(sizes_ijk - 1, 1)
    axes = tuple(int(axis) for axis in np.argmax(np.abs(like_to_volume[:3, :3]), axis=0))
    if sorted(axes) != [0, 1, 2]:
        return None
    for like_axis, axis in enumerate(axes):
        reach[axis, like_axis] = 0
    return None if reach.sum(axis=1).max() > 0.01 else (axes[0], axes[1], axes[2])


def _resample_along_axes(
    volume: Volume,
    like_shape_kji: Sequence[int],
    like_to_volume: np.ndarray,
    axes: tuple[int, int, int],
) -> np.ndarray:
    voxels = volume.voxels_kji.transpose([2 - axes[2], 2 - axes[1], 2 - axes[0]])
    outside: list[np.ndarray] = []
    for array_axis in range(3):
        like_axis = 2 - array_axis
        axis = axes[like_axis]
        size = voxels.shape[array_axis]
        positions = like_to_volume[axis, 3] + like_to_volume[axis, like_axis] * np.arange(
            like_shape_kji[array_axis]
        )
        outside.append((positions < -0.5 - 1e-3) | (positions > size - 0.5 + 1e-3))
        voxels = _interpolate(voxels, np.clip(positions, 0, size - 1), array_axis)
    voxels = np.ascontiguousarray(voxels)
    if any(mask.any() for mask in outside):
        if not voxels.flags.writeable or np.may_share_memory(voxels, volume.voxels_kji):
            voxels = voxels.copy()
        for array_axis, mask in enumerate(outside):
            key: list[slice | np.ndarray] = [slice(None)] * 3
            key[array_axis] = mask
            voxels[tuple(key)] = _value_outside(volume)
        _warn_of_outside(1 - np.prod([1 - mask.mean() for mask in outside]))
    return voxels


def _interpolate(voxels: np.ndarray, positions: np.ndarray, array_axis: int) -> np.ndarray:
    """Linear along one axis; exact, without arithmetic, where all positions are whole."""
    whole = np.round(positions)
    if np.abs(positions - whole).max() < _SAME_SPACING_VOXELS / 2:
        return _take(voxels, whole.astype(np.intp), array_axis)
    below = np.minimum(positions.astype(np.intp), max(voxels.shape[array_axis] - 2, 0))
    above = np.minimum(below + 1, voxels.shape[array_axis] - 1)
    shape = [1, 1, 1]
    shape[array_axis] = -1
    weight = (positions - below).astype(np.float32).reshape(shape)
    lower = np.take(voxels, below, axis=array_axis).astype(np.float32, copy=False)
    difference = np.take(voxels, above, axis=array_axis).astype(np.float32)
    difference -= lower
    difference *= weight
    difference += lower
    return difference


def _resample_turned(volume: Volume, like: LabelMap | Volume) -> np.ndarray:
    """Linear interpolation between grids whose axes are not parallel, by SimpleITK."""
    # Both grids are described in the volume's voxels: only the affine map between them matters.
    image = SimpleITK.GetImageFromArray(volume.voxels_kji.astype(np.float32, copy=False))
    like_to_volume = np.linalg.inv(volume.ijk_to_ras) @ like.ijk_to_ras
    resampler = _resampler(like_to_volume, like.shape_kji)
    resampler.SetInterpolator(SimpleITK.sitkLinear)
    resampler.SetDefaultPixelValue(float(_value_outside(volume)))
    voxels = SimpleITK.GetArrayFromImage(resampler.Execute(image))
    _warn_of_outside(_fraction_outside(like_to_volume, like.shape_kji, volume.shape_kji))
    return voxels


def _resampler(
    like_to_source: np.ndarray, shape_kji: Sequence[int]
) -> SimpleITK.ResampleImageFilter:
    """A filter that resamples to a grid of that shape.

    like_to_source: from voxels of that grid to voxels of the source.
    """
    transform = SimpleITK.AffineTransform(3)
    transform.SetMatrix(like_to_source[:3, :3].ravel().tolist())
    transform.SetTranslation(like_to_source[:3, 3].tolist())
    resampler = SimpleITK.ResampleImageFilter()
    resampler.SetSize([int(size) for size in shape_kji[::-1]])
    resampler.SetTransform(transform)
    return resampler


def _fraction_outside(
    like_to_volume: np.ndarray, like_shape_kji: Sequence[int], shape_kji: Sequence[int]
) -> float:
    """Fraction of `like`'s voxels outside the volume, on a lattice of at most 20 points a side."""
    points = [np.linspace(0, size - 1, min(size, 20)) for size in reversed(like_shape_kji)]
    grid = np.stack([axis.ravel() for axis in np.meshgrid(*points)])
    positions = like_to_volume[:3, :3] @ grid + like_to_volume[:3, 3:]
    sizes = np.array(shape_kji[::-1], dtype=np.float64)[:, None]
    return float(((positions < -0.5) | (positions > sizes - 0.5)).any(axis=0).mean())


def _value_outside(volume: Volume) -> float:
    return volume.window[0] if volume.window is not None else volume.voxels_kji.min()


def _warn_of_outside(fraction: float) -> None:
    if fraction > 0:
        _logger.warning("%.1f %% of the target grid is outside the volume", 100 * fraction)


def _times(numbers: Sequence[float]) -> str:
    return " x ".join(f"{number:g}" for number in numbers)
