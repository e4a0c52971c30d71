"""Voxel grids for tests: hand-made ones and a hypothesis strategy for all that a scan can have."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import strategies as st

# I to posterior, J to superior, K to left, anisotropic: left-handed.
LEFT_HANDED_PSL = np.array(
    [
        [0.0, 0.0, -2.5, 31.0],
        [-0.7, 0.0, 0.0, -12.25],
        [0.0, 1.1, 0.0, 7.5],
        [0.0, 0.0, 0.0, 1.0],
    ]
)


def rotation(angles: tuple[float, float, float]) -> np.ndarray:
    """3x3 rotation about x, then y, then z, in radians."""
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        first, second = [other for other in range(3) if other != axis]
        step = np.eye(3)
        step[first, first] = step[second, second] = np.cos(angle)
        step[first, second], step[second, first] = -np.sin(angle), np.sin(angle)
        matrix = step @ matrix
    return matrix


def grid(
    axes: tuple[int, int, int],
    signs: tuple[int, int, int],
    spacing: tuple[float, float, float],
    angles: tuple[float, float, float] = (0.0, 0.0, 0.0),
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> np.ndarray:
    """ijk_to_ras whose axis n runs along the world axis axes[n], then turned by the angles."""
    matrix = np.eye(4)
    matrix[:3, :3] = 0
    for column, (axis, sign, length) in enumerate(zip(axes, signs, spacing, strict=True)):
        matrix[axis, column] = sign * length
    matrix[:3, :3] = rotation(angles) @ matrix[:3, :3]
    matrix[:3, 3] = origin
    return matrix


OBLIQUE = grid((2, 0, 1), (-1, 1, -1), (0.8, 1.25, 3.0), (0.3, -0.2, 0.15), (-70.5, 33.3, 1204.7))

small_shapes_kji = st.tuples(*[st.integers(1, 7)] * 3)
ijk_to_ras_matrices = st.builds(
    grid,
    st.sampled_from(list(itertools.permutations(range(3)))),
    st.tuples(*[st.sampled_from([-1, 1])] * 3),
    st.tuples(*[st.floats(0.1, 10)] * 3),
    st.tuples(*[st.floats(-np.pi, np.pi)] * 3),
    st.tuples(*[st.floats(-500, 500)] * 3),
)


def voxel_centers(shape_kji: tuple[int, int, int], ijk_to_ras: np.ndarray) -> np.ndarray:
    """RAS of every voxel, [K,J,I,3], by the plain definition."""
    k, j, i = np.indices(shape_kji)
    indices = np.stack([i, j, k, np.ones_like(i)], axis=-1)
    return (indices @ ijk_to_ras.T)[..., :3]
