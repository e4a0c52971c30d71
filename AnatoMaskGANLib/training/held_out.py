"""The data that a run is measured on: whole slices around the middle of held-out cases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from AnatoMaskGANLib.synthesis.engine.synthesis_box import MARGIN
from AnatoMaskGANLib.training.condition_map import condition_map, num_condition_classes
from AnatoMaskGANLib.volumes.case_store import CaseStore, StoredCase, decode_guidance


@dataclass(frozen=True)
class HeldOutCase:
    """A part of a case with its real image and labels."""

    name: str
    labels: Tensor
    """[S+2*halo,H,W] int64; 0 beyond the first and the last slice of the case."""
    condition: Tensor
    """[S+2*halo,H,W] int64 condition classes."""
    image: Tensor
    """[S,H,W] in [0,1]."""
    halo: int

    @property
    def inner_labels(self) -> Tensor:
        """[S,H,W] labels of the slices that are made."""
        return self.labels[self.halo : self.labels.shape[0] - self.halo]


def held_out_cases(
    store: CaseStore, guidance: str, split: str, num_cases: int, num_slices: int, halo: int
) -> list[HeldOutCase]:
    """The first cases, by name, of a split that have image and labels; none if it is empty."""
    found: list[HeldOutCase] = []
    for case in sorted(store.of_split(split), key=lambda case: case.name):
        if len(found) < num_cases and case.labeled_slices[1] > case.labeled_slices[0]:
            part = _part_of(store, case, guidance, num_slices, halo)
            found += [part] if part is not None else []
    return found


def _part_of(
    store: CaseStore, case: StoredCase, guidance: str, num_slices: int, halo: int
) -> HeldOutCase | None:
    """The middle slices of a case; None if it has no image or labels, or lacks the superpixels that
    the guidance needs."""
    if case.image_sjk is None or case.labels_sjk is None:
        return None
    depth, height, width = case.labels_sjk.shape
    size = min(num_slices, depth)
    middle = sum(case.labeled_slices) // 2
    first = max(0, min(depth - size, middle - size // 2))
    rows, columns = (
        slice(max(0, low - MARGIN), min(length, high + MARGIN))
        for (low, high), length in (
            (case.labeled_rows, height),
            (case.labeled_columns, width),
        )
    )
    before, after = max(0, halo - first), max(0, first + size + halo - depth)
    slices = slice(first - halo + before, first + size + halo - after)
    padding = ((before, after), (0, 0), (0, 0))

    def part(array: np.ndarray, dtype: type) -> np.ndarray:
        return np.pad(array[slices, rows, columns].astype(dtype), padding)

    labels = torch.from_numpy(part(case.labels_sjk, np.int64))
    superpixels = None
    if guidance != "labels":
        if case.guidance_sjk is None:
            return None
        superpixels = torch.from_numpy(decode_guidance(part(case.guidance_sjk, np.float32)))
    image = case.image(slice(first, first + size), rows, columns)
    condition = condition_map(guidance, labels, superpixels, store.num_classes)
    if condition.max() >= num_condition_classes(guidance, store.num_classes):
        raise ValueError(
            f"case {case.name} has classes that the store's label table does not know; prepare the "
            "store again"
        )
    return HeldOutCase(case.name, labels, condition, torch.from_numpy(image), halo)
