"""The Synthesizer: a label map on any grid in, a synthetic volume on the same grid out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from AnatoMaskGANLib.synthesis.devices import pick_device
from AnatoMaskGANLib.synthesis.engine.memory_plan import DEFAULT_LIMIT_BYTES, Kept
from AnatoMaskGANLib.synthesis.engine.passes import EnginePass
from AnatoMaskGANLib.synthesis.loaded_model import LoadedModel
from AnatoMaskGANLib.synthesis.models.folder import ModelCard, read_model
from AnatoMaskGANLib.synthesis.options import Progress, SynthesisOptions, UserTable
from AnatoMaskGANLib.synthesis.session import SynthesisSession
from AnatoMaskGANLib.volumes import (
    LabelMap,
    LabelMatch,
    LabelTable,
    Volume,
    match_labels,
    to_grid_of,
)


class Synthesizer:
    """A loaded model that makes volumes; the arguments are those of `LoadedModel`."""

    def __init__(
        self,
        card: ModelCard,
        generator: nn.Module,
        device: torch.device,
        half_precision: bool = False,
        memory_limit_bytes: int = DEFAULT_LIMIT_BYTES,
    ) -> None:
        self.model = LoadedModel(card, generator, device, half_precision, memory_limit_bytes)

    @classmethod
    def from_checkpoint(
        cls,
        name_or_path: str | Path,
        device: str = "auto",
        half_precision: bool = False,
        memory_limit_bytes: int = DEFAULT_LIMIT_BYTES,
    ) -> Synthesizer:
        """A model by its name or the path of its folder, on auto, cpu, cuda, cuda:N or mps.

        Raises CheckpointError for a model that is missing or not whole, DeviceError for a device
        that is not there.
        """
        chosen = pick_device(device)
        return cls(*read_model(name_or_path), chosen, half_precision, memory_limit_bytes)

    @property
    def card(self) -> ModelCard:
        """The model's card: what it is, needs and may be used for."""
        return self.model.card

    @property
    def label_table(self) -> LabelTable:
        """The labels that the model knows."""
        return self.model.label_table

    def match(
        self, label_map: LabelMap, user_table: UserTable | None = None
    ) -> tuple[LabelMatch, ...]:
        """The class of the model that every label becomes, and the rule that decides it."""
        return match_labels(label_map, self.label_table, user_table)

    def synthesize(
        self,
        label_map: LabelMap,
        options: SynthesisOptions | None = None,
        progress: Progress | None = None,
        **settings: Any,
    ) -> Volume:
        """The synthetic volume, float32 in the model's physical unit, on exactly the map's grid.

        Settings are given as `SynthesisOptions` or by name: `seed=7, noise_strength=0`. Same map,
        model and options, same volume.
        Raises UnmatchedLabelsError for labels that the model does not know, unless the options make
        them background; SynthesisCancelledError when progress says so; MemoryLimitError where the
        memory limit is too low for the map; ValueError for options of several seeds.
        """
        chosen = SynthesisOptions.of(options, settings)
        if len(chosen.seeds) != 1:
            raise ValueError(
                f"{len(chosen.seeds)} seeds came; expected one. synthesize_samples makes a volume "
                "for each."
            )
        (volume,) = self.synthesize_samples(label_map, chosen, progress)
        return volume

    def synthesize_samples(
        self,
        label_map: LabelMap,
        options: SynthesisOptions | None = None,
        progress: Progress | None = None,
        **settings: Any,
    ) -> Iterator[Volume]:
        """A volume for every seed, each as soon as it is made; arguments as for `synthesize`.

        What does not depend on the noise is found once and kept, as far as the memory limit allows.
        """
        chosen = SynthesisOptions.of(options, settings)
        return self._samples(label_map, chosen, progress or Progress())

    def _samples(
        self, label_map: LabelMap, options: SynthesisOptions, progress: Progress
    ) -> Iterator[Volume]:
        model, seeds = self.model, options.seeds
        progress.report(0.0, "matching labels")
        model_map = model.map_of(label_map, options)
        model_map.warn_of_lost()
        kept = Kept(labels=len(seeds) > 1)
        box = model.box_of(model_map)
        labels = None if box is None else model.labels_of(model_map, box, kept)
        for count, seed in enumerate(seeds):
            part = progress.span(count / len(seeds), (count + 1) / len(seeds))
            voxels = model.background(model_map)
            if labels is not None:
                self._fill(voxels, model.start_pass(labels, options, seed, kept), part)
            part.report(0.98, "bringing the image onto the segmentation's grid")
            provenance = model.provenance(model_map, options, seed)
            volume = to_grid_of(model.volume_of(voxels, model_map, provenance), label_map)
            part.report(1.0, "done")
            yield volume

    @torch.inference_mode()
    def _fill(self, voxels_kji: np.ndarray, images: EnginePass, progress: Progress) -> None:
        """Writes the image of the box into the voxels of the model grid."""
        labels = images.labels
        num_slices = len(labels.numbers)
        progress.report(0.02, "preparing the labels")
        made = images.images(check=progress.stop_if_cancelled)
        for count, (number, image) in enumerate(made, start=1):
            labels.box.paste(self.model.in_window(image), number, voxels_kji)
            progress.report(0.02 + 0.95 * count / num_slices, f"slice {count} of {num_slices}")

    def session(
        self,
        label_map: LabelMap,
        options: SynthesisOptions | None = None,
        progress: Progress | None = None,
        **settings: Any,
    ) -> SynthesisSession:
        """A volume that follows its label map: `session.volume`, then `session.update(new_map)`."""
        session = SynthesisSession(self.model, SynthesisOptions.of(options, settings))
        session.update(label_map, progress)
        return session
