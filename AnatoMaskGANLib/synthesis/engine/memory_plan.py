"""Plans how many slices are prepared at once, so that a synthesis stays below a memory limit.

The panel asks this file before a run. So it imports no PyTorch, and the sizes that the engine and
this plan share are defined here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from AnatoMaskGANLib.config import GeneratorSettings
from AnatoMaskGANLib.synthesis.engine.synthesis_box import SynthesisBox
from AnatoMaskGANLib.synthesis.errors import MemoryLimitError

DEFAULT_LIMIT_BYTES = 2 * 2**30
PROGRAM_BYTES = 450 * 2**20
"""Python, PyTorch and SimpleITK, loaded."""
BLOCK_SIZE = 16
"""Slices that are encoded, exchange messages and are decoded together."""

_VALUE = 4  # bytes of a float32
_NUMBERING = 112  # bytes a pixel while words are numbered: labels, keys, runs, indices as int64
_PER_VOXEL = 16  # bytes a voxel of the whole grid: label maps on both grids, image on both grids


def largest_share(stride: int) -> float:
    """Fraction of distinct neighborhoods above which a stage is convolved instead of looked up.

    A table of words (neighborhoods) is faster as long as some pixels share a word, because the
    inner 3x3 words are fewer still; on fine grids, which hold most of the pixels, the limit bounds
    the memory of the tables. Coarse grids always have tables: a convolution sums in another order,
    and a slice should not depend on the other slices whose words are found together with its own.
    """
    return 0.5 if stride == 1 else 0.75 if stride == 2 else 1.0


@dataclass(frozen=True)
class Kept:
    """Which results are kept in memory beyond one pass, as far as the memory limit allows."""

    labels: bool = False
    """Whether the tables of the labels are kept, because several passes or updates use them."""
    slices: bool = False
    """Whether the encoding of every slice is kept, because few slices will be made again."""


NOTHING_KEPT = Kept()


@dataclass(frozen=True)
class MemoryNeed:
    """The memory that a synthesis needs, for the whole process, in bytes."""

    fixed: float
    per_slice: float
    """Bytes for each of the slices whose labels are prepared at once."""

    @property
    def least(self) -> int:
        """Smallest limit that allows one slice."""
        return math.ceil(self.fixed + self.per_slice)


def memory_need(
    settings: GeneratorSettings,
    shape_sjk: Sequence[int],
    num_voxels: int,
    threads: int,
    weights_bytes: int,
    kept: Kept = NOTHING_KEPT,
) -> MemoryNeed:
    """The memory for a box of so many slices, rows, columns; the rest as `slab_size_within`."""
    pixels = shape_sjk[1] * shape_sjk[2]
    fixed = (
        PROGRAM_BYTES
        + 2 * weights_bytes
        + _PER_VOXEL * num_voxels
        + _bytes_of_passes(settings, pixels, shape_sjk[0], threads, kept)
    )
    return MemoryNeed(fixed, pixels * (_NUMBERING + _table_bytes_per_pixel(settings)))


def check_grid_fits(limit_bytes: int, num_voxels: int) -> None:
    """Raises MemoryLimitError where the voxels of both grids alone are more than the limit allows.

    It is asked before the model grid is made; what the engine needs on top comes later.
    """
    need = PROGRAM_BYTES + _PER_VOXEL * num_voxels
    if need > limit_bytes:
        raise _too_low(limit_bytes, need)


def slab_size_within(
    limit_bytes: int,
    settings: GeneratorSettings,
    box: SynthesisBox,
    num_voxels: int,
    threads: int,
    weights_bytes: int,
    kept: Kept = NOTHING_KEPT,
) -> int:
    """Slices whose labels are prepared at once, at most those of the box.

    limit_bytes: of the whole process. num_voxels: of the label map or the model grid, the larger.
    Raises MemoryLimitError where not even one slice fits, with the least that does.
    """
    need = memory_need(settings, box.shape_sjk, num_voxels, threads, weights_bytes, kept)
    if need.least > limit_bytes:
        raise _too_low(limit_bytes, need.least)
    return max(1, min(box.shape_sjk[0], int((limit_bytes - need.fixed) // need.per_slice)))


def _too_low(limit_bytes: int, need_bytes: float) -> MemoryLimitError:
    return MemoryLimitError(
        f"The memory limit is {limit_bytes / 2**20:.0f} MiB; this label map needs at least "
        f"{math.ceil(need_bytes / 2**20)} MiB. Raise the limit, crop the label map, or "
        "resample it to larger voxels."
    )


def _table_bytes_per_pixel(settings: GeneratorSettings) -> float:
    """Size of the tables when as many neighborhoods are distinct as they may hold."""
    total = 0.0
    for number, (inputs, outputs) in enumerate(
        zip(settings.channels[:-1], settings.channels[1:], strict=True)
    ):
        stride = settings.stride // 2**number
        features = inputs + min(inputs, outputs)
        total += largest_share(stride) * 2 * features * _VALUE / stride**2
    return total


def _bytes_of_passes(
    settings: GeneratorSettings, pixels: int, num_slices: int, threads: int, kept: Kept
) -> float:
    """Noise, states between encoding and decoding, and the features of the slices in work."""
    octaves = len(settings.noise_sigmas_mm)
    noise = 2 * BLOCK_SIZE * pixels * _VALUE * (octaves + 4)
    fused = settings.channels[settings.fusion_stage + 1]
    fused_pixels = pixels / (settings.stride // 2**settings.fusion_stage) ** 2
    in_work = BLOCK_SIZE + 4 * settings.fusion_rounds * (settings.stack_radius + 1)
    num_states = num_slices if kept.slices else min(num_slices, in_work)
    states = num_states * 4 * fused * fused_pixels * _VALUE
    widest = max(
        max(pair) / (settings.stride // 2**number) ** 2
        for number, pair in enumerate(
            zip(settings.channels[:-1], settings.channels[1:], strict=True)
        )
    )
    return noise + states + threads * 6 * widest * pixels * _VALUE
