"""Parts of cases that a run is measured on: consecutive slices around the middle, whole in
plane.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from AnatoMaskGANLib.training.condition_map import condition_map, num_condition_classes
from AnatoMaskGANLib.volumes.case_store import CaseStore, StoredCase

_MARGIN = 8  # pixels around the labels


@dataclass(frozen=True)
class HeldOutCase:
    """A part of a case with real image and labels, halo included where it reaches."""

    name: str
    labels: Tensor  # [S+2*halo,H,W] int64, 0 beyond the case
    condition: Tensor  # [S+2*halo,H,W] int64
    image: Tensor  # [S,H,W] in [0,1]
    halo: int

    @property
    def inner_labels(self) -> Tensor:
        """[S,H,W] labels of the slices that are made."""
        return self.labels[self.halo : self.labels.shape[0] - self.halo]


def held_out_cases(
    store: CaseStore, guidance: str, split: str, num_cases: int, num_slices: int, halo: int
) -> list[HeldOutCase]:
    """The first cases by name of a split that have image and labels; none where it is empty."""
    usable = [
        case
        for case in sorted(store.of_split(split), key=lambda case: case.name)
        if case.image_sjk is not None
        and case.labels_sjk is not None
        and (guidance == "labels" or case.guidance_sjk is not None)
        and case.labeled_slices[1] > case.labeled_slices[0]
    ]
    return [_part_of(store, case, guidance, num_slices, halo) for case in usable[:num_cases]]


def _part_of(
    store: CaseStore, case: StoredCase, guidance: str, num_slices: int, halo: int
) -> HeldOutCase:
    depth, height, width = case.labels_sjk.shape
    size = min(num_slices, depth)
    middle = sum(case.labeled_slices) // 2
    first = max(0, min(depth - size, middle - size // 2))
    rows, columns = (
        slice(max(0, low - _MARGIN), min(length, high + _MARGIN))
        for (low, high), length in (
            (case.labeled_rows, height),
            (case.labeled_columns, width),
        )
    )
    before, after = max(0, halo - first), max(0, first + size + halo - depth)
    slices = slice(first - halo + before, first + size + halo - after)
    padding = ((before, after), (0, 0), (0, 0))

    def part(array: np.ndarray) -> Tensor:
        taken = np.pad(array[slices, rows, columns].astype(np.int64), padding)
        return torch.from_numpy(taken)

    labels = part(case.labels_sjk)
    superpixels = None if guidance == "labels" else part(case.guidance_sjk).float() / 255
    image = case.image_sjk[first : first + size, rows, columns].astype(np.float32) / 65535
    condition = condition_map(guidance, labels, superpixels, store.num_classes)
    if condition.max() >= num_condition_classes(guidance, store.num_classes):
        raise ValueError(
            f"case {case.name} has classes that the store's label table does not know; prepare the "
            "store again"
        )
    return HeldOutCase(case.name, labels, condition, torch.from_numpy(image), halo)
