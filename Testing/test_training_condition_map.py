from __future__ import annotations

import torch

from AnatoMaskGANLib.networks.label_grids import NUM_LEVELS
from AnatoMaskGANLib.training.condition_map import (
    condition_map,
    condition_swaps,
    condition_table,
    num_condition_classes,
)
from AnatoMaskGANLib.volumes import LabelTable

LABELS = torch.tensor([[0, 1, 2, 0]])
SUPERPIXELS = torch.tensor([[0.0, 0.5, 1.0, 1.0]])
TABLE = {"name": "two", "labels": {"1": "a", "2": "b"}, "swaps": {"1": 2, "2": 1}}


def test_labels_are_their_own_condition() -> None:
    assert condition_map("labels", LABELS, None, 3) is LABELS
    assert num_condition_classes("labels", 3) == 3


def test_superpixels_are_quantized_in_steps_of_ten_of_255() -> None:
    assert condition_map("superpixels", LABELS, SUPERPIXELS, 3).tolist() == [[0, 12, 25, 25]]
    assert num_condition_classes("superpixels", 3) == NUM_LEVELS == 26


def test_both_takes_superpixels_where_there_is_no_label() -> None:
    assert condition_map("both", LABELS, SUPERPIXELS, 3).tolist() == [[0, 1, 2, 27]]
    assert num_condition_classes("both", 3) == 28


def test_every_condition_class_has_a_name_in_the_table() -> None:
    for guidance in ("labels", "superpixels", "both"):
        table = LabelTable.from_dict(condition_table(guidance, TABLE))
        assert set(table.labels) == set(range(1, num_condition_classes(guidance, 3)))


def test_a_flip_changes_sides_of_labels_and_leaves_superpixels() -> None:
    swaps = {1: 2, 2: 1}
    assert condition_swaps("both", swaps, 3).tolist() == [0, 2, 1, *range(3, 28)]
    assert condition_swaps("superpixels", swaps, 3).tolist() == list(range(26))
