"""The Synthesizer: a label map on any grid in, a synthetic volume on the same grid out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from AnatoMaskGANLib import __version__
from AnatoMaskGANLib.networks.generator import Generator
from AnatoMaskGANLib.synthesis.devices import half_precision_on, pick_device
from AnatoMaskGANLib.synthesis.engine.fast_generator import FastGenerator
from AnatoMaskGANLib.synthesis.engine.memory_plan import DEFAULT_LIMIT_BYTES, slab_size_within
from AnatoMaskGANLib.synthesis.engine.slab_cache import SlabCache
from AnatoMaskGANLib.synthesis.engine.slice_pass import SliceLabels, SlicePass, start_pass
from AnatoMaskGANLib.synthesis.engine.synthesis_box import SynthesisBox, labeled_box
from AnatoMaskGANLib.synthesis.engine.volume_pass import MOST_THREADS, VolumePass
from AnatoMaskGANLib.synthesis.errors import CheckpointError, SynthesisCancelledError
from AnatoMaskGANLib.synthesis.lost_labels import lost_labels, named, refuse_empty_grid, warning_of
from AnatoMaskGANLib.synthesis.models.folder import ModelCard, read_model
from AnatoMaskGANLib.synthesis.session import SynthesisSession
from AnatoMaskGANLib.volumes import (
    LabelMap,
    LabelMatch,
    Volume,
    apply_matches,
    match_labels,
    to_grid_of,
    to_model_grid,
)
from AnatoMaskGANLib.volumes.label_matching import with_unmatched
from AnatoMaskGANLib.volumes.label_table import label_table_of_model

_logger = logging.getLogger(__name__)

NOISE_LENGTH_SCALES = (0.25, 4.0)
"""Correlation lengths of the noise over those of the training; ours: beyond, no tissue is left."""

MOST_NOISE = 100.0
"""Largest noise strength; ours: far beyond that of training, far below where numbers overflow."""

OnProgress = Callable[[float, str], None]
"""Called with the done share in [0,1] and what is being done."""

IsCancelled = Callable[[], bool]
"""Asked between slices whether to stop."""

UserTable = Mapping[str, str | int | None]
"""Name or value of the map to name or value of the model, None for background."""


class Synthesizer:
    """A loaded model on a device.

    half_precision: float16 on a GPU, bfloat16 on a CPU that multiplies it; elsewhere, and with a
    network of another kind, float32 goes on, and the log tells it. memory_limit_bytes: of the whole
    process, within which slabs are sized.
    """

    def __init__(
        self,
        card: ModelCard,
        generator: Generator,
        device: torch.device,
        half_precision: bool = False,
        memory_limit_bytes: int = DEFAULT_LIMIT_BYTES,
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
        self.frozen = (
            FastGenerator(self.generator, self._precision(half_precision))
            if isinstance(self.generator, Generator)
            else None
        )
        if half_precision and self.frozen is None:
            _logger.warning(
                "%s networks run in float32 only; continuing in float32", card.generator.kind
            )
        self.label_table = label_table_of_model(card.label_table)

    def _precision(self, half_precision: bool) -> torch.dtype:
        half = half_precision_on(self.device) if half_precision else torch.float32
        if half is None:
            _logger.warning("%s is not faster in 16 bits; continuing in float32", self.device)
        return half or torch.float32

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

    def match(
        self, label_map: LabelMap, user_table: UserTable | None = None
    ) -> tuple[LabelMatch, ...]:
        """Which class of the model every label of the map becomes, and by which rule."""
        return match_labels(label_map, self.label_table, user_table)

    def synthesize(
        self,
        label_map: LabelMap,
        seed: int = 0,
        noise_strength: float = 1.0,
        on_progress: OnProgress | None = None,
        is_cancelled: IsCancelled | None = None,
        unmatched: str = "stop",
        user_table: UserTable | None = None,
        noise_length_scale: float = 1.0,
    ) -> Volume:
        """The synthetic volume, float32 in the model's physical unit, on exactly the map's grid.

        Same map, model, seed and strength, same volume. noise_strength 0 gives the deterministic
        image. noise_length_scale: the noise's correlation lengths over those of the training; other
        values than 1 give a finer or coarser texture than the model has learned from.
        unmatched: "stop" raises UnmatchedLabelsError for labels that the model does not
        know, "background" makes a hole of air of them, "surrounding" the tissue around them.
        Raises SynthesisCancelledError when is_cancelled says so, MemoryLimitError where the memory
        limit is too low for the map.
        """
        (volume,) = self.synthesize_samples(
            label_map,
            [seed],
            noise_strength,
            on_progress,
            is_cancelled,
            unmatched,
            user_table,
            noise_length_scale,
        )
        return volume

    def synthesize_samples(
        self,
        label_map: LabelMap,
        seeds: Iterable[int],
        noise_strength: float = 1.0,
        on_progress: OnProgress | None = None,
        is_cancelled: IsCancelled | None = None,
        unmatched: str = "stop",
        user_table: UserTable | None = None,
        noise_length_scale: float = 1.0,
    ) -> Iterator[Volume]:
        """A volume for every seed, each as soon as it is made; arguments as for `synthesize`.

        What does not depend on the noise is found once and kept, as far as the memory limit allows.
        """
        seeds = list(seeds)
        check_noise(noise_strength, noise_length_scale)
        report = on_progress or (lambda share, text: None)
        report(0.0, "matching labels")
        matches = with_unmatched(self.match(label_map, user_table), unmatched)
        model_map = self.on_model_grid(label_map, matches, unmatched)
        self.warn_of_lost(lost_labels(matches, model_map))
        labels = self.region_labels(model_map, label_map, keeps=len(seeds) > 1)
        for count, seed in enumerate(seeds):

            def report_part(share: float, text: str, count: int = count) -> None:
                report((count + share) / len(seeds), text)

            voxels = np.full(model_map.shape_kji, self.card.window[0], dtype=np.float32)
            if labels is not None:
                images = start_pass(
                    labels, seed, noise_strength, noise_length_scale=noise_length_scale
                )
                self._fill(voxels, images, report_part, is_cancelled)
            report_part(0.98, "bringing the image onto the segmentation's grid")
            record = self.provenance(
                label_map, model_map, matches, seed, noise_strength, noise_length_scale
            )
            volume = self.volume_on_model_grid(voxels, model_map, record)
            volume = to_grid_of(volume, label_map)
            report_part(1.0, "done")
            yield volume

    def session(
        self,
        label_map: LabelMap,
        seed: int = 0,
        noise_strength: float = 1.0,
        on_progress: OnProgress | None = None,
        is_cancelled: IsCancelled | None = None,
        unmatched: str = "stop",
        user_table: UserTable | None = None,
        noise_length_scale: float = 1.0,
    ) -> SynthesisSession:
        """A volume that follows its label map: `session.volume`, then `session.update(new_map)`."""
        check_noise(noise_strength, noise_length_scale)
        session = SynthesisSession(
            self, seed, noise_strength, unmatched, user_table, noise_length_scale
        )
        session.update(label_map, on_progress, is_cancelled)
        return session

    def on_model_grid(
        self, label_map: LabelMap, matches: tuple[LabelMatch, ...], unmatched: str
    ) -> LabelMap:
        """The map with the model's label values in the model's spacing and orientation.

        Raises VolumeError where every label is too small for that spacing.
        """
        matched = apply_matches(label_map, matches, unmatched)
        model_map = to_model_grid(matched, self.card.spacing_ijk_mm)
        refuse_empty_grid(matches, model_map)
        return model_map

    def warn_of_lost(self, lost: Sequence[LabelMatch]) -> None:
        """Logs which labels the model grid has lost, where it has lost any."""
        if lost:
            _logger.warning("%s", warning_of(lost, self.card.spacing_ijk_mm))

    def region_labels(
        self,
        model_map: LabelMap,
        label_map: LabelMap,
        keeps: bool,
        keeps_states: bool = False,
        region: SynthesisBox | None = None,
        previous: SlabCache | SliceLabels | None = None,
        changed: Iterable[int] = (),
    ) -> SlabCache | SliceLabels | None:
        """Dictionaries for a map on the model grid; None where nothing is labeled.

        keeps: whether several passes or updates will use them. keeps_states: whether the pass keeps
        what every slice encoded. previous, changed: those of the map
        before an edit of these slices.
        """
        region = region or labeled_box(model_map.labels_kji, self.generator.settings.stride)
        if region is None:
            return None
        if self.frozen is None:
            return SliceLabels(
                self.generator,
                model_map.labels_kji,
                region,
                self.card.spacing_ijk_mm,
                self.device,
            )
        weights = sum(p.numel() * p.element_size() for p in self.generator.parameters())
        num_voxels = max(model_map.labels_kji.size, label_map.labels_kji.size)
        slab_size = slab_size_within(
            self.memory_limit_bytes,
            self.generator.settings,
            region,
            num_voxels,
            min(torch.get_num_threads(), MOST_THREADS),
            weights,
            keeps_states,
        )
        return SlabCache(
            self.generator,
            self.frozen,
            model_map.labels_kji,
            region,
            self.card.spacing_ijk_mm,
            slab_size,
            self.memory_limit_bytes // 2 if keeps else 0,
            previous,
            changed,
        )

    def in_window(self, image: np.ndarray) -> np.ndarray:
        """An image in [0,1] in the model's physical unit."""
        low, high = self.card.window
        return image * np.float32(high - low) + np.float32(low)

    def volume_on_model_grid(
        self, voxels_kji: np.ndarray, model_map: LabelMap, provenance: Mapping[str, str]
    ) -> Volume:
        """Voxels in the model's physical unit as a volume."""
        return Volume(
            voxels_kji, model_map.ijk_to_ras, self.card.window, self.card.unit, provenance
        )

    @torch.inference_mode()
    def _fill(
        self,
        voxels_kji: np.ndarray,
        images: VolumePass | SlicePass,
        report: OnProgress,
        is_cancelled: IsCancelled | None,
    ) -> None:
        """Writes the image of the region into the voxels of the model grid."""
        labels = images.labels
        labels.check = stop_if(is_cancelled)
        num_slices = len(labels.numbers)
        report(0.02, "preparing the labels")
        for count, (number, image) in enumerate(images.images(), start=1):
            labels.region.paste(self.in_window(image), number, voxels_kji)
            report(0.02 + 0.95 * count / num_slices, f"slice {count} of {num_slices}")

    def provenance(
        self,
        label_map: LabelMap,
        model_map: LabelMap,
        matches: tuple[LabelMatch, ...],
        seed: int,
        noise_strength: float,
        noise_length_scale: float = 1.0,
    ) -> dict[str, str]:
        """What a synthetic volume says about itself, enough to make it again."""
        is_half = self.frozen is not None and self.frozen.dtype != torch.float32
        precision = {"Precision": str(self.frozen.dtype).removeprefix("torch.")} if is_half else {}
        return precision | {
            "SyntheticData": "YES",
            "Generator": f"AnatoMaskGAN {__version__}",
            "Model": self.card.name,
            "ModelSHA256": self.card.sha256,
            "Seed": str(seed),
            "NoiseStrength": repr(float(noise_strength)),
            "NoiseLengthScale": repr(float(noise_length_scale)),
            "LabelMapSHA256": label_map.sha256(),
            "LabelMatches": "; ".join(
                f"{match.value}->{match.target()} ({match.rule})" for match in matches
            ),
            "LostLabels": named(lost_labels(matches, model_map)),
            "Licence": self.card.licence,
            "Notice": "Synthetic image for research; not for diagnosis.",
        }


def stop_if(is_cancelled: IsCancelled | None) -> Callable[[], None]:
    """A function that raises SynthesisCancelledError once is_cancelled says so."""

    def check() -> None:
        if is_cancelled is not None and is_cancelled():
            raise SynthesisCancelledError("The synthesis was cancelled.")

    return check


def check_noise(noise_strength: float, noise_length_scale: float = 1.0) -> None:
    """Raises ValueError for a strength or a scale of its lengths that makes no sense."""
    low, high = NOISE_LENGTH_SCALES
    if not low <= noise_length_scale <= high:
        raise ValueError(
            f"noise_length_scale is {noise_length_scale}; expected {low:g} to {high:g}. 1 "
            "is the noise of the training."
        )
    if not 0 <= noise_strength <= MOST_NOISE:
        raise ValueError(
            f"noise_strength is {noise_strength}; expected a number from 0 to "
            f"{MOST_NOISE:g}. 1 is the noise of the training."
        )
