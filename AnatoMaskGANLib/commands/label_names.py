"""The option --labels: it says where a command takes the names of label values from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from AnatoMaskGANLib.volumes import LabelTable

MODELS_OWN = "model"
"""The word that stands for the numbers and names of the model's own labels."""


def names_given(labels: Path | None, table: LabelTable) -> Path | Mapping[int, str] | None:
    """The argument for `read_label_map` that an option --labels means: the file or the name of a
    bundled table, or the labels of the model's table; None if the option is not given."""
    if labels is not None and str(labels) == MODELS_OWN:
        return table.labels
    return labels
