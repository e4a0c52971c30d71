"""Slice stacks for training, a pure function of (seed, step): order, crop and augmentation
included.

Nothing is remembered between steps, so a resumed run sees what the uninterrupted one would have
seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from AnatoMaskGANLib.training.settings import DataSettings
from AnatoMaskGANLib.volumes.case_store import CaseStore, StoredCase, StoreError


@dataclass(frozen=True)
class StackBatch:
    """Stacks of one training step."""

    labels: Tensor  # [B,S+2*halo,H,W] int64
    images: Tensor  # [B,S,1,H,W] float32 in [0,1]
    positions_mm: Tensor  # [B,S]
    noise_seeds: tuple[int, ...]  # one a stack


class StackSampler:
    """Draws the stacks of any step from the cases of one split."""

    def __init__(
        self, store: CaseStore, split: str, settings: DataSettings, halo: int, seed: int
    ) -> None:
        self.settings = settings
        self.halo = halo
        self.seed = seed
        self.spacing_ijk_mm = store.spacing_ijk_mm
        self.cases = store.of_split(split)
        if not self.cases:
            raise StoreError(f"the {split} split of {store.folder} is empty")
        for case in self.cases:
            if case.labels_sjk.shape[0] < settings.stack_size:
                raise StoreError(
                    f"case {case.name} has {case.labels_sjk.shape[0]} slices, a stack needs "
                    f"{settings.stack_size}; lower stack_size or leave the case out"
                )
        self._swap = np.arange(store.num_classes)
        for value, partner in store.swaps.items():
            self._swap[value] = partner

    def batch(self, step: int, rank: int = 0) -> StackBatch:
        """The stacks of one step of one process."""
        generator = np.random.default_rng([self.seed, step, rank])
        drawn = [self._draw(generator) for _ in range(self.settings.batch_size)]
        positions = torch.arange(self.settings.stack_size) * self.spacing_ijk_mm[2]
        return StackBatch(
            labels=torch.stack([labels for labels, _ in drawn]),
            images=torch.stack([images for _, images in drawn])[:, :, None],
            positions_mm=positions.expand(self.settings.batch_size, -1),
            noise_seeds=tuple(
                int(generator.integers(2**62)) for _ in range(self.settings.batch_size)
            ),
        )

    def _draw(self, generator: np.random.Generator) -> tuple[Tensor, Tensor]:
        settings = self.settings
        case = self.cases[generator.integers(len(self.cases))]
        first = self._draw_first_slice(case, generator)
        rows = _draw_start(case.labeled_rows, settings.crop[0], generator)
        columns = _draw_start(case.labeled_columns, settings.crop[1], generator)
        starts = (first - self.halo, rows, columns)
        sizes = (settings.stack_size + 2 * self.halo, *settings.crop)
        labels = torch.from_numpy(_padded_part(case.labels_sjk, starts, sizes).astype(np.int64))
        image = _padded_part(case.image_sjk, starts, sizes).astype(np.float32) / 65535
        images = torch.from_numpy(image)
        if settings.flip and generator.random() < 0.5:
            labels, images = flip_left_right(labels, images, torch.from_numpy(self._swap))
        if generator.random() < settings.affine_share:
            angle = generator.uniform(-settings.rotation_degrees, settings.rotation_degrees)
            labels, images = rotate(labels, images, angle, self.spacing_ijk_mm[:2])
        return labels, images[self.halo : images.shape[0] - self.halo]

    def _draw_first_slice(self, case: StoredCase, generator: np.random.Generator) -> int:
        size = self.settings.stack_size
        low, high = case.labeled_slices
        num_slices = case.labels_sjk.shape[0]
        first, last = max(0, low - size // 4), min(num_slices, high + size // 4) - size
        return int(generator.integers(first, max(first, last) + 1))


def flip_left_right(labels: Tensor, images: Tensor, swap: Tensor) -> tuple[Tensor, Tensor]:
    """Both mirrored along I, with left labels turned into right ones.

    labels, images: [S,H,W]; swap: [C] value of every class's left-right partner.
    """
    return swap[labels.flip(-1)], images.flip(-1)


def rotate(
    labels: Tensor, images: Tensor, degrees: float, spacing_ij_mm: tuple[float, float]
) -> tuple[Tensor, Tensor]:
    """Both turned in plane about the center by the same angle; what enters is background.

    labels, images: [S,H,W]. Angles are those of the world: anisotropic pixels are respected.
    """
    height, width = labels.shape[1:]
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    ratio = spacing_ij_mm[1] * height / (spacing_ij_mm[0] * width)
    matrix = torch.tensor([[cosine, -sine * ratio, 0.0], [sine / ratio, cosine, 0.0]])
    grid = functional.affine_grid(matrix[None], [1, 1, height, width], align_corners=False)
    turned_labels = functional.grid_sample(
        labels[None].double(), grid.double(), mode="nearest", align_corners=False
    )
    turned = functional.grid_sample(images[None], grid, mode="bicubic", align_corners=False)
    return turned_labels[0].long(), turned[0].clamp(0, 1)


def _draw_start(extent: tuple[int, int], size: int, generator: np.random.Generator) -> int:
    """Start of a crop that covers a labeled extent or lies inside it, up to a margin of eight."""
    low, high = extent[0] - 8, extent[1] + 8 - size
    return int(generator.integers(min(low, high), max(low, high) + 1))


def _padded_part(
    array: np.ndarray, starts: tuple[int, int, int], sizes: tuple[int, int, int]
) -> np.ndarray:
    """A part of an array that may reach beyond it; outside lies zero."""
    part = np.zeros(sizes, dtype=array.dtype)
    source, target = [], []
    for start, size, length in zip(starts, sizes, array.shape, strict=True):
        first, last = max(0, start), min(length, start + size)
        source.append(slice(first, max(first, last)))
        target.append(slice(first - start, max(first, last) - start))
    part[tuple(target)] = array[tuple(source)]
    return part
