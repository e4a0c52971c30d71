"""Voxels that become what lies nearest to them: lesions as the tissue around, halves of a whole."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import SimpleITK

from AnatoMaskGANLib.volumes.label_map import LabelMap

# The nearest label is first looked for within this distance around the voxels.
_FIRST_MARGIN_MM = 10.0


def nearest_label(
    label_map: LabelMap, is_open_kji: np.ndarray, sources: Collection[int]
) -> np.ndarray:
    """The value of the nearest voxel that has one of the sources, for each voxel of the mask.

    The values are int64, in the order of the mask's voxels. At least one voxel of the map must have
    a source. Distances are those of voxel centers in mm. The whole map is searched only where
    nothing nearer is found.
    """
    places = [np.flatnonzero(is_open_kji.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    first = np.array([along[0] for along in places])
    last = np.array([along[-1] for along in places])
    spacing_kji = np.array(label_map.spacing_ijk_mm[::-1])
    margin = _FIRST_MARGIN_MM
    while True:
        reach = np.ceil(margin / spacing_kji).astype(int)
        low = np.maximum(first - reach, 0)
        high = np.minimum(last + reach + 1, label_map.shape_kji)
        box = tuple(slice(*ends) for ends in zip(low, high, strict=True))
        labels = label_map.labels_kji[box]
        is_source = np.isin(labels, list(sources))
        is_whole = (high - low == label_map.shape_kji).all()
        if is_source.any():
            nearest, distance = _voronoi(np.where(is_source, labels, 0), spacing_kji)
            is_open = is_open_kji[box]
            if is_whole or distance[is_open].max() <= margin:
                return nearest[is_open]
        margin *= 2


def _voronoi(seeds_kji: np.ndarray, spacing_kji: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The value of the nearest seed of each voxel and its distance in mm."""
    values = np.unique(seeds_kji)  # 0 first
    image = SimpleITK.GetImageFromArray(np.searchsorted(values, seeds_kji).astype(np.int32))
    image.SetSpacing(spacing_kji[::-1].tolist())
    distances = SimpleITK.DanielssonDistanceMapImageFilter()
    distances.SetInputIsBinary(False)
    distances.SetUseImageSpacing(True)
    distances.SetSquaredDistance(False)
    distance = SimpleITK.GetArrayFromImage(distances.Execute(image))
    numbers = SimpleITK.GetArrayFromImage(distances.GetVoronoiMap())
    return values.astype(np.int64)[np.asarray(numbers, dtype=np.int64)], distance


def sided_label(label_map: LabelMap, is_open_kji: np.ndarray, left: int, right: int) -> np.ndarray:
    """The value of its side of the body for each voxel of the mask; int64, in the mask's order.

    The sides are divided at the middle of all labels along right (RAS).
    """
    i, j, k = np.nonzero(is_open_kji)[::-1]
    to_right = label_map.ijk_to_ras[0]
    x = to_right[0] * i + to_right[1] * j + to_right[2] * k + to_right[3]
    i, j, k = np.nonzero(label_map.labels_kji)[::-1]
    middle = float(to_right[0] * i.mean() + to_right[1] * j.mean() + to_right[2] * k.mean())
    return np.where(x < middle + to_right[3], left, right).astype(np.int64)
