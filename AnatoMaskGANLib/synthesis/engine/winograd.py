"""3x3 convolutions of many features with 2.25 times fewer multiplications (Winograd's F(2x2,3x3)).

Four outputs of a 2x2 tile follow from 16 products of sums of its 4x4 inputs with sums of the nine
weights (Lavin and Gray 2016, section 4.1). The sums over the features become 16 matrix products. In
float32 the result is nearer to the exact one than that of a plain convolution, because fewer terms
are added up one after the other.

A dilation of d makes d x d grids of every d-th row and column ("phases") that know nothing of each
other. Shape letters: F features, h x w pixels, a x b tiles of a phase.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_LEAST_FEATURES = 256  # input and output; with fewer, sums cost more than products save
_MOST_WASTE = 1.1  # pixels of all tiles over those of the grid; measured: at 1.3 nothing is gained
_WEIGHT_SUMS = ((1.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0.0, 0.0, 1.0))


def winograd_pays(num_inputs: int, num_outputs: int, grid: tuple[int, int], dilation: int) -> bool:
    """Whether a CPU is faster this way."""
    rows, columns = (_num_tiles(size, dilation) for size in grid)
    made = 4 * rows * columns * dilation**2
    is_wide = min(num_inputs, num_outputs) >= _LEAST_FEATURES
    return is_wide and made <= _MOST_WASTE * grid[0] * grid[1]


def winograd_weight(weight: Tensor) -> Tensor:
    """[16,Fin,Fout] sums of the weights [Fout,Fin,3,3]."""
    sums = weight.new_tensor(_WEIGHT_SUMS)
    return torch.einsum("ai,fgij,bj->abgf", sums, weight, sums).flatten(0, 1).contiguous()


def winograd_convolution(
    features: Tensor, weight: Tensor, bias: Tensor | None, dilation: int
) -> Tensor:
    """[1,Fin,h,w] -> [1,Fout,h,w], padded with zeros to the same size; both channels last.

    weight: of `winograd_weight`.
    """
    height, width = features.shape[2:]
    num_inputs, num_outputs = weight.shape[1:]
    rows, columns = (_num_tiles(size, dilation) for size in (height, width))
    phases = features.new_zeros(
        2 * rows + 2, dilation, 2 * columns + 2, dilation, num_inputs
    )  # place of a row in its phase, phase, and so for columns
    grid = phases.view((2 * rows + 2) * dilation, (2 * columns + 2) * dilation, num_inputs)
    inside = (slice(dilation, dilation + height), slice(dilation, dilation + width))
    grid[inside] = features[0].permute(1, 2, 0)

    shape = (rows, dilation, columns, dilation)
    sums = features.new_empty(4, 4, *shape, num_inputs)
    first = [phases[place : place + 2 * rows : 2] for place in range(4)]
    for made, row in zip(sums, _input_sums(first), strict=True):
        parts = [row[:, :, place : place + 2 * columns : 2] for place in range(4)]
        _input_sums(parts, list(made))
    products = torch.bmm(sums.view(16, -1, num_inputs), weight).view(4, 4, *shape, num_outputs)
    del sums

    tiles = features.new_empty(rows, 2, dilation, columns, 2, dilation, num_outputs)
    for number, row in enumerate(_output_sums(list(products))):
        for other, values in enumerate(_output_sums(list(row))):
            tiles[:, number, :, :, other] = values
    made = tiles.view(2 * rows * dilation, 2 * columns * dilation, num_outputs)[:height, :width]
    made = made.contiguous() if bias is None else made + bias
    return made.permute(2, 0, 1)[None]


def _num_tiles(size: int, dilation: int) -> int:
    """Number of two-pixel tiles that cover the longest phase along a side."""
    longest = -(-size // dilation)
    return -(-longest // 2)


def _input_sums(
    parts: Sequence[Tensor], out: Sequence[Tensor | None] = (None,) * 4
) -> list[Tensor]:
    """The four sums of four neighbors along one side; out: memory for them."""
    return [
        torch.sub(parts[0], parts[2], out=out[0]),
        torch.add(parts[1], parts[2], out=out[1]),
        torch.sub(parts[2], parts[1], out=out[2]),
        torch.sub(parts[1], parts[3], out=out[3]),
    ]


def _output_sums(parts: Sequence[Tensor]) -> list[Tensor]:
    """The two outputs that four sums give along one side."""
    return [(parts[0] + parts[1]).add_(parts[2]), (parts[1] - parts[2]).sub_(parts[3])]
