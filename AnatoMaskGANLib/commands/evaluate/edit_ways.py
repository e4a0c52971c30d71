"""The ways to make an edit that an evaluation compares, and who judges whether it is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from AnatoMaskGANLib.editing import EditedScan, EditSettings
    from AnatoMaskGANLib.evaluation.edit_suite import Judge, Way
    from AnatoMaskGANLib.evaluation.metrics.edit_criteria import EditPlaces
    from AnatoMaskGANLib.synthesis import ModelCard, SynthesisOptions, Synthesizer
    from AnatoMaskGANLib.synthesis.edit_fillers import EditModel
    from AnatoMaskGANLib.synthesis.options import Progress, UserTable
    from AnatoMaskGANLib.synthesis.segmenting import VolumeSegmenter
    from AnatoMaskGANLib.volumes import LabelMap, LabelMatch, Volume

LABEL_MEAN = "label mean"
NEAREST = "nearest voxels"
MOVED = "moved voxels"

_KEPT = 2  # volumes of a model: of the map before an edit and of the one after it

ArrayEdit = Callable[["np.ndarray", "np.ndarray", "np.ndarray"], "np.ndarray"]
"""Voxels of the scan, labels before and after -> voxels after."""


def edit_ways(settings: EditSettings, model: EditModel | None) -> dict[str, Way]:
    """Name -> way: simple baselines, the model's edit in place, moved voxels, and both together."""
    from AnatoMaskGANLib.editing import edit_scan
    from AnatoMaskGANLib.evaluation.edit_baselines import label_mean_edit, nearest_voxel_edit

    def moved(scan: Volume, before: LabelMap, after: LabelMap) -> EditedScan:
        return edit_scan(scan, before, after, settings)

    ways: dict[str, Way] = {
        LABEL_MEAN: _way_of_arrays(label_mean_edit),
        NEAREST: _way_of_arrays(nearest_voxel_edit),
    }
    if model is not None:
        name = model.card.name
        ways[f"{name} in place"] = model.edit_in_place
        ways[f"{MOVED}, {name} in holes"] = lambda scan, before, after: (
            model.fill(moved(scan, before, after), after).volume
        )
    ways[MOVED] = lambda scan, before, after: moved(scan, before, after).volume
    return ways


def _way_of_arrays(edit: ArrayEdit) -> Way:
    def way(scan: Volume, before: LabelMap, after: LabelMap) -> Volume:
        made = edit(scan.voxels_kji, before.labels_kji, after.labels_kji)
        return replace(scan, voxels_kji=made)

    return way


def segmenter_judge(segmenter: VolumeSegmenter) -> Judge:
    """Dice of what a segmenter finds in the box of an edit, over the labels that took voxels."""
    import numpy as np

    from AnatoMaskGANLib.evaluation.metrics.faithfulness import dice_by_label, mean_of_labels
    from AnatoMaskGANLib.volumes import apply_matches, match_labels

    def judge(made: Volume, after: LabelMap, places: EditPlaces) -> float:
        matches = match_labels(after, segmenter.label_table)
        if all(match.model_value is None for match in matches):
            return float("nan")
        wanted = apply_matches(after, matches, "background").labels_kji[places.box]
        found = segmenter.segment(made).labels_kji[places.box]
        concerned = set(np.unique(wanted[places.is_changed[places.box]]).tolist()) - {0}
        dice = dice_by_label(wanted, found)
        return mean_of_labels({label: dice[label] for label in concerned})

    return judge


@dataclass
class Remembered:
    """A model that keeps the volumes of the last label maps: an edit and its inverse need them."""

    synthesizer: Synthesizer
    made: dict[str, Volume] = field(default_factory=dict)

    @property
    def card(self) -> ModelCard:
        """What the model is."""
        return self.synthesizer.card

    def match(
        self, label_map: LabelMap, user_table: UserTable | None = None
    ) -> tuple[LabelMatch, ...]:
        """What the model itself makes of the labels of a map."""
        return self.synthesizer.match(label_map, user_table)

    def synthesize(
        self,
        label_map: LabelMap,
        options: SynthesisOptions | None = None,
        progress: Progress | None = None,
    ) -> Volume:
        """The volume of a label map, always with the same options."""
        key = label_map.sha256()
        made = self.made.pop(key, None)
        if made is None:
            for oldest in list(self.made)[: 1 - _KEPT]:
                del self.made[oldest]
            made = self.synthesizer.synthesize(label_map, options, progress)
        self.made[key] = made
        return made
