"""A synthetic volume that follows its label map while it is edited.

A session keeps the modulation tables, the noise, and what every slice has encoded and sent to its
neighbors. An update makes again the slices that an edit reaches: the edited ones, those that see
their labels through the context, and those that their messages, edge weights or stack nodes reach.
Which these are follows from comparing values, so an update equals a full synthesis of the new map;
only an edit that moves the rows or columns of the labeled region makes the whole volume again.

Equal means to the rounding of float32, 1e-6 of the window, and most often to the bit. Sums over
neighborhoods are rounded otherwise where few slices are prepared at once: a fine grid on which they
share hardly any neighborhood is convolved instead of looked up, and matrix products of fewer than
four rows are summed in another order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch

from AnatoMaskGANLib.synthesis.engine.memory_plan import BLOCK_SIZE, Kept
from AnatoMaskGANLib.synthesis.engine.passes import EnginePass
from AnatoMaskGANLib.synthesis.engine.synthesis_box import SynthesisBox
from AnatoMaskGANLib.synthesis.loaded_model import LoadedModel
from AnatoMaskGANLib.synthesis.model_map import ModelMap
from AnatoMaskGANLib.synthesis.options import Progress, SynthesisOptions
from AnatoMaskGANLib.volumes import (
    ChangedRegion,
    LabelMap,
    LabelMatch,
    Volume,
    VolumeError,
    same_grid,
    to_grid_of,
)

# A position this far from a whole voxel is interpolated in a part of a grid as in the whole grid.
_CLEARLY_BETWEEN = 0.05
_KEPT = Kept(labels=True, slices=True)

Slices = tuple[slice, slice, slice]


@dataclass
class _GridImage:
    """The image on the model's grid, and which of its slices are not up to date."""

    model_map: ModelMap
    voxels_kji: np.ndarray
    """The image in the model's physical unit."""
    images: EnginePass | None
    """Makes the slices; None where nothing is labeled."""
    stale: set[int]
    """Slices whose voxels are not those of the model map."""
    unreported: set[int]
    """Slices that changed since the last volume."""


class SynthesisSession:
    """Made by `Synthesizer.session`. Not to be used by several threads at once.

    Raises ValueError for options of several seeds.
    """

    def __init__(self, model: LoadedModel, options: SynthesisOptions) -> None:
        if len(options.seeds) != 1:
            raise ValueError(
                f"{len(options.seeds)} seeds came; expected one, as a session follows one volume."
            )
        self.options = options
        self._model = model
        self._volume: Volume | None = None
        self._image: _GridImage | None = None
        self._reported_lost: tuple[LabelMatch, ...] = ()

    @property
    def seed(self) -> int:
        """The seed of the volume's noise."""
        return self.options.seeds[0]

    @property
    def volume(self) -> Volume:
        """The volume of the last update that was not cancelled."""
        if self._volume is None:
            raise RuntimeError(
                "The session has no volume yet: its first update has not ended. Call update."
            )
        return self._volume

    def update(
        self, label_map: LabelMap, progress: Progress | None = None
    ) -> tuple[Volume, ChangedRegion | None]:
        """The volume of an edited label map, and where it differs from the one before.

        None: nowhere. After SynthesisCancelledError the session goes on with the next update, which
        also does what the cancelled one left. Raises VolumeError for a map of another grid.
        """
        progress = progress or Progress()
        if self._volume is not None and not same_grid(self._volume, label_map):
            raise VolumeError(
                f"The edited label map has {label_map.shape_kji} voxels (K, J, I) or "
                f"another position than the {self._volume.shape_kji} ones of this "
                "session; expected the same grid. Start a new session for it."
            )
        model = self._model
        progress.report(0.0, "matching labels")
        model_map = model.map_of(label_map, self.options)
        self._report_lost(model_map)
        image = self._image = self._with_labels(model_map)
        self._make_stale_slices(image, progress)
        provenance = model.provenance(model_map, self.options, self.seed)
        on_grid = model.volume_of(image.voxels_kji, model_map, provenance)
        progress.report(0.98, "bringing the image onto the segmentation's grid")
        changed: ChangedRegion | None = ChangedRegion((0, 0, 0), label_map.shape_kji)
        if self._volume is None:
            # A copy: on equal grids it would be the voxels that the next update writes to.
            volume = to_grid_of(on_grid, label_map)
            volume = replace(volume, voxels_kji=volume.voxels_kji.copy())
        else:
            volume, changed = _followed(self._volume, on_grid, label_map, image.unreported)
        self._volume = volume
        image.unreported.clear()
        progress.report(1.0, "done")
        return volume, changed

    def _report_lost(self, model_map: ModelMap) -> None:
        """Warns of labels that the model grid has lost, not again while they stay the same."""
        if model_map.lost != self._reported_lost:
            model_map.warn_of_lost()
        self._reported_lost = model_map.lost

    @torch.inference_mode()
    def _with_labels(self, model_map: ModelMap) -> _GridImage:
        """The image with the slices noted that have to be made for these labels."""
        image, box = self._image, self._model.box_of(model_map)
        if image is None or image.images is None or box is None:
            return self._begun(model_map, box)
        old = image.images.labels
        if (box.rows, box.columns) != (old.box.rows, old.box.columns):
            return self._begun(model_map, box)
        old_labels = image.model_map.on_grid.labels_kji
        differs = (old_labels != model_map.on_grid.labels_kji).any(axis=(1, 2))
        changed = set(np.flatnonzero(differs).tolist())
        changed |= set(old.numbers) ^ set(range(*box.slices))
        if not changed:
            image.model_map = model_map
            return image
        labels = self._model.labels_of(model_map, box, _KEPT, old, changed)
        # Tables that had to be forgotten are made again for few slices only.
        labels.slab_size = min(labels.slab_size, BLOCK_SIZE)
        removed = set(old.numbers) - set(labels.numbers)
        for number in removed:
            image.voxels_kji[number] = self._model.card.window[0]
        image.unreported |= removed
        image.stale -= removed
        image.stale |= set(image.images.replace_labels(labels, changed))
        image.model_map = model_map
        return image

    def _begun(self, model_map: ModelMap, box: SynthesisBox | None) -> _GridImage:
        """An image without any finished slice."""
        voxels = self._model.background(model_map)
        unreported = set(range(len(voxels)))
        if box is None:
            return _GridImage(model_map, voxels, None, set(), unreported)
        labels = self._model.labels_of(model_map, box, _KEPT)
        images = self._model.start_pass(labels, self.options, self.seed, _KEPT)
        return _GridImage(model_map, voxels, images, set(labels.numbers), unreported)

    @torch.inference_mode()
    def _make_stale_slices(self, image: _GridImage, progress: Progress) -> None:
        if image.images is None or not image.stale:
            return
        progress.stop_if_cancelled()
        labels = image.images.labels
        num_stale = len(image.stale)
        made = image.images.images(image.stale, progress.stop_if_cancelled)
        for count, (number, pixels) in enumerate(made, start=1):
            labels.box.paste(self._model.in_window(pixels), number, image.voxels_kji)
            image.stale.discard(number)
            image.unreported.add(number)
            progress.report(0.05 + 0.9 * count / num_stale, f"slice {count} of {num_stale}")


def _followed(
    old: Volume, on_grid: Volume, label_map: LabelMap, numbers: set[int]
) -> tuple[Volume, ChangedRegion | None]:
    """The old volume renewed where these slices of the model's grid changed, and where that is."""
    voxels, changed = old.voxels_kji, None
    if numbers:
        part = _part_of_grid(on_grid, label_map, min(numbers), max(numbers) + 1)
        made = to_grid_of(on_grid, _cut(label_map, part)).voxels_kji
        changed = _box_of(made != voxels[part], [side.start for side in part])
        if changed is not None:
            voxels = voxels.copy()
            voxels[part] = made
    return Volume(voxels, old.ijk_to_ras, old.window, old.unit, on_grid.provenance), changed


def _part_of_grid(model_volume: Volume, label_map: LabelMap, first: int, end: int) -> Slices:
    """The part of the label map's grid that slices first to end - 1 of the model grid reach."""
    to_model = np.linalg.inv(model_volume.ijk_to_ras) @ label_map.ijk_to_ras
    axis_ijk = int(np.argmax(np.abs(to_model[2, :3])))  # runs along the model's K
    array_axis = 2 - axis_ijk
    size = label_map.shape_kji[array_axis]
    positions = to_model[2, 3] + to_model[2, axis_ijk] * np.arange(size)
    inside = np.clip(positions, 0, model_volume.shape_kji[0] - 1)
    reached = np.flatnonzero((inside > first - 1) & (inside < end))
    start, stop = int(reached[0]), int(reached[-1]) + 1
    # Whether a grid is copied or interpolated is decided for all its positions together.
    is_between = np.flatnonzero(np.abs(inside - np.round(inside)) > _CLEARLY_BETWEEN)
    if not np.isin(is_between, np.arange(start, stop)).any():
        is_exact = np.abs(inside - np.round(inside)).max() < 1e-6
        start, stop = (start, stop) if is_exact else (0, size)
    k, j, i = (
        slice(start, stop) if axis == array_axis else slice(0, extent)
        for axis, extent in enumerate(label_map.shape_kji)
    )
    return k, j, i


def _cut(label_map: LabelMap, part: Slices) -> LabelMap:
    """A part of a label map, where it lies."""
    ijk_to_ras = label_map.ijk_to_ras.copy()
    start_ijk = [side.start for side in reversed(part)]
    ijk_to_ras[:3, 3] += ijk_to_ras[:3, :3] @ start_ijk
    return LabelMap(label_map.labels_kji[part], ijk_to_ras)


def _box_of(is_changed: np.ndarray, start_kji: Iterable[int]) -> ChangedRegion | None:
    """The smallest box of the true voxels of a part that starts there; None if there are none."""
    ranges = []
    for axis, start in enumerate(start_kji):
        others = tuple(other for other in range(3) if other != axis)
        places = np.flatnonzero(is_changed.any(axis=others))
        if places.size == 0:
            return None
        ranges.append((start + int(places[0]), start + int(places[-1]) + 1))
    (k, k_stop), (j, j_stop), (i, i_stop) = ranges
    return ChangedRegion((k, j, i), (k_stop, j_stop, i_stop))
