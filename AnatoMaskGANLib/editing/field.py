"""A smooth displacement that brings one label map to another, in the box of an edit.

The method is Demons on the vectors of `label_codes.py`, from coarse to fine grids. Each step pulls
every cell along the slope of the codes to where they agree, and then smooths the step and the field
(Thirion 1998, Vercauteren et al. 2009, with the symmetric force). Lengths are in millimeters: a
thick axis is pooled later than the others and is smoothed over fewer cells, so the field is equally
smooth along all axes.

Letters of shapes: F counts code channels, K, J, I voxels of the box, and k, j, i cells of a grid.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import SimpleITK
import torch
from torch.nn import functional

from AnatoMaskGANLib.editing.label_codes import label_codes
from AnatoMaskGANLib.editing.settings import FieldSettings
from AnatoMaskGANLib.editing.slices import is_thick
from AnatoMaskGANLib.editing.tensors import array_of, tensor_of

_FEWEST_CELLS = 4  # an axis with fewer than twice as many is not pooled
_ALIKE = 1.5  # axes whose cells are up to this much longer than the shortest are pooled together
_SLAB_VOXELS = 2_000_000
_NO_MOVE = 0.05  # voxels; a smaller displacement counts as none, and the scan keeps its bits


@dataclass(frozen=True, eq=False)
class Displacement:
    """The place that each voxel of a box takes its content from, as an offset in voxels."""

    shape_kji: tuple[int, int, int]
    """Shape of the box."""
    cells_kji: tuple[int, int, int]
    """Number of voxels in a cell along each axis."""
    offsets: np.ndarray
    """[3,k,j,i] float32. One offset along K, J and I for each cell."""

    def inside(self, part: tuple[slice, slice, slice]) -> np.ndarray:
        """Gives the offsets of a part of the box as [3,...] float32. They are interpolated linearly
        between the cells."""
        values = self.offsets
        for axis, (side, cell) in enumerate(zip(part, self.cells_kji, strict=True), start=1):
            if cell == 1:
                values = values[(slice(None),) * axis + (side,)]
                continue
            size = values.shape[axis]
            places = (np.arange(side.start, side.stop) + 0.5) / cell - 0.5
            places = np.clip(places, 0, size - 1)
            below = np.minimum(places.astype(np.intp), max(size - 2, 0))
            above = np.minimum(below + 1, size - 1)
            shape = [1, 1, 1, 1]
            shape[axis] = -1
            weight = (places - below).astype(np.float32).reshape(shape)
            low = np.take(values, below, axis)
            values = low + weight * (np.take(values, above, axis) - low)
        values = np.array(values, dtype=np.float32)
        values[:, np.abs(values).max(axis=0) < _NO_MOVE] = 0
        return values


@torch.inference_mode()
def register_labels(
    before: np.ndarray,
    after: np.ndarray,
    spacing_kji: tuple[float, float, float],
    reach_mm: float,
    open_sides: tuple[tuple[bool, bool], ...],
    settings: FieldSettings,
    on_step: Callable[[float], None] = lambda fraction: None,
) -> Displacement:
    """Finds the displacement u for which before(x + u(x)) is about equal to after(x). It is zero
    beyond the reach.

    before and after [K,J,I] are integer labels. The field is free up to half of `reach_mm` from a
    changed voxel, and fades from there on. open_sides says for each axis whether its first and last
    face are faces of the whole map. Contents may come in there; at all other faces the field is
    zero. on_step is called before each iteration with the fraction that is done. An exception that
    it raises ends the registration.
    """
    grids = _grids(before.shape, spacing_kji, settings)
    labels = np.union1d(np.unique(before), np.unique(after))
    codes = label_codes(len(labels))
    cells = grids[-1]
    pairs = [[_pooled_codes(labels_kji, labels, codes, cells) for labels_kji in (before, after)]]
    weights = [_weight(before != after, spacing_kji, cells, reach_mm, open_sides)]
    whole = [coarse // fine for coarse, fine in zip(grids[0], cells, strict=True)]
    pairs[0] = [_continued(values, whole) for values in pairs[0]]
    weights[0] = _continued(weights[0], whole)
    for coarser in reversed(grids[:-1]):
        by = tuple(c // f for c, f in zip(coarser, cells, strict=True))
        pairs.insert(0, [_pooled(values, by) for values in pairs[0]])
        weights.insert(0, _pooled(weights[0], by))
        cells = coarser
    iterations = settings.iterations[-len(grids) :]
    offsets, coarser_cells = torch.zeros(3, *pairs[0][0].shape[1:]), grids[0]  # in voxels
    costs = [count * pair[0].numel() for pair, count in zip(pairs, iterations, strict=True)]
    done = 0.0
    for cells, pair, weight, count in zip(grids, pairs, weights, iterations, strict=True):
        cost = pair[0].numel() / sum(costs)
        size = torch.tensor(cells, dtype=torch.float32).reshape(3, 1, 1, 1)
        shape = pair[0].shape[1:]
        if cells != coarser_cells:
            offsets = _resized(offsets, coarser_cells, cells, shape)
        length = np.array(cells) * spacing_kji
        lengths = length / length.min()
        step = _Demons(pair, weight, lengths, settings)
        field = offsets / size
        for _ in range(count):
            on_step(done)
            field = step(field)
            done += cost
        offsets = size * field
        coarser_cells = cells
    return Displacement(before.shape, grids[-1], array_of(offsets))


class _Demons:
    """The steps on one grid. cell_lengths are relative to the shortest one."""

    def __init__(
        self,
        pair: list[torch.Tensor],
        weight: torch.Tensor,
        cell_lengths: np.ndarray,
        settings: FieldSettings,
    ) -> None:
        source, target = (
            _smooth(values, settings.code_smoothing / cell_lengths) for values in pair
        )
        self.source = source
        self.target = target
        self.weight = weight
        self.length = torch.tensor(cell_lengths.tolist(), dtype=torch.float32).reshape(3, 1, 1, 1)
        self.grid = _grid(weight.shape[1:])
        self.slope = _gradient(target)
        self.step_sigmas = settings.step_smoothing / cell_lengths
        self.field_sigmas = settings.field_smoothing / cell_lengths

    def __call__(self, field: torch.Tensor) -> torch.Tensor:
        """Gives the field after one more step, as [3,k,j,i] in cells."""
        moved = _sample(self.source, self.grid + field)
        difference = self.target - moved
        both = _gradient(moved)
        both += self.slope
        both *= 0.5  # [F,3,k,j,i]
        # slopes are per shortest cell edge, so that a millimeter counts the same along every axis
        both /= self.length
        force = torch.zeros_like(field)
        norm = torch.full_like(field[:1], 1e-4)
        # the order is the same on any machine
        for channel, slopes in zip(difference, both, strict=True):
            force.addcmul_(channel[None], slopes)
            norm += slopes.square().sum(0, keepdim=True)
            norm.addcmul_(channel[None], channel[None], value=0.5)
        force /= norm * self.length
        field = field + _smooth(force, self.step_sigmas)
        field = _smooth(field, self.field_sigmas)
        field *= self.weight
        return field


def _grids(
    shape_kji: tuple[int, ...], spacing_kji: tuple[float, ...], settings: FieldSettings
) -> list[tuple[int, int, int]]:
    """Gives the number of voxels in a cell of each grid, from coarse to fine."""

    def doubled(cells: tuple[int, int, int]) -> tuple[int, int, int]:
        can = [
            size >= 2 * _FEWEST_CELLS * cell for size, cell in zip(shape_kji, cells, strict=True)
        ]
        lengths = [cell * mm for cell, mm in zip(cells, spacing_kji, strict=True)]
        shortest = min([mm for mm, may in zip(lengths, can, strict=True) if may], default=0)
        k, j, i = (
            2 * cell if may and mm <= _ALIKE * shortest else cell
            for cell, mm, may in zip(cells, lengths, can, strict=True)
        )
        return k, j, i

    finest = (1, 1, 1)
    while math.prod(shape_kji) / math.prod(finest) > settings.most_cells:
        if doubled(finest) == finest:
            break
        finest = doubled(finest)
    grids = [finest]
    while len(grids) < len(settings.iterations) and doubled(grids[0]) != grids[0]:
        grids.insert(0, doubled(grids[0]))
    return grids


def _pooled_codes(
    labels_kji: np.ndarray, labels: np.ndarray, codes: np.ndarray, cells: tuple[int, int, int]
) -> torch.Tensor:
    """Computes the mean code of each cell as [F,k,j,i], slab by slab."""
    num_slices = max(1, _SLAB_VOXELS // (math.prod(labels_kji.shape[1:]) * cells[0])) * cells[0]
    slabs = []
    for first in range(0, labels_kji.shape[0], num_slices):
        index = np.searchsorted(labels, labels_kji[first : first + num_slices])
        slabs.append(_pooled(tensor_of(codes.T[:, index]), cells))
    return torch.cat(slabs, dim=1)


def _pooled(values: torch.Tensor, by: tuple[int, ...]) -> torch.Tensor:
    """Averages [F,k,j,i] over cells. The last cell of an axis may hold fewer voxels."""
    if max(by) == 1:
        return values
    # PyTorch refuses a window that is longer than the axis, which happens on the last slab of a map
    window = [min(cell, size) for cell, size in zip(by, values.shape[1:], strict=True)]
    batch = values[None]
    return functional.avg_pool3d(batch, window, by, ceil_mode=True, count_include_pad=False)[0]


def _continued(values: torch.Tensor, multiples: list[int]) -> torch.Tensor:
    """Repeats the last faces of [F,k,j,i] until the length of each axis is a multiple of its
    number."""
    for axis, multiple in enumerate(multiples, start=1):
        size = values.shape[axis]
        num_more = -size % multiple
        if num_more:
            last = values.narrow(axis, size - 1, 1)
            values = torch.cat([values] + [last] * num_more, dim=axis)
    return values


def _weight(
    is_changed: np.ndarray,
    spacing_kji: tuple[float, ...],
    cells: tuple[int, int, int],
    reach_mm: float,
    open_sides: tuple[tuple[bool, bool], ...],
) -> torch.Tensor:
    """Gives the weight of the field as [1,k,j,i]. It is 1 up to half the reach from a change, and 0
    from the full reach on and at closed sides."""
    for axis, cell in enumerate(cells):
        if cell > 1:
            starts = np.arange(0, is_changed.shape[axis], cell)
            is_changed = np.logical_or.reduceat(is_changed, starts, axis=axis)
    lengths = [cell * mm for cell, mm in zip(cells, spacing_kji, strict=True)]
    # the slices next to a thick one keep their bits, so the field must not reach them
    apart = [
        max(mm, reach_mm) if thick else mm
        for mm, thick in zip(lengths, is_thick(spacing_kji), strict=True)
    ]
    distance = distance_mm(is_changed, apart)
    half = reach_mm / 2
    weight = 0.5 + 0.5 * np.cos(np.pi * np.clip((distance - half) / (reach_mm - half), 0, 1))
    for axis, (sides, mm) in enumerate(zip(open_sides, lengths, strict=True)):
        size = weight.shape[axis]
        ramp = np.ones(size, np.float32)
        steps = np.arange(size) * mm / (reach_mm / 3)
        for is_open, from_face in zip(sides, (steps, steps[::-1]), strict=True):
            if not is_open:
                ramp = np.minimum(ramp, from_face)
        weight = weight * ramp.reshape([-1 if other == axis else 1 for other in range(3)])
    return tensor_of(weight[None])


def distance_mm(mask: np.ndarray, spacing_kji: tuple[float, ...] | list[float]) -> np.ndarray:
    """Gives the distance of each voxel to the mask in mm, as [K,J,I] float32. It is 0 in the mask,
    and large everywhere if the mask is empty."""
    if not mask.any():
        return np.full(mask.shape, np.float32(1e6))
    image = SimpleITK.GetImageFromArray(mask.astype(np.uint8))
    image.SetSpacing([float(mm) for mm in spacing_kji[::-1]])
    found = SimpleITK.SignedMaurerDistanceMap(
        image, insideIsPositive=False, squaredDistance=False, useImageSpacing=True
    )
    return np.maximum(SimpleITK.GetArrayFromImage(found), 0)


def _smooth(values: torch.Tensor, sigmas: np.ndarray) -> torch.Tensor:
    """Applies a Gaussian to the last three axes of [F,k,j,i]. sigmas are in cells; edges are
    continued.

    It adds shifted arrays, which on processors is many times as fast as a convolution of one
    channel.
    """
    for axis, sigma in enumerate(sigmas, start=1):
        size = values.shape[axis]
        radius = int(2.5 * sigma + 0.5)
        if size == 1 or radius < 1:
            continue
        steps = np.arange(radius + 1)
        weights = np.exp(-0.5 * (steps / sigma) ** 2)
        weights /= weights[0] + 2 * weights[1:].sum()
        ends = [values.narrow(axis, 0, 1), values.narrow(axis, size - 1, 1)]
        padded = torch.cat([ends[0]] * radius + [values] + [ends[1]] * radius, dim=axis)
        values = padded.narrow(axis, radius, size) * float(weights[0])
        for step in range(1, radius + 1):
            for first in (radius - step, radius + step):
                values.add_(padded.narrow(axis, first, size), alpha=float(weights[step]))
    return values


def _gradient(values: torch.Tensor) -> torch.Tensor:
    """Gives the central differences of [F,k,j,i] as [F,3,k,j,i]. At the faces they are one-sided
    and halved."""
    found = torch.zeros(values.shape[0], 3, *values.shape[1:])
    for axis in range(1, 4):
        size = values.shape[axis]
        if size < 2:
            continue
        part = found[:, axis - 1]
        ahead = values.narrow(axis, 1, size - 1)
        behind = values.narrow(axis, 0, size - 1)
        step = (ahead - behind).mul_(0.5)
        part.narrow(axis, 0, size - 1).add_(step)
        part.narrow(axis, 1, size - 1).add_(step)
    return found


def _grid(shape: torch.Size) -> torch.Tensor:
    axes = [torch.arange(size, dtype=torch.float32) for size in shape]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))


def _sample(values: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Samples [F,k,j,i] linearly at places [3,k,j,i] in cells. Edges are continued."""
    size = torch.tensor(values.shape[1:], dtype=torch.float32).reshape(3, 1, 1, 1)
    unit = places * (2 / (size - 1).clamp(min=1)) - 1
    return functional.grid_sample(
        values[None],
        unit.flip(0).permute(1, 2, 3, 0)[None],
        mode="bilinear",
        padding_mode="border",
        align_corners=True,
    )[0]


def _resized(
    offsets: torch.Tensor,
    old_cells: tuple[int, int, int],
    cells: tuple[int, int, int],
    shape: torch.Size,
) -> torch.Tensor:
    """Interpolates the field [3,k,j,i] of a coarser grid linearly on a finer one."""
    places = []
    for axis, (old, new) in enumerate(zip(old_cells, cells, strict=True)):
        middle = (torch.arange(shape[axis], dtype=torch.float32) + 0.5) * (new / old) - 0.5
        places.append(middle.clamp(0, offsets.shape[axis + 1] - 1))
    return _sample(offsets, torch.stack(torch.meshgrid(*places, indexing="ij")))
