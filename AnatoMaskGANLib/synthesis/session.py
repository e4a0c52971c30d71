"""A synthetic volume that follows its label map while it is edited.

A session keeps the label dictionaries, the noise, and what every slice has encoded and sent to its
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

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from AnatoMaskGANLib.synthesis.engine.memory_plan import BLOCK_SIZE
from AnatoMaskGANLib.synthesis.engine.slab_cache import SlabCache
from AnatoMaskGANLib.synthesis.engine.slice_pass import SliceLabels, SlicePass, start_pass
from AnatoMaskGANLib.synthesis.engine.synthesis_box import labeled_box
from AnatoMaskGANLib.synthesis.engine.volume_pass import VolumePass
from AnatoMaskGANLib.synthesis.errors import SynthesisCancelledError
from AnatoMaskGANLib.synthesis.lost_labels import lost_labels
from AnatoMaskGANLib.volumes import (
    ChangedRegion,
    LabelMap,
    LabelMatch,
    Volume,
    VolumeError,
    same_grid,
    to_grid_of,
)
from AnatoMaskGANLib.volumes.label_matching import with_unmatched

if TYPE_CHECKING:
    from AnatoMaskGANLib.synthesis.synthesizer import Synthesizer

# A position this far from a whole voxel is interpolated in a part of a grid as in the whole grid.
_CLEARLY_BETWEEN = 0.05


class SynthesisSession:
    """Made by `Synthesizer.session`. Not to be used by several threads at once."""

    def __init__(
        self,
        synthesizer: Synthesizer,
        seed: int,
        noise_strength: float,
        unmatched: str,
        user_table: Mapping[str, str | int | None] | None,
        noise_length_scale: float = 1.0,
    ) -> None:
        self.seed = seed
        self.noise_strength = noise_strength
        self.noise_length_scale = noise_length_scale
        self._synthesizer = synthesizer
        self._unmatched = unmatched
        self._user_table = user_table
        self._volume: Volume | None = None
        self._model_map: LabelMap | None = None
        self._voxels: np.ndarray | None = None  # on the model grid, in the model's physical unit
        self._pass: VolumePass | SlicePass | None = None
        self._stale: set[int] = set()  # slices whose voxels are not those of the model map
        self._untold: set[int] = set()  # slices that changed since the last volume
        self._told_lost: tuple[LabelMatch, ...] = ()

    @property
    def volume(self) -> Volume:
        """The volume of the last update that was not cancelled."""
        return self._volume

    def update(
        self,
        label_map: LabelMap,
        on_progress: Callable[[float, str], None] | None = None,
        is_cancelled: Callable[[], bool] | None = None,
    ) -> tuple[Volume, ChangedRegion | None]:
        """The volume of an edited label map, and where it differs from the one before.

        None: nowhere. After SynthesisCancelledError the session goes on with the next update, which
        also does what the cancelled one left. Raises VolumeError for a map of another grid.
        """
        report = on_progress or (lambda share, text: None)
        if self._volume is not None and not same_grid(self._volume, label_map):
            raise VolumeError(
                f"The edited label map has {label_map.shape_kji} voxels (K, J, I) or "
                f"another position than the {self._volume.shape_kji} ones of this "
                "session; expected the same grid. Start a new session for it."
            )
        synthesizer = self._synthesizer
        report(0.0, "matching labels")
        matches = with_unmatched(synthesizer.match(label_map, self._user_table), self._unmatched)
        model_map = synthesizer.on_model_grid(label_map, matches, self._unmatched)
        self._tell_lost(lost_labels(matches, model_map))
        self._take_labels(model_map, label_map)
        self._make_stale_slices(report, is_cancelled)
        record = synthesizer.provenance(
            label_map, model_map, matches, self.seed, self.noise_strength, self.noise_length_scale
        )
        model_volume = synthesizer.volume_on_model_grid(self._voxels, model_map, record)
        report(0.98, "bringing the image onto the segmentation's grid")
        if self._volume is None:
            # A copy: on equal grids it would be the voxels that the next update writes to.
            volume = to_grid_of(model_volume, label_map)
            self._volume = replace(volume, voxels_kji=volume.voxels_kji.copy())
            changed = ChangedRegion((0, 0, 0), label_map.shape_kji)
        else:
            changed = self._follow(model_volume, label_map, record)
        self._untold.clear()
        report(1.0, "done")
        return self._volume, changed

    def _tell_lost(self, lost: tuple[LabelMatch, ...]) -> None:
        """Warns of labels that the model grid has lost, not again while they stay the same."""
        if lost != self._told_lost:
            self._synthesizer.warn_of_lost(lost)
        self._told_lost = lost

    @torch.inference_mode()
    def _take_labels(self, model_map: LabelMap, label_map: LabelMap) -> None:
        """Notes which slices have to be made for these labels."""
        old_map, self._model_map = self._model_map, model_map
        old = None if self._pass is None else self._pass.labels
        stride = self._synthesizer.generator.settings.stride
        region = labeled_box(model_map.labels_kji, stride)
        is_other_box = (
            old is None
            or region is None
            or (region.rows, region.columns) != (old.region.rows, old.region.columns)
        )
        if is_other_box:
            labels = self._synthesizer.region_labels(model_map, label_map, True, True, region)
            self._start_again(model_map, labels)
            return
        differs = (old_map.labels_kji != model_map.labels_kji).any(axis=(1, 2))
        changed = set(np.flatnonzero(differs).tolist())
        changed |= set(old.numbers) ^ set(range(*region.slices))
        if not changed:
            return
        labels = self._synthesizer.region_labels(
            model_map, label_map, True, True, region, old, changed
        )
        # What had to be forgotten is made again for few slices only.
        labels.slab_size = min(labels.slab_size, BLOCK_SIZE)
        removed = set(old.numbers) - set(labels.numbers)
        self._clear(removed)
        self._stale -= removed
        self._stale |= set(self._pass.replace_labels(labels, changed))

    def _start_again(self, model_map: LabelMap, labels: SlabCache | SliceLabels | None) -> None:
        low = self._synthesizer.card.window[0]
        self._voxels = np.full(model_map.shape_kji, low, dtype=np.float32)
        self._untold = set(range(model_map.shape_kji[0]))
        self._stale = set() if labels is None else set(labels.numbers)
        self._pass = None
        if labels is not None:
            self._pass = start_pass(
                labels, self.seed, self.noise_strength, True, self.noise_length_scale
            )

    def _clear(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self._voxels[number] = self._synthesizer.card.window[0]
            self._untold.add(number)

    @torch.inference_mode()
    def _make_stale_slices(
        self,
        report: Callable[[float, str], None],
        is_cancelled: Callable[[], bool] | None,
    ) -> None:
        if not self._stale:
            return

        def check() -> None:
            if is_cancelled is not None and is_cancelled():
                raise SynthesisCancelledError("The update was cancelled.")

        check()
        labels = self._pass.labels
        labels.check = check
        num_stale = len(self._stale)
        for count, (number, image) in enumerate(self._pass.images(self._stale), start=1):
            labels.region.paste(self._synthesizer.in_window(image), number, self._voxels)
            self._stale.discard(number)
            self._untold.add(number)
            report(0.05 + 0.9 * count / num_stale, f"slice {count} of {num_stale}")

    def _follow(
        self, model_volume: Volume, label_map: LabelMap, record: Mapping[str, str]
    ) -> ChangedRegion | None:
        """Renews the volume where slices of the model grid changed."""
        old = self._volume
        voxels = old.voxels_kji
        changed = None
        if self._untold:
            part = _part_of_grid(model_volume, label_map, min(self._untold), max(self._untold) + 1)
            made = to_grid_of(model_volume, _cut(label_map, part)).voxels_kji
            changed = _box_of(made != voxels[part], [side.start for side in part])
            if changed is not None:
                voxels = voxels.copy()
                voxels[part] = made
        self._volume = Volume(voxels, old.ijk_to_ras, old.window, old.unit, record)
        return changed


def _part_of_grid(
    model_volume: Volume, label_map: LabelMap, first: int, end: int
) -> tuple[slice, slice, slice]:
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
    part = [slice(0, extent) for extent in label_map.shape_kji]
    part[array_axis] = slice(start, stop)
    return tuple(part)


def _cut(label_map: LabelMap, part: tuple[slice, slice, slice]) -> LabelMap:
    """A part of a label map, where it lies."""
    ijk_to_ras = label_map.ijk_to_ras.copy()
    start_ijk = [side.start for side in reversed(part)]
    ijk_to_ras[:3, 3] += ijk_to_ras[:3, :3] @ start_ijk
    return LabelMap(label_map.labels_kji[part], ijk_to_ras)


def _box_of(is_changed: np.ndarray, start_kji: Iterable[int]) -> ChangedRegion | None:
    """The smallest box of the true voxels of a part that starts there; None if there are none."""
    starts, stops = [], []
    for axis, start in enumerate(start_kji):
        others = tuple(other for other in range(3) if other != axis)
        places = np.flatnonzero(is_changed.any(axis=others))
        if places.size == 0:
            return None
        starts.append(start + int(places[0]))
        stops.append(start + int(places[-1]) + 1)
    return ChangedRegion(tuple(starts), tuple(stops))
