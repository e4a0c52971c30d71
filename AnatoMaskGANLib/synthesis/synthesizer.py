"""The Synthesizer: a label map on any grid in, a synthetic volume on the same grid out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

from AnatoMaskGANLib import __version__
from AnatoMaskGANLib.networks.generator import Generator
from AnatoMaskGANLib.volumes import (
    LabelMap,
    LabelMatch,
    LabelTable,
    Volume,
    apply_matches,
    match_labels,
    to_grid_of,
    to_model_grid,
)

from .devices import pick_device
from .errors import SynthesisCancelledError
from .frozen_generator import FrozenGenerator
from .model_folder import ModelCard, read_model
from .region import labeled_region
from .region_labels import RegionLabels
from .volume_pass import VolumePass

SLAB_SIZE = 64
OnProgress = Callable[[float, str], None]
"""Called with the done share in [0,1] and what is being done."""


class Synthesizer:
    """A loaded model on a device."""

    def __init__(self, card: ModelCard, generator: Generator, device: torch.device) -> None:
        self.card = card
        self.device = device
        self.generator = generator.to(device).eval().requires_grad_(False)
        self.frozen = FrozenGenerator(self.generator)
        self.label_table = LabelTable.from_dict(card.label_table)

    @classmethod
    def from_checkpoint(cls, name_or_path: str | Path, device: str = "auto") -> Synthesizer:
        """A model by its name or the path of its folder, on auto, cpu, cuda, cuda:N or mps.

        Raises CheckpointError for a model that is missing or not whole, DeviceError for a device
        that is not there.
        """
        chosen = pick_device(device)
        return cls(*read_model(name_or_path), chosen)

    def match(
        self, label_map: LabelMap, user_table: Mapping[str, str | int | None] | None = None
    ) -> tuple[LabelMatch, ...]:
        """Which class of the model every label of the map becomes, and by which rule."""
        return match_labels(label_map, self.label_table, user_table)

    @torch.inference_mode()
    def synthesize(
        self,
        label_map: LabelMap,
        seed: int = 0,
        noise_strength: float = 1.0,
        on_progress: OnProgress | None = None,
        is_cancelled: Callable[[], bool] | None = None,
        unmatched: str = "stop",
        user_table: Mapping[str, str | int | None] | None = None,
        slab_size: int = SLAB_SIZE,
    ) -> Volume:
        """The synthetic volume, float32 in the model's physical unit, on exactly the map's grid.

        Same map, model, seed and strength, same volume. noise_strength 0 gives the deterministic
        image. unmatched: "stop" raises UnmatchedLabelsError for labels that the model does not
        know, "background" treats them as background. slab_size: slices held in memory at once.
        Raises SynthesisCancelledError when is_cancelled says so.
        """
        if not (np.isfinite(noise_strength) and noise_strength >= 0):
            raise ValueError(f"noise_strength is {noise_strength}; expected a number of 0 or more")
        report = on_progress or (lambda share, text: None)
        report(0.0, "matching labels")
        matches = self.match(label_map, user_table)
        matched = apply_matches(label_map, matches, unmatched)
        on_model_grid = to_model_grid(matched, self.card.spacing_ijk_mm)
        voxels = self._voxels(
            on_model_grid.labels_kji, seed, noise_strength, slab_size, report, is_cancelled
        )
        low, high = self.card.window
        volume = Volume(
            voxels * np.float32(high - low) + np.float32(low),
            on_model_grid.ijk_to_ras,
            self.card.window,
            self.card.unit,
            self._provenance(label_map, matches, seed, noise_strength),
        )
        report(0.98, "putting the image on the segmentation's grid")
        volume = to_grid_of(volume, label_map)
        report(1.0, "done")
        return volume

    def _voxels(
        self,
        labels_kji: np.ndarray,
        seed: int,
        noise_strength: float,
        slab_size: int,
        report: OnProgress,
        is_cancelled: Callable[[], bool] | None,
    ) -> np.ndarray:
        """[K,J,I] float32 in [0,1] on the model grid; 0 outside the labeled region."""
        voxels = np.zeros(labels_kji.shape, dtype=np.float32)
        region = labeled_region(labels_kji, self.generator.settings.stride)
        if region is None:
            return voxels
        labels = RegionLabels(
            self.generator,
            self.frozen,
            labels_kji,
            region,
            self.card.spacing_ijk_mm,
            slab_size,
        )
        volume_pass = VolumePass(labels, seed, noise_strength)
        num_slices = len(labels.numbers)
        for count, (number, image) in enumerate(volume_pass.images(), start=1):
            if is_cancelled is not None and is_cancelled():
                raise SynthesisCancelledError("The synthesis was cancelled.")
            region.paste(image, number, voxels)
            report(0.02 + 0.95 * count / num_slices, f"slice {count} of {num_slices}")
        return voxels

    def _provenance(
        self,
        label_map: LabelMap,
        matches: tuple[LabelMatch, ...],
        seed: int,
        noise_strength: float,
    ) -> dict[str, str]:
        """What a synthetic volume says about itself, enough to make it again."""
        return {
            "SyntheticData": "YES",
            "Generator": f"AnatoMaskGAN {__version__}",
            "Model": self.card.name,
            "ModelSHA256": self.card.sha256,
            "Seed": str(seed),
            "NoiseStrength": repr(float(noise_strength)),
            "LabelMapSHA256": label_map.sha256(),
            "LabelMatches": "; ".join(
                f"{match.value}->{'background' if match.model_value is None else match.model_value}"
                f" ({match.rule})"
                for match in matches
            ),
            "Licence": self.card.licence,
            "Notice": "Synthetic image for research; not for diagnosis.",
        }
