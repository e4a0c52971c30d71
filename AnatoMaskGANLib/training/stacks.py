"""Slice stacks for training, a pure function of (seed, step, rank): order, crop and augmentation
included.

Nothing is remembered between steps, so a resumed run sees what the uninterrupted one would have
seen. Only memory-mapped arrays are read. A thread makes the batches of the next steps while the
present one runs.

Letters: B stacks, S slices, H rows (J), W columns (I), halo = slices of context on either side.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields
from types import TracebackType

import numpy as np
import torch
from torch import Tensor

from AnatoMaskGANLib.synthesis.engine.synthesis_box import MARGIN
from AnatoMaskGANLib.training.affine import draw_affine
from AnatoMaskGANLib.training.settings import DataSettings
from AnatoMaskGANLib.training.store_watch import StoreWatch
from AnatoMaskGANLib.volumes.case_store import (
    CaseStore,
    StoredCase,
    StoreError,
    decode_guidance,
    decode_image,
)

_ALL_PARTS = ("labels", "image", "guidance")
_NO_LABELS = ("image", "guidance")
_NO_IMAGE = ("labels", "guidance")


@dataclass(frozen=True)
class StackBatch:
    """Stacks of one training step."""

    labels: Tensor
    """[B,S+2*halo,H,W] int64, classes of the store's table; 0 everywhere in a stack that has no
    labels."""
    images: Tensor
    """[B,S,1,H,W] float32 in [0,1]; they show the same place as the labels if `is_paired`."""
    positions_mm: Tensor
    """[B,S] where the slices lie along the stack, in mm."""
    noise_seeds: tuple[int, ...]
    """One seed per stack."""
    has_labels: Tensor
    """[B] bool; false for stacks without labels. These come from semi-supervised training, or from
    cases that have superpixels only."""
    guidance: Tensor | None = None
    """[B,S+2*halo,H,W] float32 in [0,1], superpixel means of the case that gives the labels, or, in
    a stack without labels, the image; None unless the settings ask for guidance."""
    is_paired: bool = True
    """False in unpaired training: each image comes from another subject than the labels."""

    def to(self, device: torch.device) -> StackBatch:
        """The same batch with its tensors on a device."""
        moved = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, value in moved.items():
            if isinstance(value, Tensor):
                moved[name] = value.to(device, non_blocking=True)
        return StackBatch(**moved)


@dataclass(frozen=True)
class _Stack:
    """One drawn stack; a part that its case does not have is None."""

    labels: Tensor | None
    """[S+2*halo,H,W] int64"""
    guidance: Tensor | None
    """[S+2*halo,H,W] float32"""
    image: Tensor | None
    """[S,H,W] float32"""


class StackSampler:
    """Draws the stacks of any step from the cases of one split.

    Raises StoreError if the split cannot give what the settings ask for.
    """

    def __init__(
        self, store: CaseStore, split: str, settings: DataSettings, halo: int, seed: int
    ) -> None:
        self.settings = settings
        self.halo = halo
        self.seed = seed
        self.spacing_ijk_mm = store.spacing_ijk_mm
        cases = store.of_split(split)
        self._where = f"the {split} split of {store.folder}"
        if not cases:
            raise StoreError(
                f"{self._where} is empty; prepare the store with a larger fraction for "
                "it, or with more subjects"
            )
        for case in cases:
            if case.shape_kji[0] < settings.stack_size:
                raise StoreError(
                    f"case {case.name} has {case.shape_kji[0]} slices, but a stack needs "
                    f"{settings.stack_size}; lower stack_size or leave the case out"
                )
        one_sided = store.preparation.get("one_sided", [])
        if settings.flip and one_sided:
            raise StoreError(
                f"flip is on, but {store.folder} has {', '.join(one_sided)} without its "
                "partner on the other side, so flipped images would not match their "
                "labels; set flip: false"
            )
        if settings.guidance != "labels" and not all(
            case.guidance_sjk is not None for case in cases
        ):
            raise StoreError(
                f"guidance is {settings.guidance}, but {self._where} has cases without superpixels;"
                " prepare the store with --guidance superpixels"
            )
        self._choose_sources(cases)
        self._watch = StoreWatch(cases)
        self._swap = torch.arange(store.num_classes)
        for value, partner in store.swaps.items():
            self._swap[value] = partner

    def _choose_sources(self, cases: Sequence[StoredCase]) -> None:
        """Chooses the cases that give labels, images, and images without labels."""
        supervision = self.settings.supervision
        # Superpixels stand for labels, so a case without labels is whole.
        needs_labels = self.settings.guidance != "superpixels" or supervision == "semi"
        has_both = [
            case
            for case in cases
            if case.image_sjk is not None and (case.labels_sjk is not None or not needs_labels)
        ]
        if supervision == "unpaired":
            self._image_cases = [case for case in cases if case.image_sjk is not None]
            subjects = {case.subject for case in self._image_cases}
            self._label_cases = [
                case for case in cases if case.labels_sjk is not None and subjects - {case.subject}
            ]
            if not self._label_cases:
                raise StoreError(
                    "unpaired training takes labels and images of different subjects; "
                    f"{self._where} does not have both. Prepare more subjects"
                )
            return
        self._image_cases = []
        self._label_cases = has_both
        if supervision == "semi":
            limit = self.settings.num_labeled_subjects
            kept = set(sorted({case.subject for case in has_both})[:limit])
            self._label_cases = [case for case in has_both if case.subject in kept]
            used = set(map(id, self._label_cases))
            self._image_cases = [
                case for case in cases if case.image_sjk is not None and id(case) not in used
            ]
        missing = [
            name
            for name, found, is_needed in (
                ("labels and image", self._label_cases, True),
                ("an image without labels", self._image_cases, supervision == "semi"),
            )
            if is_needed and not found
        ]
        if missing:
            raise StoreError(
                f"{supervision} training needs cases with {' and cases with '.join(missing)}; "
                f"{self._where} has none. Prepare more cases"
                + (", or lower num_labeled_subjects" if supervision == "semi" else "")
            )

    def batch(self, step: int, rank: int = 0) -> StackBatch:
        """The stacks of one step of one process.

        Every stack has a random generator of its own, numbered through all processes: two
        processes see what one with the doubled batch sees.
        """
        settings = self.settings
        first = rank * settings.batch_size
        generators = [
            np.random.default_rng([self.seed, step, first + number])
            for number in range(settings.batch_size)
        ]
        stacks = [self._draw(generator) for generator in generators]
        size = (settings.stack_size + 2 * self.halo, *settings.crop)
        empty = torch.zeros(size, dtype=torch.int64)
        positions = torch.arange(settings.stack_size) * self.spacing_ijk_mm[2]
        return StackBatch(
            labels=torch.stack([empty if s.labels is None else s.labels for s in stacks]),
            images=_stacked([stack.image for stack in stacks])[:, :, None],
            positions_mm=positions.expand(settings.batch_size, -1),
            noise_seeds=tuple(int(generator.integers(2**62)) for generator in generators),
            guidance=None
            if settings.guidance == "labels"
            else _stacked([stack.guidance for stack in stacks]),
            has_labels=torch.tensor([stack.labels is not None for stack in stacks]),
            is_paired=settings.supervision != "unpaired",
        )

    def _draw(self, generator: np.random.Generator) -> _Stack:
        supervision = self.settings.supervision
        if supervision == "semi" and generator.random() >= self.settings.labeled_share:
            return self._draw_from(_one_of(self._image_cases, generator), generator, _NO_LABELS)
        case = _one_of(self._label_cases, generator)
        if supervision != "unpaired":
            return self._draw_from(case, generator, _ALL_PARTS)
        others = [other for other in self._image_cases if other.subject != case.subject]
        labeled = self._draw_from(case, generator, _NO_IMAGE)
        image = self._draw_from(_one_of(others, generator), generator, ("image",)).image
        return _Stack(labeled.labels, labeled.guidance, image)

    def _draw_from(
        self, case: StoredCase, generator: np.random.Generator, parts: Collection[str]
    ) -> _Stack:
        """A stack of one case with those of the parts labels, image and guidance that are named."""
        settings = self.settings
        first = self._draw_first_slice(case, generator) - self.halo
        rows = _draw_start(case.labeled_rows, settings.crop[0], generator)
        columns = _draw_start(case.labeled_columns, settings.crop[1], generator)
        is_flipped = settings.flip and generator.random() < 0.5
        affine = draw_affine(settings, self.spacing_ijk_mm, generator)
        margin = affine.reach(settings.crop) if affine is not None else (0, 0)
        starts = (first, rows - margin[0], columns - margin[1])
        sizes = (
            settings.stack_size + 2 * self.halo,
            settings.crop[0] + 2 * margin[0],
            settings.crop[1] + 2 * margin[1],
        )

        def part(array: np.ndarray | None, name: str, dtype: type) -> np.ndarray | None:
            if array is None or name not in parts:
                return None
            return _padded_part(array, starts, sizes, dtype)

        def turned(values: np.ndarray) -> Tensor:
            tensor = torch.from_numpy(values)
            return tensor.flip(-1) if is_flipped else tensor

        self._watch.check(case)  # checked first, so that nothing is read behind the end of a file
        stored_labels = part(case.labels_sjk, "labels", np.int64)
        stored_guidance = part(case.guidance_sjk, "guidance", np.float32)
        stored_image = part(case.image_sjk, "image", np.float32)
        self._watch.check(case)
        labels = guidance = image = None
        if stored_labels is not None:
            labels = turned(stored_labels)
            labels = self._swap[labels] if is_flipped else labels
        if stored_guidance is not None:
            guidance = turned(decode_guidance(stored_guidance))
        if stored_image is not None:
            inner = stored_image[self.halo : stored_image.shape[0] - self.halo]
            image = turned(decode_image(inner))
        if affine is not None:
            labels = None if labels is None else affine.nearest(labels, settings.crop)
            guidance = None if guidance is None else affine.nearest(guidance, settings.crop)
            image = None if image is None else affine.bicubic(image, settings.crop).clamp(0, 1)
        return _Stack(labels, guidance, image)

    def _draw_first_slice(self, case: StoredCase, generator: np.random.Generator) -> int:
        size = self.settings.stack_size
        low, high = case.labeled_slices
        num_slices = case.shape_kji[0]
        first, last = max(0, low - size // 4), min(num_slices, high + size // 4) - size
        first = min(first, num_slices - size)
        return int(generator.integers(first, max(first, last) + 1))


def _one_of(cases: Sequence[StoredCase], generator: np.random.Generator) -> StoredCase:
    return cases[int(generator.integers(len(cases)))]


def _stacked(parts: Sequence[Tensor | None]) -> Tensor:
    """The parts [B,...] of a batch in which every stack has this part."""
    return torch.stack([part for part in parts if part is not None])


def _draw_start(extent: tuple[int, int], size: int, generator: np.random.Generator) -> int:
    """Start of a crop that covers a labeled extent or lies inside it, both up to `MARGIN`."""
    low, high = extent[0] - MARGIN, extent[1] + MARGIN - size
    return int(generator.integers(min(low, high), max(low, high) + 1))


def _padded_part(
    array: np.ndarray, starts: tuple[int, int, int], sizes: tuple[int, int, int], dtype: type
) -> np.ndarray:
    """A part of an array that may reach beyond it, in another type; outside lies zero."""
    part: np.ndarray = np.zeros(sizes, dtype=dtype)
    source, target = [], []
    for start, size, length in zip(starts, sizes, array.shape, strict=True):
        first, last = max(0, start), min(length, start + size)
        source.append(slice(first, max(first, last)))
        target.append(slice(first - start, max(first, last) - start))
    part[tuple(target)] = array[tuple(source)]
    return part


class PrefetchingSampler:
    """Gives the batches of a sampler; a thread makes the next ones in advance.

    A batch is a function of its step and rank alone, so only the time changes. A batch that was not
    foreseen (the first, or one after a jump) is made when it is asked for.
    """

    def __init__(self, sampler: StackSampler, num_ahead: int = 2) -> None:
        self.sampler = sampler
        self.num_ahead = num_ahead
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="stacks")
        self._pending: dict[tuple[int, int], Future[StackBatch]] = {}

    def batch(self, step: int, rank: int = 0) -> StackBatch:
        """The sampler's batch for this step and rank; raises the errors that the sampler raises."""
        wanted = [(step + number, rank) for number in range(self.num_ahead + 1)]
        for key in [key for key in self._pending if key not in wanted]:
            self._pending.pop(key).cancel()
        for key in wanted:
            if key not in self._pending:
                self._pending[key] = self._executor.submit(self.sampler.batch, *key)
        return self._pending.pop((step, rank)).result()

    def close(self) -> None:
        """Ends the thread; batches that were made in advance are dropped."""
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._pending.clear()

    def __enter__(self) -> PrefetchingSampler:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
