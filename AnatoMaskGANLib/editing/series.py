"""Series of edited label maps from one map: a segment in several sizes, or moved step by step.

Each step is made from the first map, so that rounding to voxels does not add up, and a scan that
follows it is interpolated once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from AnatoMaskGANLib.editing.operations import add_ball, grow, move, resize
from AnatoMaskGANLib.volumes import LabelMap


def sizes(
    label_map: LabelMap, label: int, percents: Sequence[float], fixed: Collection[int] = ()
) -> Iterator[LabelMap]:
    """Gives a segment each of these percentages of its volume; see `resize`."""
    for percent in percents:
        yield resize(label_map, label, percent, fixed)


def growths(
    label_map: LabelMap, label: int, steps_mm: Sequence[float], fixed: Collection[int] = ()
) -> Iterator[LabelMap]:
    """Grows a segment by each of these mm; see `grow`."""
    for by_mm in steps_mm:
        yield grow(label_map, label, by_mm, fixed)


def moves(
    label_map: LabelMap,
    label: int,
    by_ras_mm: Sequence[float],
    num_steps: int,
    fixed: Collection[int] = (),
) -> Iterator[LabelMap]:
    """Moves a segment to a place in so many equal steps; see `move`."""
    for step in range(1, num_steps + 1):
        yield move(label_map, label, [mm * step / num_steps for mm in by_ras_mm], fixed)


def balls(
    label_map: LabelMap,
    label: int,
    center_ras_mm: Sequence[float],
    diameters_mm: Sequence[float],
    inside: Collection[int] | None = None,
) -> Iterator[LabelMap]:
    """Adds a ball at one place with each of these diameters; see `add_ball`."""
    for diameter_mm in diameters_mm:
        yield add_ball(label_map, label, center_ras_mm, diameter_mm, inside)
