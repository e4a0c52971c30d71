"""A model on a device: how a label map becomes work for the engine, and images become volumes."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from AnatoMaskGANLib.networks.generator import Generator
from AnatoMaskGANLib.synthesis.devices import half_precision_on
from AnatoMaskGANLib.synthesis.engine.fast_generator import FastGenerator
from AnatoMaskGANLib.synthesis.engine.memory_plan import BLOCK_SIZE, slab_size_within
from AnatoMaskGANLib.synthesis.engine.slab_cache import SlabCache
from AnatoMaskGANLib.synthesis.engine.slice_pass import SliceLabels, SlicePass, start_pass
from AnatoMaskGANLib.synthesis.engine.synthesis_box import SynthesisBox, labeled_box
from AnatoMaskGANLib.synthesis.engine.volume_pass import MOST_THREADS, VolumePass
from AnatoMaskGANLib.synthesis.errors import CheckpointError
from AnatoMaskGANLib.synthesis.model_map import ModelMap, on_model_grid
from AnatoMaskGANLib.synthesis.models.folder import ModelCard
from AnatoMaskGANLib.synthesis.options import SynthesisOptions
from AnatoMaskGANLib.volumes import LabelMap, LabelTable, Volume

_logger = logging.getLogger(__name__)

PassLabels = SlabCache | SliceLabels
"""The labels of a box of the model's grid, as a pass of the engine needs them."""

EnginePass = VolumePass | SlicePass
"""Makes the images of the slices of a box with the noise of one seed."""


@dataclass(frozen=True)
class Kept:
    """What is kept in memory beyond one pass, as far as the memory limit allows."""

    labels: bool = False
    """What was found of the labels, because several passes or updates will use it."""
    slices: bool = False
    """What every slice has encoded, because few slices will be made again."""


class LoadedModel:
    """A model's network and card on a device.

    generator: of any kind that makes images (AnatoMaskGAN's own, OASIS, U-Net), as its card says.
    half_precision: float16 on a GPU, bfloat16 on a CPU that multiplies it; elsewhere, and with a
    network of another kind, float32 is used, and the log says so. memory_limit_bytes: of the whole
    process, within which slabs are sized. Raises CheckpointError for a network that makes no image.
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
        self.generator = generator.to(device).eval().requires_grad_(False)
        if card.generator.kind == "segmenter":
            raise CheckpointError(
                f"{card.name} makes label maps from images, not images; use it with: "
                "anatomaskgan segment"
            )
        self._own_networks: tuple[Generator, FastGenerator] | None = None
        if isinstance(generator, Generator):
            fast = FastGenerator(generator, _precision(device, half_precision))
            self._own_networks = (generator, fast)
        elif half_precision:
            _logger.warning(
                "%s networks run in float32 only; continuing in float32", card.generator.kind
            )
        self.label_table = LabelTable.from_dict(card.label_table)

    @property
    def fast(self) -> FastGenerator | None:
        """The engine's network; None for a generator that treats every slice by itself."""
        return None if self._own_networks is None else self._own_networks[1]

    def map_of(self, label_map: LabelMap, options: SynthesisOptions) -> ModelMap:
        """A label map on the model's grid; raises what `on_model_grid` raises."""
        return on_model_grid(label_map, self.card, self.label_table, options)

    def box_of(self, model_map: ModelMap) -> SynthesisBox | None:
        """The part of the grid that has to be synthesized; None where nothing is labeled."""
        return labeled_box(model_map.on_grid.labels_kji, self.card.generator.stride)

    def labels_of(self, model_map: ModelMap, box: SynthesisBox, kept: Kept) -> PassLabels:
        """The labels of a box for the engine.

        Raises MemoryLimitError where the memory limit is too low.
        """
        if self._own_networks is None:
            return self._slice_labels(model_map, box)
        generator, fast = self._own_networks
        return SlabCache(
            generator,
            fast,
            model_map.on_grid.labels_kji,
            box,
            self.card.spacing_ijk_mm,
            self._slab_size(model_map, box, kept),
            keep_bytes=self._keep_bytes(kept),
        )

    def change_labels(
        self, images: EnginePass, model_map: ModelMap, box: SynthesisBox, changed: set[int]
    ) -> list[int]:
        """Lets a pass that keeps all go over to edited labels; the slices to be made again.

        changed: the slices whose labels are other ones now. Where the memory limit is too low it
        raises MemoryLimitError before anything is changed.
        """
        if isinstance(images, SlicePass):
            return images.replace_labels(self._slice_labels(model_map, box), changed)
        kept, old = Kept(labels=True, slices=True), images.labels
        labels = SlabCache(
            old.generator,
            old.frozen,
            model_map.on_grid.labels_kji,
            box,
            self.card.spacing_ijk_mm,
            # What had to be forgotten is made again for few slices only.
            min(self._slab_size(model_map, box, kept), BLOCK_SIZE),
            self._keep_bytes(kept),
            old,
            changed,
        )
        return images.replace_labels(labels, changed)

    def _slice_labels(self, model_map: ModelMap, box: SynthesisBox) -> SliceLabels:
        labels_kji, spacing = model_map.on_grid.labels_kji, self.card.spacing_ijk_mm
        return SliceLabels(self.generator, labels_kji, box, spacing, self.device)

    def _keep_bytes(self, kept: Kept) -> int:
        return self.memory_limit_bytes // 2 if kept.labels else 0

    def _slab_size(self, model_map: ModelMap, box: SynthesisBox, kept: Kept) -> int:
        """Slices that share what was found of their labels, within the memory limit."""
        weights = sum(p.numel() * p.element_size() for p in self.generator.parameters())
        num_voxels = max(model_map.on_grid.labels_kji.size, model_map.label_map.labels_kji.size)
        return slab_size_within(
            self.memory_limit_bytes,
            self.card.generator,
            box,
            num_voxels,
            min(torch.get_num_threads(), MOST_THREADS),
            weights,
            kept.slices,
        )

    def start_pass(
        self, labels: PassLabels, options: SynthesisOptions, seed: int, kept: Kept
    ) -> EnginePass:
        """A pass with the noise of a seed."""
        return start_pass(labels, options, seed, keeps_all=kept.slices)

    def background(self, model_map: ModelMap) -> np.ndarray:
        """[K,J,I] float32 voxels on the model's grid without anatomy, in the physical unit."""
        return np.full(model_map.on_grid.shape_kji, self.card.window[0], dtype=np.float32)

    def in_window(self, image: np.ndarray) -> np.ndarray:
        """An image in [0,1] in the model's physical unit."""
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
        """What a volume says about itself, with the precision where it is not 32 bits."""
        said = model_map.provenance(self.card, options, seed)
        if self.fast is None or self.fast.dtype == torch.float32:
            return said
        return {"Precision": str(self.fast.dtype).removeprefix("torch.")} | said


def _precision(device: torch.device, half_precision: bool) -> torch.dtype:
    half = half_precision_on(device) if half_precision else torch.float32
    if half is None:
        _logger.warning("%s is not faster in 16 bits; continuing in float32", device)
    return half or torch.float32
