"""The interface of the engine for every kind of generator, and the noise that a pass adds.

`Engine` is made once for a network: `VolumeEngine` (volume_pass.py) for AnatoMaskGAN's own
generator, `SliceEngine` (slice_pass.py) for those that treat every slice by itself. It finds what
it needs of the labels of a box once (`PassLabels`), and makes the images of a seed from that
(`EnginePass`). Slices have their numbers on the model grid throughout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from AnatoMaskGANLib.config import GeneratorSettings
from AnatoMaskGANLib.networks.noise import noise_field
from AnatoMaskGANLib.synthesis.engine.memory_plan import Kept
from AnatoMaskGANLib.synthesis.engine.synthesis_box import BoxLabels, SynthesisBox


@dataclass(frozen=True)
class NoiseChoice:
    """The noise that a pass adds to its images."""

    seed: int
    strength: float
    """Strength of the noise: 0 for none, 1 for that of the training."""
    length_scale: float = 1.0
    """Factor on the correlation lengths of the training."""

    def is_added_by(self, settings: GeneratorSettings) -> bool:
        """Whether images of this generator have noise at all."""
        return settings.use_noise3d and self.strength != 0

    def spacing_kji_mm(self, labels: BoxLabels) -> tuple[float, float, float]:
        """Spacing in which the noise is drawn and averaged.

        Dividing the voxels' spacing by the scale makes the lengths longer by that factor.
        """
        i, j, k = (step / self.length_scale for step in labels.spacing_ijk_mm)
        return k, j, i

    def drawn(
        self, settings: GeneratorSettings, labels: BoxLabels, slices: range, device: torch.device
    ) -> Tensor:
        """[Z,S,H,W] noise of some slices of a box, on the lattice of the whole grid."""
        box = labels.box
        return noise_field(
            self.seed,
            (slices.start, *box.start_kji[1:]),
            (len(slices), *box.shape_sjk[1:]),
            self.spacing_kji_mm(labels),
            settings.noise_sigmas_mm,
            device,
        )


Check = Callable[[], None]
"""Called between slices; what it raises ends the pass."""


def go_on() -> None:
    """The check of a pass that nobody ends."""


class PassLabels(Protocol):
    """Results that an engine computes from the labels of a box, early or when they are needed."""

    slab_size: int
    """Number of slices that share the results computed from their labels."""

    @property
    def box(self) -> SynthesisBox: ...

    @property
    def numbers(self) -> range:
        """The slices of the box."""
        ...


Labels = TypeVar("Labels", bound=PassLabels)


class EnginePass(Protocol[Labels]):
    """Makes images of the slices of a box with the noise of one seed."""

    labels: Labels

    def images(
        self, numbers: Iterable[int] | None = None, check: Check = go_on
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Number and image [H,W] float32 in [0,1] of the slices, or of these, in order."""
        ...

    def replace_labels(self, labels: Labels, changed: set[int]) -> list[int]:
        """Goes over to an edited label map; the slices that have to be made again.

        changed: slices whose labels differ, or that only one of the two boxes has.
        """
        ...


class Engine(Protocol[Labels]):
    """Evaluates one network."""

    dtype: torch.dtype

    def labels_of(
        self,
        labels: BoxLabels,
        kept: Kept,
        limit_bytes: int,
        num_voxels: int,
        previous: Labels | None = None,
        changed: Iterable[int] = (),
    ) -> Labels:
        """The labels of a box for passes. Raises MemoryLimitError where the limit is too low.

        limit_bytes: of the whole process. num_voxels: of the label map or the model grid, the
        larger. previous: labels before an edit of the slices `changed`, from which is taken over
        what is still true.
        """
        ...

    def start_pass(self, labels: Labels, noise: NoiseChoice, kept: Kept) -> EnginePass[Labels]:
        """A pass through the slices of these labels."""
        ...
