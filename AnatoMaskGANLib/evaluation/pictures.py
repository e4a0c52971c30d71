"""Labels, images and their difference in three planes, as a PNG.

Pictures follow the radiological convention, as 3D Slicer does: the patient's right is on the left.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from AnatoMaskGANLib.evaluation.case_metrics import own_spacing_ras_mm
from AnatoMaskGANLib.evaluation.label_colors import label_colors, paint_labels
from AnatoMaskGANLib.evaluation.picture_sheet import PLANES, Sheet, letter_edges
from AnatoMaskGANLib.evaluation.protocol import to_unit_range
from AnatoMaskGANLib.volumes import (
    LabelMap,
    LabelTable,
    Volume,
    same_grid,
    to_model_grid,
    volume_to_model_grid,
)
from AnatoMaskGANLib.volumes.atomic_writing import replacing

MARGIN_MM = 6.0
"""Room left around the labels when a plane is cropped to them."""
DIFFERENCE_COLORS = ("#a8dcff", "#2f7fe0", "#000000", "#e0582f", "#ffd0a8")
"""From too dark over right to too bright."""
DIFFERENCE_RANGE = 0.3
"""The difference's color scale ends at this share of the window."""


def plane_picture(array_kji: np.ndarray, kji_axis: int, index: int) -> np.ndarray:
    """The slice [rows, columns] as it is shown: superior or anterior on top, right on the left.

    The array's axes run to superior (K), anterior (J) and right (I). The sagittal plane has
    anterior on the left, as 3D Slicer shows it.
    """
    return np.take(array_kji, index, axis=kji_axis)[::-1, ::-1]


def busiest_position_kji(labels_kji: np.ndarray) -> tuple[int, int, int]:
    """For each axis the slice with the most to see: the largest sum of roots of label areas."""
    thinned = labels_kji[::2, ::2, ::2]
    values = np.unique(thinned)
    position = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        areas = [np.count_nonzero(thinned == value, axis=others) for value in values if value]
        score = np.sqrt(areas).sum(axis=0) if areas else np.zeros(thinned.shape[axis])
        position.append(min(int(np.argmax(score)) * 2, labels_kji.shape[axis] - 1))
    return position[0], position[1], position[2]


def draw_three_planes(
    path: str | Path,
    label_map: LabelMap,
    volumes: Mapping[str, Volume],
    window: tuple[float, float],
    table: LabelTable | None = None,
    *,
    reference: str | None = "Real",
    title: str = "",
    position_kji: tuple[int, int, int] | None = None,
) -> None:
    """Writes a PNG: a row a plane; the labels, each volume, and the first one minus the reference.

    All lie on one grid. `volumes` maps the heading of a column to its volume; the difference is
    drawn when `reference` names one of them and there is another. `window` is the gray scale's.
    `position_kji` is a voxel of the grid turned to right, anterior, superior; the default shows
    the most labels. Raises ValueError for a volume on another grid or an empty label map.
    """
    figure = three_planes_figure(
        label_map, volumes, window, table, reference=reference, title=title, position=position_kji
    )
    save_png(figure, path)


def three_planes_figure(
    label_map: LabelMap,
    volumes: Mapping[str, Volume],
    window: tuple[float, float],
    table: LabelTable | None = None,
    *,
    reference: str | None = "Real",
    title: str = "",
    position: tuple[int, int, int] | None = None,
) -> Figure:
    """The picture of `draw_three_planes`, for a report that embeds it."""
    for name, volume in volumes.items():
        if not same_grid(volume, label_map):
            raise ValueError(
                f"'{name}' is not on the grid of the label map, so they cannot be shown "
                "side by side. Resample the volume to the label map first."
            )
    if not label_map.labels_kji.any():
        raise ValueError("The label map is empty: there is nothing to show. Check its labels.")
    grid = to_model_grid(label_map, own_spacing_ras_mm(label_map))
    labels_kji = grid.labels_kji
    spacing_kji = own_spacing_ras_mm(grid)[::-1]
    crop = _crop_to_labels(labels_kji, spacing_kji)
    position = position or busiest_position_kji(labels_kji)
    images = {
        name: to_unit_range(volume_to_model_grid(volume, grid).voxels_kji[crop], window)
        for name, volume in volumes.items()
    }
    compared = next((name for name in images if name != reference), None)
    differs = reference in images and compared is not None
    headings = ["Labels", *images, *([f"{compared} − {reference}"] if differs else [])]
    colors = label_colors([int(v) for v in np.unique(labels_kji)], table.swaps if table else None)
    names = {value: label_name(value, grid, table) for value in colors}

    sheet = Sheet.of(labels_kji[crop].shape, spacing_kji, headings, title)
    shown: dict[str, tuple[int, tuple[float, float, float]]] = {}
    gray = difference = None
    for row, plane in enumerate(PLANES):
        index = position[plane.kji_axis] - crop[plane.kji_axis].start
        labels_hw = plane_picture(labels_kji[crop], plane.kji_axis, index)
        for value, count in zip(*np.unique(labels_hw, return_counts=True), strict=True):
            if value:
                before = shown.get(names[int(value)], (0,))[0]
                shown[names[int(value)]] = (before + int(count), colors[int(value)])
        _show(sheet.axes[row][0], paint_labels(labels_hw, colors), interpolation="nearest")
        for axes, image_kji in zip(sheet.axes[row][1:], images.values(), strict=False):
            gray = _show(axes, plane_picture(image_kji, plane.kji_axis, index), cmap="gray", vmin=0)
        if differs:
            change_kji = images[compared] - images[reference]
            difference = _show(
                sheet.axes[row][-1],
                plane_picture(change_kji, plane.kji_axis, index),
                interpolation="nearest",
                cmap=LinearSegmentedColormap.from_list("difference", DIFFERENCE_COLORS),
                vmin=-DIFFERENCE_RANGE,
                vmax=DIFFERENCE_RANGE,
            )
        letter_edges(sheet.axes[row][0], plane)
    unit = next((volume.unit for volume in volumes.values()), "")
    if gray is not None:
        sheet.add_scale(1, gray, (0.0, 1.0), window, unit)
    if difference is not None:
        extent = DIFFERENCE_RANGE * (window[1] - window[0])
        ends = (-DIFFERENCE_RANGE, DIFFERENCE_RANGE)
        sheet.add_scale(len(headings) - 1, difference, ends, (-extent, extent), unit)
    sheet.add_length_bar()
    sheet.add_legend(shown)
    return sheet.figure


def label_name(value: int, label_map: LabelMap, table: LabelTable | None) -> str:
    """The label's name; without its side where a left-right partner has the same color."""
    names = table.labels if table and value in table.labels else label_map.names
    name = names.get(value, f"label {value}")
    if table and value in table.swaps:
        name = re.sub(r"(?i)(?<![a-z])(left|right|lh|rh)(?![a-z])[-_ ]*", "", name) or name
    return name.replace("-", " ").replace("_", " ")


def _show(axes: Axes, picture: np.ndarray, **options: object) -> AxesImage:
    """The picture filling its panel, which has the right proportions already."""
    options = {"vmax": 1, "interpolation": "bilinear", **options}
    return axes.imshow(picture, aspect="auto", **options)


def save_png(figure: Figure, path: str | Path) -> None:
    """Writes the figure; the file at `path` is either the old one or whole."""
    FigureCanvasAgg(figure)
    with replacing(Path(path), ".png") as temporary:
        figure.savefig(temporary, format="png", dpi=130, facecolor=figure.get_facecolor())


def _crop_to_labels(
    labels_kji: np.ndarray, spacing_kji: tuple[float, ...]
) -> tuple[slice, slice, slice]:
    """The box of the labeled voxels with a margin."""
    slices = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        used = np.flatnonzero(labels_kji.any(axis=others))
        margin = round(MARGIN_MM / spacing_kji[axis])
        end = min(int(used[-1]) + margin + 1, labels_kji.shape[axis])
        slices.append(slice(max(int(used[0]) - margin, 0), end))
    return slices[0], slices[1], slices[2]
