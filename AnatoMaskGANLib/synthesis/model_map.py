"""A label map on a model's grid, the class that every label became, and its provenance.

A label can get lost: it matches a class of the model, but is so small that the model's grid has no
voxel of it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from AnatoMaskGANLib import __version__
from AnatoMaskGANLib.volumes import (
    LabelMap,
    LabelMatch,
    LabelTable,
    VolumeError,
    apply_matches,
    match_labels,
    to_model_grid,
)
from AnatoMaskGANLib.volumes.label_matching import with_unmatched

if TYPE_CHECKING:
    from AnatoMaskGANLib.synthesis.models.folder import ModelCard
    from AnatoMaskGANLib.synthesis.options import SynthesisOptions

NONE_LOST = "none"

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelMap:
    """A label map in the model's classes, spacing and orientation."""

    label_map: LabelMap
    """The label map as it was given, on its own grid."""
    on_grid: LabelMap
    """The model's label values on the model's grid."""
    matches: tuple[LabelMatch, ...]
    """The class of the model that every label became, and the rule that decided it."""

    @cached_property
    def lost(self) -> tuple[LabelMatch, ...]:
        """The matches whose class the map on the model's grid does not have."""
        return tuple(
            match
            for match in self.matches
            if match.model_value is not None
            and not {match.model_value, *match.nearest} & set(self.on_grid.values)
        )

    def warn_of_lost(self) -> None:
        """Logs which labels are lost, where any are."""
        if self.lost:
            _logger.warning(
                "too small for the model's grid of %s mm and therefore not in the image: %s; paint "
                "them larger, or use a model with a finer grid",
                _size(self.on_grid),
                _named(self.lost),
            )

    def provenance(self, card: ModelCard, options: SynthesisOptions, seed: int) -> dict[str, str]:
        """The provenance of a volume made from this map, enough to make it again."""
        return {
            "SyntheticData": "YES",
            "Generator": f"AnatoMaskGAN {__version__}",
            "Model": card.name,
            "ModelSHA256": card.sha256,
            **options.provenance(seed),
            "LabelMapSHA256": self.label_map.sha256(),
            "LabelMatches": "; ".join(
                f"{match.value}->{match.target()} ({match.rule})" for match in self.matches
            ),
            "LostLabels": _named(self.lost),
            "Licence": card.licence,
            "Notice": "Synthetic image for research; not for diagnosis.",
        }


def on_model_grid(
    label_map: LabelMap, card: ModelCard, table: LabelTable, options: SynthesisOptions
) -> ModelMap:
    """The map on the model's grid; table: the label table of the card.

    Raises UnmatchedLabelsError for labels that the model does not know, unless the options say what
    they become, and VolumeError where every label is too small for the model's spacing.
    """
    matches = with_unmatched(match_labels(label_map, table, options.user_table), options.unmatched)
    matched = apply_matches(label_map, matches, options.unmatched)
    model_map = ModelMap(label_map, to_model_grid(matched, card.spacing_ijk_mm), matches)
    if not model_map.on_grid.values:
        raise VolumeError(
            f"No label is left on the model's grid of {_size(model_map.on_grid)} mm: "
            f"{_named(model_map.lost)} fell between its voxels. Paint the labels larger, check "
            "that the spacing of the label map is in millimeters, or use a model with a finer grid."
        )
    return model_map


def _named(lost: Sequence[LabelMatch]) -> str:
    """Values and names in the label map, as the provenance says them; `NONE_LOST` for none."""
    texts = (f"{match.value} {match.name or match.model_name}".strip() for match in lost)
    return "; ".join(texts) or NONE_LOST


def _size(model_map: LabelMap) -> str:
    return " x ".join(f"{spacing:g}" for spacing in model_map.spacing_ijk_mm)
