"""The condition map: what the generator is given for the anatomy, as integer classes.

Labels are their own classes. A superpixel has the class of its quantized mean, so that a generator
needs no code for guidance. With `both`, superpixels fill what has no label: the image guides the
body around the organs, the labels guide the organs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from AnatoMaskGANLib.networks.label_grids import NUM_LEVELS, superpixel_levels

LEVEL_NAME = "superpixel-level"


def num_condition_classes(guidance: str, num_classes: int) -> int:
    """Classes of the condition map, background included."""
    if guidance == "labels":
        return num_classes
    return NUM_LEVELS if guidance == "superpixels" else num_classes + NUM_LEVELS - 1


def condition_map(
    guidance: str, labels: Tensor, superpixels: Tensor | None, num_classes: int
) -> Tensor:
    """Condition classes, of the shape of the labels.

    superpixels: their means in [0,1], of the same shape; needed unless the guidance is labels.
    """
    if guidance == "labels" or superpixels is None:
        return labels
    levels = superpixel_levels(superpixels)
    if guidance == "superpixels":
        return levels
    filled = torch.where(levels > 0, levels + num_classes - 1, levels)
    return torch.where(labels > 0, labels, filled)


def condition_table(guidance: str, label_table: Mapping[str, Any]) -> dict[str, Any]:
    """The label table of a model that was trained with this guidance."""
    if guidance == "labels":
        return dict(label_table)
    levels = {level: f"{LEVEL_NAME}-{level}" for level in range(1, NUM_LEVELS)}
    if guidance == "superpixels":
        return {"name": "superpixels", "labels": {str(v): name for v, name in levels.items()}}
    last = max(int(value) for value in label_table["labels"])
    added = {str(last + level): name for level, name in levels.items()}
    name = f"{label_table['name']}-superpixels"
    return {**label_table, "name": name, "labels": {**label_table["labels"], **added}}


def condition_swaps(guidance: str, swaps: Mapping[int, int], num_classes: int) -> Tensor:
    """[C] left-right partner of every condition class; levels are their own."""
    partner = torch.arange(num_condition_classes(guidance, num_classes))
    if guidance != "superpixels":
        for value, other in swaps.items():
            partner[value] = other
    return partner
