"""Augmentation: one in-plane affine movement for all that lies on the same pixels.

It is drawn in millimeters of the world, so that a rotation neither shears nor stretches anisotropic
pixels. Image, labels and guidance are sampled at exactly the same positions.

Letters: S slices, H rows (J), W columns (I).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from AnatoMaskGANLib.training.settings import DataSettings

# Pixels around a position that bicubic interpolation reads.
_BICUBIC_REACH = 2


@dataclass(frozen=True, eq=False)
class Affine:
    """The source of each pixel of the moved stack: source = matrix (target - shift).

    Positions are (i, j) in mm from the center of the stack.
    """

    matrix_ij: np.ndarray
    """[2,2], maps moved positions to source positions."""
    shift_ij_mm: np.ndarray
    """[2], how far the anatomy moves."""
    spacing_ij_mm: tuple[float, float]

    def reach(self, crop: Sequence[int]) -> tuple[int, int]:
        """The number of rows and columns beyond each side of the crop that the moved crop reads."""
        height, width = crop
        half_ij = np.array([(width - 1) / 2, (height - 1) / 2])
        corners = np.array(list(itertools.product((-1, 1), repeat=2))) * half_ij
        sources = np.abs(self._source_pixels(corners)).max(axis=0)
        beyond = np.ceil(sources - half_ij - 1e-9).astype(int) + _BICUBIC_REACH
        columns, rows = np.maximum(beyond, 0)
        return int(rows), int(columns)

    def nearest(self, labels: Tensor, crop: Sequence[int]) -> Tensor:
        """The moved crop [S,*crop] of a part [S,H,W] around it, each pixel with the nearest value.

        The part reaches as far beyond the crop as `reach` says.
        """
        height, width = labels.shape[-2:]
        columns, rows = np.moveaxis(self._sources(crop), -1, 0)
        # pixels from the center to indices
        rows = np.rint(rows + (height - 1) / 2).astype(np.int64).clip(0, height - 1)
        columns = np.rint(columns + (width - 1) / 2).astype(np.int64).clip(0, width - 1)
        taken = labels.flatten(1)[:, torch.from_numpy((rows * width + columns).ravel())]
        return taken.reshape(-1, *crop)

    def bicubic(self, image: Tensor, crop: Sequence[int]) -> Tensor:
        """The moved crop [S,*crop] of a part [S,H,W] around it; it may overshoot the range."""
        height, width = image.shape[-2:]
        grid = torch.from_numpy(self._sources(crop) * 2 / np.array([width - 1, height - 1]))
        moved = functional.grid_sample(
            image[None], grid[None].to(image.dtype), mode="bicubic", align_corners=True
        )
        return moved[0]

    def _sources(self, crop: Sequence[int]) -> np.ndarray:
        """[H,W,2] source of each pixel of the crop, as (i, j) in pixels from the center."""
        rows = np.arange(crop[0]) - (crop[0] - 1) / 2
        columns = np.arange(crop[1]) - (crop[1] - 1) / 2
        return self._source_pixels(np.stack(np.meshgrid(columns, rows), axis=-1))

    def _source_pixels(self, target_pixels_ij: np.ndarray) -> np.ndarray:
        """Source positions [...,2] of target positions [...,2], both in pixels from the center."""
        spacing = np.array(self.spacing_ij_mm)
        return ((target_pixels_ij * spacing - self.shift_ij_mm) @ self.matrix_ij.T) / spacing


def draw_affine(
    settings: DataSettings, spacing_ijk_mm: Sequence[float], generator: np.random.Generator
) -> Affine | None:
    """A movement within the limits of the settings; None for a stack that stays as it is."""
    if generator.random() >= settings.affine_share:
        return None
    angle = math.radians(_either_way(settings.rotation_degrees, generator))
    lean = math.tan(math.radians(_either_way(settings.shear_degrees, generator)))
    scale = math.exp(_either_way(math.log(settings.zoom), generator))
    shift = np.array([_either_way(settings.shift_mm, generator) for _ in range(2)])
    rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    forward = scale * rotation @ np.array([[1.0, lean], [0.0, 1.0]])
    if np.allclose(forward, np.eye(2)) and not shift.any():
        return None
    return Affine(np.linalg.inv(forward), shift, (spacing_ijk_mm[0], spacing_ijk_mm[1]))


def _either_way(largest: float, generator: np.random.Generator) -> float:
    return float(generator.uniform(-largest, largest)) if largest else 0.0
