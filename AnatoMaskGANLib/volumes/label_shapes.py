"""How large each label of a map is, where it lies and how far it reaches: these show anatomy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from AnatoMaskGANLib.volumes.geometry import axes_closest_to_ras
from AnatoMaskGANLib.volumes.label_map import LabelMap


@dataclass(frozen=True, eq=False)
class LabelShape:
    """One label of a map."""

    volume_ml: float
    place_mm: np.ndarray
    """[3], the label's center of mass in RAS."""
    spread_mm: np.ndarray
    """[3], standard deviation of its voxels along the axes closest to right, anterior, superior."""
    is_cut: bool
    """Whether it reaches the edge of the grid, so that more of it may lie beyond."""


def shapes_of(label_map: LabelMap) -> dict[int, LabelShape]:
    """Label value to its shape, for all labels but background."""
    values = label_map.values
    largest = max(values, default=0)
    lookup = None
    if largest < 1 << 20:
        lookup = np.zeros(largest + 1, dtype=np.int64)
        lookup[list(values)] = np.arange(1, len(values) + 1)
    sizes = label_map.shape_kji
    num_labels = len(values) + 1
    along_k = np.zeros((num_labels, sizes[0]))
    along_j = np.zeros((num_labels, sizes[1]))
    along_i = np.zeros((num_labels, sizes[2]))
    rows, columns = np.indices(sizes[1:], sparse=True)
    for k, labels in enumerate(label_map.labels_kji):
        if not labels.any():
            continue
        numbers = _numbered(labels, values, lookup)
        along_k[:, k] = np.bincount(numbers.reshape(-1), minlength=num_labels)
        along_j += _histogram(numbers * sizes[1] + rows, num_labels, sizes[1])
        along_i += _histogram(numbers * sizes[2] + columns, num_labels, sizes[2])
    axes, _ = axes_closest_to_ras(label_map.ijk_to_ras)
    spacing = label_map.spacing_ijk_mm
    shapes = {}
    for number, value in enumerate(values, start=1):
        counts_ijk = (along_i[number], along_j[number], along_k[number])
        num_voxels = counts_ijk[0].sum()
        places = [np.arange(len(counts)) for counts in counts_ijk]
        middle = [c @ p / num_voxels for c, p in zip(counts_ijk, places, strict=True)]
        variance = [
            c @ (p - m) ** 2 / num_voxels
            for c, p, m in zip(counts_ijk, places, middle, strict=True)
        ]
        spread_ijk = np.sqrt(variance) * spacing
        shapes[value] = LabelShape(
            volume_ml=float(num_voxels * np.prod(spacing) / 1000),
            place_mm=(label_map.ijk_to_ras @ [*middle, 1])[:3],
            spread_mm=spread_ijk[list(axes)],
            is_cut=any(counts[0] or counts[-1] for counts in counts_ijk),
        )
    return shapes


def _numbered(labels: np.ndarray, values: tuple[int, ...], lookup: np.ndarray | None) -> np.ndarray:
    """0 for background and 1, 2, ... for the values in their order."""
    if lookup is not None:
        return lookup[labels]
    return np.where(labels == 0, 0, np.searchsorted(np.array(values), labels) + 1)


def _histogram(places: np.ndarray, num_labels: int, size: int) -> np.ndarray:
    counts = np.bincount(places.reshape(-1), minlength=num_labels * size)
    return counts.reshape(num_labels, size)
