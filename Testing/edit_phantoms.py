"""Small scans with label maps for the tests of edits: a body with two organs, on any grid."""

from __future__ import annotations

import numpy as np

from AnatoMaskGANLib.volumes import LabelMap, Volume

BODY, LIVER, KIDNEY = 1, 2, 3
NAMES = {BODY: "body", LIVER: "liver", KIDNEY: "kidney"}
MEANS = {0: -900.0, BODY: -80.0, LIVER: 60.0, KIDNEY: 160.0}
NOISE = 10.0


def anisotropic() -> np.ndarray:
    """1 x 1 x 3 mm, axes along RAS."""
    return np.diag([1.0, 1.0, 3.0, 1.0])


def oblique() -> np.ndarray:
    """1 x 1.2 x 2 mm, turned about two axes, left-handed, far from the origin."""
    a, b = np.radians(20), np.radians(-35)
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    turn = turn @ np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    matrix = np.eye(4)
    matrix[:3, :3] = turn @ np.diag([-1.0, 1.2, 2.0])
    matrix[:3, 3] = (103.0, -57.0, 20.5)
    return matrix


def ball(
    shape_kji: tuple[int, int, int],
    center_kji: tuple[float, float, float],
    radius_mm: float,
    spacing_kji: tuple[float, ...] = (1.0, 1.0, 1.0),
) -> np.ndarray:
    """[K,J,I] bool."""
    k, j, i = (
        ((np.arange(size) - middle) * mm) ** 2
        for size, middle, mm in zip(shape_kji, center_kji, spacing_kji, strict=True)
    )
    return k[:, None, None] + j[:, None] + i <= radius_mm**2


def phantom(
    ijk_to_ras: np.ndarray | None = None,
    dtype: type = np.int16,
    shape_kji: tuple[int, int, int] = (24, 48, 48),
) -> tuple[Volume, LabelMap]:
    """A scan and its label map on one grid: a kidney of 6 mm and a liver of 8 mm in a body.

    With uint8 the intensities are scaled to 0 to 255.
    """
    matrix = np.eye(4) if ijk_to_ras is None else ijk_to_ras
    spacing = tuple(np.linalg.norm(matrix[:3, :3], axis=0)[::-1])
    middle = [(size - 1) / 2 for size in shape_kji]
    extent = min(s * mm for s, mm in zip(shape_kji, spacing, strict=True) if s > 1)
    labels = np.zeros(shape_kji, np.uint8)
    labels[:, 3:-3, 3:-3] = BODY
    radius = min(8.0, extent / 3)
    left = (middle[0], middle[1], middle[2] - 10 / spacing[2])
    right = (middle[0], middle[1], middle[2] + 10 / spacing[2])
    labels[ball(shape_kji, left, radius, spacing)] = LIVER
    labels[ball(shape_kji, right, 0.75 * radius, spacing)] = KIDNEY
    noise = np.random.default_rng(4).standard_normal(shape_kji)
    values = np.vectorize(MEANS.get)(labels) + NOISE * noise
    if dtype is np.uint8:
        values = np.clip((values + 1000) / 5, 0, 255)
    unit = "HU" if dtype is not np.uint8 else ""
    scan = Volume(values.astype(dtype), matrix, None, unit)
    return scan, LabelMap(labels, matrix, NAMES)


def relabeled(label_map: LabelMap, mask: np.ndarray, label: int) -> LabelMap:
    """The map with one label in a mask."""
    labels = label_map.labels_kji.astype(np.int32)
    labels[mask] = label
    return LabelMap(labels, label_map.ijk_to_ras, label_map.names)


def with_ball(
    label_map: LabelMap, label: int, center_kji: tuple[float, float, float], radius_mm: float
) -> LabelMap:
    """The map with a ball of one label."""
    spacing = label_map.spacing_ijk_mm[::-1]
    return relabeled(label_map, ball(label_map.shape_kji, center_kji, radius_mm, spacing), label)
