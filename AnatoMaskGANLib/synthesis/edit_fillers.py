"""The ways to make the voxels of an edit in a real scan: moving, a model, or both.

    moved   the scan's own voxels move with their labels; no model takes part
    model   the model makes all voxels whose label changed, like `edit_in_place`
    both    voxels are moved, and the model makes those of holes and new structures

With both, every voxel of the scan and every moved voxel keeps its bits. The model's voxels fade in
from the border of what they fill, so that no seam is visible.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from AnatoMaskGANLib.synthesis.edit_in_place import (
    SURROUNDINGS_MM,
    VolumeMaker,
    as_type,
    box_around,
    distance_mm_to,
    edit_in_place,
    in_intensities_of,
)
from AnatoMaskGANLib.synthesis.options import Filler, Progress, SynthesisOptions
from AnatoMaskGANLib.volumes import LabelMap, Volume, to_grid_of

if TYPE_CHECKING:
    from AnatoMaskGANLib.editing import EditedScan
    from AnatoMaskGANLib.synthesis.models.folder import ModelCard

SEAM_MM = 2.0
"""The model's voxels are blended with others up to this depth inside what they fill."""

# The model's entries that go into the provenance of an edit.
_OF_MODEL = (
    *("Model", "ModelSHA256", "Seed", "NoiseStrength", "NoiseLengthScale"),
    *("LabelMatches", "Licence"),
)


@dataclass(frozen=True)
class EditModel:
    """A model that takes part in edits, and how its volumes are made."""

    synthesizer: VolumeMaker
    options: SynthesisOptions = SynthesisOptions()
    """The settings of the synthesis, with one seed."""

    @property
    def card(self) -> ModelCard:
        """Gives the card of the model."""
        return self.synthesizer.card

    def known_labels(self, label_map: LabelMap) -> frozenset[int]:
        """Gives the labels of a map that the model knows."""
        matches = self.synthesizer.match(label_map, self.options.user_table)
        return frozenset(match.value for match in matches if match.model_value is not None)

    def fill(
        self, edited: EditedScan, after: LabelMap, progress: Progress | None = None
    ) -> EditedScan:
        """Puts the model's voxels into the edited scan where the scan had none to move.

        after is the edited label map, which may have another grid. A structure whose label the
        model does not know keeps its painted voxels, including its soft border. Nothing is
        synthesized if there is nothing to fill. Raises what `Synthesizer.synthesize` raises.
        """
        from AnatoMaskGANLib.editing import FILLED

        is_hole = edited.how_made() >= FILLED
        if not is_hole.any():
            return replace(edited, volume=_with_record(edited.volume, {}, 0))
        known = self.known_labels(after)
        synthetic = self.synthesizer.synthesize(after, self.options, progress)
        is_known, is_unknown = (
            _on_grid_of(edited.volume, after, labels)
            for labels in (known, set(after.values) - known)
        )
        is_hole &= ~_pieces_with(is_hole, is_unknown)
        is_made, voxels = _filled(
            edited.volume, to_grid_of(synthetic, edited.volume), is_hole, is_known
        )
        volume = replace(edited.volume, voxels_kji=voxels)
        num_by_model = int(np.count_nonzero(is_made))
        return replace(edited, volume=_with_record(volume, synthetic.provenance, num_by_model))

    def edit_in_place(
        self, scan: Volume, before: LabelMap, after: LabelMap, progress: Progress | None = None
    ) -> Volume:
        """Puts the model's voxels into the scan wherever a label changed, and writes the
        provenance.

        Raises what `edit_in_place` raises.
        """
        from AnatoMaskGANLib.editing.provenance import scan_sha256

        volume = edit_in_place(
            self.synthesizer, scan, before, after, options=self.options, progress=progress
        )
        provenance = {
            "EditFiller": "model",
            "EditedScanSHA256": scan_sha256(scan),
            "LabelMapBeforeSHA256": before.sha256(),
            "LabelMapAfterSHA256": after.sha256(),
        }
        return replace(volume, provenance={**volume.provenance, **provenance})

    def advice(self, edited: EditedScan, after: LabelMap, filler: Filler) -> str:
        """Says which filler to choose instead, in a sentence. It is empty if the chosen one will
        do."""
        if not edited.is_other_anatomy:
            return ""
        name = self.card.name
        unknown = sorted(set(after.values) - self.known_labels(after))
        if unknown:
            which = ", ".join(after.names.get(label, str(label)) for label in unknown[:10])
            return f"The model {name} does not know {which}, so it is no better choice here."
        return f"{name} knows all labels: choose the filler model instead of {filler}."


def _on_grid_of(scan: Volume, label_map: LabelMap, labels: Collection[int]) -> np.ndarray:
    """Gives where a label map has one of these labels, as [K,J,I] bool on the scan's grid."""
    mask = np.isin(label_map.labels_kji, sorted(labels)).astype(np.float32)
    return to_grid_of(Volume(mask, label_map.ijk_to_ras), scan).voxels_kji > 0.5


def _pieces_with(mask: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """Gives the connected pieces of a mask that hold a seed."""
    import SimpleITK

    if not (mask & seeds).any():
        return np.zeros_like(mask)
    image = SimpleITK.GetImageFromArray(mask.astype(np.uint8))
    pieces = SimpleITK.GetArrayFromImage(SimpleITK.ConnectedComponent(image, True))
    return mask & np.isin(pieces, np.unique(pieces[mask & seeds]))


def _filled(
    edited: Volume, synthetic: Volume, is_hole_kji: np.ndarray, is_known_kji: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Gives where the model's voxels were put, and all voxels in the type of the edited volume."""
    voxels, is_made = edited.voxels_kji.copy(), np.zeros(edited.shape_kji, dtype=bool)
    if not is_hole_kji.any():
        return is_made, voxels
    spacing = edited.spacing_ijk_mm
    part = box_around(is_hole_kji, spacing, SURROUNDINGS_MM)
    is_hole, is_known = is_hole_kji[part], is_known_kji[part]
    depth_mm = distance_mm_to(~is_hole, spacing)
    weight = 0.5 - 0.5 * np.cos(np.pi * np.clip(depth_mm / SEAM_MM, 0, 1))
    weight[~is_known] = 0
    real = edited.voxels_kji[part].astype(np.float64)
    may_compare = is_known & ~is_hole
    made = in_intensities_of(synthetic.voxels_kji[part], real, may_compare, spacing, SEAM_MM)
    is_made[part] = weight > 0
    blended = as_type(real + weight * (made - real), voxels.dtype)
    voxels[part] = np.where(weight > 0, blended, voxels[part])
    return is_made, voxels


def _with_record(volume: Volume, of_model: Mapping[str, str], num_by_model: int) -> Volume:
    """Adds the model's entries to the provenance of an edited volume."""
    provenance = {key: of_model[key] for key in _OF_MODEL if key in of_model}
    provenance |= {"EditFiller": "both", "VoxelsByModel": str(num_by_model)}
    return replace(volume, provenance={**volume.provenance, **provenance})
