"""The other direction: a volume on any grid in, its label map on the same grid out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from AnatoMaskGANLib.networks.label_grids import superpixel_levels
from AnatoMaskGANLib.networks.slice_batch import SliceBatch
from AnatoMaskGANLib.synthesis.devices import pick_device
from AnatoMaskGANLib.synthesis.errors import CheckpointError, MemoryLimitError
from AnatoMaskGANLib.synthesis.models.folder import ModelCard, read_model
from AnatoMaskGANLib.synthesis.output_check import check_logits
from AnatoMaskGANLib.volumes import (
    LabelMap,
    Volume,
    label_table_of_model,
    to_grid_of,
    to_model_grid,
    volume_to_model_grid,
)
from AnatoMaskGANLib.volumes.resampling import num_model_voxels
from AnatoMaskGANLib.volumes.volume import refuse_non_finite

_BLOCK_SIZE = 8  # slices segmented at once
_MOST_VOXELS = 500_000_000  # on the model's grid; its images and labels then take about 6 GB

Superpixels = Callable[[np.ndarray, tuple[float, float, float]], np.ndarray]
"""[K,J,I] superpixel means in [0,1] of an image in [0,1] with a spacing_ijk_mm."""


class VolumeSegmenter:
    """A loaded model that makes label maps, on a device.

    superpixels: what a model of two heads (image and labels) is guided by; others need none.
    """

    def __init__(
        self,
        card: ModelCard,
        network: nn.Module,
        device: torch.device,
        superpixels: Superpixels | None = None,
    ) -> None:
        self._is_two_headed = card.generator.label_outputs > 0
        if card.generator.kind != "segmenter" and not self._is_two_headed:
            raise CheckpointError(
                f"{card.name} makes images from label maps, not label maps; use it with: "
                "anatomaskgan synthesize"
            )
        self.card = card
        self.device = device
        self.superpixels = superpixels
        self.network = network.to(device).eval().requires_grad_(False)
        table = card.output_labels if self._is_two_headed else card.label_table
        self.label_table = label_table_of_model(table)

    @classmethod
    def from_checkpoint(
        cls,
        name_or_path: str | Path,
        device: str = "auto",
        superpixels: Superpixels | None = None,
    ) -> VolumeSegmenter:
        """A model by its name or the path of its folder.

        Raises CheckpointError for a model that is missing, not whole or of the other direction,
        DeviceError for a device that is not there.
        """
        chosen = pick_device(device)
        return cls(*read_model(name_or_path), chosen, superpixels)

    @torch.inference_mode()
    def segment(self, volume: Volume) -> LabelMap:
        """The label map on exactly the volume's grid, with the model's names and codes.

        Raises VolumeError for a volume with voxels that are no numbers, MemoryLimitError for one
        that has too many on the model's grid.
        """
        refuse_non_finite(volume, "The scan")
        num_voxels = num_model_voxels(volume, self.card.spacing_ijk_mm)
        if num_voxels > _MOST_VOXELS:
            raise MemoryLimitError(
                f"On the grid of {self.card.name} the scan would have {num_voxels:.3g} voxels; "
                f"expected at most {_MOST_VOXELS:.0e}. Crop the scan, or use a model with a "
                "coarser grid."
            )
        # A label map of zeros stands for the volume's grid.
        own_grid = LabelMap(np.zeros(volume.voxels_kji.shape, np.uint8), volume.ijk_to_ras, {})
        model_grid = to_model_grid(own_grid, self.card.spacing_ijk_mm)
        image = volume_to_model_grid(volume, model_grid).voxels_kji
        low, high = self.card.window
        unit = np.clip((image.astype(np.float32) - low) / (high - low), 0, 1)
        labels = self._on_own_grid(self._labels(unit), model_grid, volume)
        present = [int(value) for value in np.unique(labels) if value]
        table = self.label_table
        return LabelMap(
            labels,
            volume.ijk_to_ras,
            {value: table.labels[value] for value in present},
            {value: table.codes[value] for value in present if value in table.codes},
        )

    def _labels(self, image_kji: np.ndarray) -> np.ndarray:
        """[K,J,I] classes of an image in [0,1] on the model grid."""
        seen = torch.from_numpy(image_kji)
        if self._is_two_headed:
            if self.superpixels is None:
                raise CheckpointError(
                    f"{self.card.name} makes image and labels from superpixels, which are not "
                    "found here; use it with: anatomaskgan segment"
                )
            means = self.superpixels(image_kji, self.card.spacing_ijk_mm)
            seen = superpixel_levels(torch.from_numpy(means))
        radius = self.card.generator.context_radius
        depth = image_kji.shape[0]
        found = np.zeros(image_kji.shape, np.uint16)
        for first in range(0, depth, _BLOCK_SIZE):
            end = min(depth, first + _BLOCK_SIZE)
            start, stop = max(0, first - radius), min(depth, end + radius)
            logits = self._logits(seen[start:stop].to(self.device))
            check_logits(self.card, logits)
            found[first:end] = logits[first - start : end - start].argmax(1).cpu().numpy()
        return found

    def _logits(self, seen: torch.Tensor) -> torch.Tensor:
        """[S,C,H,W] of slices [S,H,W]: gray values, or superpixel levels for two heads."""
        if not self._is_two_headed:
            return self.network(seen[None, :, None])[0]
        spacing = self.card.spacing_ijk_mm
        positions = torch.arange(seen.shape[0], device=self.device)[None] * spacing[2]
        batch = SliceBatch(seen[None], positions, spacing_ji_mm=(spacing[1], spacing[0]))
        return self.network(batch).label_logits[0]

    def _on_own_grid(
        self, labels_kji: np.ndarray, model_grid: LabelMap, volume: Volume
    ) -> np.ndarray:
        """The classes on the volume's grid: of every voxel the one with the largest fraction.

        Fractions are interpolated class by class, so that borders stay smooth when the spacing
        changes.
        """
        best = np.full(volume.voxels_kji.shape, -1.0, np.float32)
        found = np.zeros(volume.voxels_kji.shape, np.uint16)
        for value in np.unique(labels_kji):
            fraction = Volume((labels_kji == value).astype(np.float32), model_grid.ijk_to_ras)
            own = to_grid_of(fraction, volume).voxels_kji
            is_larger = own > best
            best[is_larger], found[is_larger] = own[is_larger], value
        return found.astype(np.uint8) if found.max(initial=0) < 256 else found
