"""A model on a device: how a label map becomes work for the engine, and images become volumes."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from AnatoMaskGANLib.networks.generator import Generator
from AnatoMaskGANLib.networks.slice_batch import ImageGenerator
from AnatoMaskGANLib.synthesis.devices import half_precision_on
from AnatoMaskGANLib.synthesis.engine.memory_plan import Kept, check_grid_fits
from AnatoMaskGANLib.synthesis.engine.passes import Engine, EnginePass, NoiseChoice, PassLabels
from AnatoMaskGANLib.synthesis.engine.slice_pass import SliceEngine
from AnatoMaskGANLib.synthesis.engine.synthesis_box import BoxLabels, SynthesisBox, labeled_box
from AnatoMaskGANLib.synthesis.engine.volume_pass import VolumeEngine
from AnatoMaskGANLib.synthesis.errors import CheckpointError
from AnatoMaskGANLib.synthesis.model_map import ModelMap, on_model_grid
from AnatoMaskGANLib.synthesis.models.folder import ModelCard
from AnatoMaskGANLib.synthesis.options import SynthesisOptions
from AnatoMaskGANLib.synthesis.output_check import check_image
from AnatoMaskGANLib.volumes import LabelMap, Volume, label_table_of_model
from AnatoMaskGANLib.volumes.resampling import num_model_voxels

_logger = logging.getLogger(__name__)


class LoadedModel:
    """A model's network and card on a device.

    generator: of any kind that makes images (AnatoMaskGAN's own, OASIS, U-Net), as its card says.
    half_precision: float16 on a GPU, bfloat16 on a CPU that multiplies it; elsewhere, and with a
    network of another kind, float32 is used, and the log says so. memory_limit_bytes: limit for the
    whole process, which decides the size of slabs. Raises CheckpointError for a network that makes
    no image.
    """

    def __init__(
        self,
        card: ModelCard,
        generator: nn.Module,
        device: torch.device,
        half_precision: bool,
        memory_limit_bytes: int,
    ) -> None:
        self.card = card
        self.device = device
        self.memory_limit_bytes = memory_limit_bytes
        if card.generator.kind == "segmenter" or not isinstance(generator, ImageGenerator):
            raise CheckpointError(
                f"{card.name} makes label maps from images, not images; use it with: "
                "anatomaskgan segment"
            )
        self.generator: ImageGenerator = generator.to(device).eval().requires_grad_(False)
        self.engine: Engine[Any]
        if isinstance(self.generator, Generator):
            self.engine = VolumeEngine(self.generator, _precision(device, half_precision))
        else:
            self.engine = SliceEngine(self.generator, device)
            if half_precision:
                _logger.warning(
                    "%s networks run in float32 only; continuing in float32", card.generator.kind
                )
        self.label_table = label_table_of_model(card.label_table)

    def map_of(self, label_map: LabelMap, options: SynthesisOptions) -> ModelMap:
        """A label map on the model's grid; raises what `on_model_grid` raises.

        Before that grid is made, MemoryLimitError where its voxels alone are too many.
        """
        on_model = num_model_voxels(label_map, self.card.spacing_ijk_mm)
        check_grid_fits(self.memory_limit_bytes, max(on_model, label_map.labels_kji.size))
        return on_model_grid(label_map, self.card, self.label_table, options)

    def box_of(self, model_map: ModelMap) -> SynthesisBox | None:
        """The part of the grid that has to be synthesized; None where nothing is labeled."""
        return labeled_box(model_map.on_grid.labels_kji, self.card.generator.stride)

    def labels_of(
        self,
        model_map: ModelMap,
        box: SynthesisBox,
        kept: Kept,
        previous: PassLabels | None = None,
        changed: Iterable[int] = (),
    ) -> PassLabels:
        """The labels of a box for the engine. Raises MemoryLimitError where the limit is too low.

        previous: labels before an edit of the slices `changed`; what is still true is taken over.
        """
        labels_kji = model_map.on_grid.labels_kji
        return self.engine.labels_of(
            BoxLabels(labels_kji, box, self.card.spacing_ijk_mm),
            kept,
            self.memory_limit_bytes,
            max(labels_kji.size, model_map.label_map.labels_kji.size),
            previous,
            changed,
        )

    def start_pass(
        self, labels: PassLabels, options: SynthesisOptions, seed: int, kept: Kept
    ) -> EnginePass[Any]:
        """A pass with the noise of a seed."""
        noise = NoiseChoice(seed, options.noise_strength, options.noise_length_scale)
        return self.engine.start_pass(labels, noise, kept)

    def background(self, model_map: ModelMap) -> np.ndarray:
        """[K,J,I] float32 voxels on the model's grid without anatomy, in the physical unit."""
        return np.full(model_map.on_grid.shape_kji, self.card.window[0], dtype=np.float32)

    def in_window(self, image: np.ndarray) -> np.ndarray:
        """An image in [0,1] in the model's physical unit.

        Raises CheckpointError where it is not in [0,1], as `check_image`.
        """
        check_image(self.card, image)
        low, high = self.card.window
        return image * np.float32(high - low) + np.float32(low)

    def volume_of(
        self, voxels_kji: np.ndarray, model_map: ModelMap, provenance: Mapping[str, str]
    ) -> Volume:
        """Voxels on the model's grid, in its physical unit, as a volume."""
        card = self.card
        return Volume(voxels_kji, model_map.on_grid.ijk_to_ras, card.window, card.unit, provenance)

    def provenance(
        self, model_map: ModelMap, options: SynthesisOptions, seed: int
    ) -> dict[str, str]:
        """The provenance of a volume, with the precision where it is not 32 bits."""
        said = model_map.provenance(self.card, options, seed)
        if self.engine.dtype == torch.float32:
            return said
        return {"Precision": str(self.engine.dtype).removeprefix("torch.")} | said


def _precision(device: torch.device, half_precision: bool) -> torch.dtype:
    half = half_precision_on(device) if half_precision else torch.float32
    if half is None:
        _logger.warning("%s is not faster in 16 bits; continuing in float32", device)
    return half or torch.float32
