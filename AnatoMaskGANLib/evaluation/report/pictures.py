"""Labels, images and their difference in three planes, as a PNG.

Pictures follow the radiological convention, as 3D Slicer does: the patient's right is on the left.
"""

from __future__ import annotations

import colorsys
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from AnatoMaskGANLib.evaluation.metrics.case_metrics import own_spacing_ras_mm
from AnatoMaskGANLib.evaluation.metrics.protocol import to_unit_range
from AnatoMaskGANLib.evaluation.report.picture_sheet import PLANES, Sheet, letter_edges
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
"""Colors from too dark, over right, to too bright."""
DIFFERENCE_RANGE = 0.3
"""The difference's color scale ends at this fraction of the window."""
GOLDEN_RATIO = 0.6180339887


@dataclass(frozen=True, eq=False)
class ThreePlanes:
    """The content of a picture in three planes; all volumes lie on the grid of the label map."""

    label_map: LabelMap
    volumes: Mapping[str, Volume]
    """Heading of a column -> its volume."""
    window: tuple[float, float]
    """Intensities that are black and white."""
    table: LabelTable | None = None
    """Names and left-right partners of the labels."""
    reference: str | None = "Real"
    """Volume that is subtracted from another one; no difference without such a volume."""
    compared: str | None = None
    """Volume from which it is subtracted; None: the first other one."""
    title: str = ""
    position_kji: tuple[int, int, int] | None = None
    """Voxel of the grid turned to right, anterior, superior; None shows the most labels."""


def draw_three_planes(path: str | Path, planes: ThreePlanes) -> None:
    """Writes a PNG with a row per plane: the labels, each volume, and the difference.

    Raises ValueError for a volume on another grid or an empty label map.
    """
    save_png(three_planes_figure(planes), path)


def three_planes_figure(planes: ThreePlanes) -> Figure:
    """The picture of `draw_three_planes` as a Matplotlib figure."""
    _check_grids(planes)
    window, table = planes.window, planes.table
    grid = to_model_grid(planes.label_map, own_spacing_ras_mm(planes.label_map))
    spacing_kji = own_spacing_ras_mm(grid)[::-1]
    crop = _crop_to_labels(grid.labels_kji, spacing_kji)
    position_kji = planes.position_kji or busiest_position_kji(grid.labels_kji)
    labels_kji = grid.labels_kji[crop]
    images = {
        name: to_unit_range(volume_to_model_grid(volume, grid).voxels_kji[crop], window)
        for name, volume in planes.volumes.items()
    }
    compared = planes.compared or next((name for name in images if name != planes.reference), None)
    difference_kji = None
    headings = ["Labels", *images]
    if planes.reference in images and compared is not None:
        difference_kji = images[compared] - images[planes.reference]
        headings.append(f"{compared} − {planes.reference}")
    values = [int(value) for value in np.unique(grid.labels_kji)]
    colors = label_colors(values, table.swaps if table else None)
    names = {value: label_name(value, grid, table) for value in colors}

    sheet = Sheet.of(labels_kji.shape, spacing_kji, headings, planes.title)
    shown: dict[str, tuple[int, tuple[float, float, float]]] = {}
    gray = difference = None
    for row, plane in enumerate(PLANES):
        index = position_kji[plane.kji_axis] - crop[plane.kji_axis].start
        panels = sheet.axes[row]
        labels_hw = plane_picture(labels_kji, plane.kji_axis, index)
        for value, count in zip(*np.unique(labels_hw, return_counts=True), strict=True):
            if value:
                before = shown[names[int(value)]][0] if names[int(value)] in shown else 0
                shown[names[int(value)]] = (before + int(count), colors[int(value)])
        _show(panels[0], paint_labels(labels_hw, colors), interpolation="nearest")
        for axes, image_kji in zip(panels[1:], images.values(), strict=False):
            gray = _show(axes, plane_picture(image_kji, plane.kji_axis, index), cmap="gray", vmin=0)
        if difference_kji is not None:
            picture = plane_picture(difference_kji, plane.kji_axis, index)
            difference = _show_difference(panels[-1], picture)
        letter_edges(panels[0], plane)
    unit = next((volume.unit for volume in planes.volumes.values()), "")
    if gray is not None:
        sheet.add_scale(1, gray, (0.0, 1.0), window, unit)
    if difference is not None:
        extent = DIFFERENCE_RANGE * (window[1] - window[0])
        ends = (-DIFFERENCE_RANGE, DIFFERENCE_RANGE)
        sheet.add_scale(len(headings) - 1, difference, ends, (-extent, extent), unit)
    sheet.add_length_bar()
    sheet.add_legend(shown)
    return sheet.figure


def _check_grids(planes: ThreePlanes) -> None:
    for name, volume in planes.volumes.items():
        if not same_grid(volume, planes.label_map):
            raise ValueError(
                f"'{name}' is not on the grid of the label map, so they cannot be shown "
                "side by side. Resample the volume to the label map first."
            )
    if not planes.label_map.labels_kji.any():
        raise ValueError("The label map is empty: there is nothing to show. Check its labels.")


def plane_picture(array_kji: np.ndarray, kji_axis: int, index: int) -> np.ndarray:
    """The slice [rows, columns] as it is shown: superior or anterior on top, right on the left.

    The array's axes run to superior (K), anterior (J) and right (I). The sagittal plane has
    anterior on the left, as 3D Slicer shows it.
    """
    return np.take(array_kji, index, axis=kji_axis)[::-1, ::-1]


def busiest_position_kji(labels_kji: np.ndarray) -> tuple[int, int, int]:
    """The slice of each axis that shows most: the largest sum of square roots of label areas."""
    thinned = labels_kji[::2, ::2, ::2]
    values = np.unique(thinned)
    position = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        areas = [np.count_nonzero(thinned == value, axis=others) for value in values if value]
        score = np.sqrt(areas).sum(axis=0) if areas else np.zeros(thinned.shape[axis])
        position.append(min(int(np.argmax(score)) * 2, labels_kji.shape[axis] - 1))
    return position[0], position[1], position[2]


def label_name(value: int, label_map: LabelMap, table: LabelTable | None) -> str:
    """The label's name; without its side if a left-right partner has the same color."""
    names = table.labels if table and value in table.labels else label_map.names
    name = names.get(value, f"label {value}")
    if table and value in table.swaps:
        name = re.sub(r"(?i)(?<![a-z])(left|right|lh|rh)(?![a-z])[-_ ]*", "", name) or name
    return name.replace("-", " ").replace("_", " ")


def _show(axes: Axes, picture: np.ndarray, **options: Any) -> AxesImage:
    """Fills a panel, whose proportions are those of the picture, with the picture."""
    shown: dict[str, Any] = {"vmax": 1, "interpolation": "bilinear", **options}
    return axes.imshow(picture, aspect="auto", **shown)


def _show_difference(axes: Axes, picture: np.ndarray) -> AxesImage:
    return _show(
        axes,
        picture,
        interpolation="nearest",
        cmap=LinearSegmentedColormap.from_list("difference", DIFFERENCE_COLORS),
        vmin=-DIFFERENCE_RANGE,
        vmax=DIFFERENCE_RANGE,
    )


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


def label_colors(
    values: Sequence[int], swaps: Mapping[int, int] | None = None
) -> dict[int, tuple[float, float, float]]:
    """Label value -> RGB in [0,1]; 0 is black. Left-right partners (`swaps`) share one color.

    A color depends on the label value only, so that it is the same in every picture.
    """
    colors = {0: (0.0, 0.0, 0.0)}
    for value in values:
        if value != 0:
            owner = min(value, (swaps or {}).get(value, value))
            lightness = (0.52, 0.64, 0.76)[owner % 3]
            hue = (0.08 + owner * GOLDEN_RATIO) % 1.0
            colors[int(value)] = colorsys.hls_to_rgb(hue, lightness, 0.62)
    return colors


def paint_labels(
    labels_hw: np.ndarray, colors: Mapping[int, tuple[float, float, float]]
) -> np.ndarray:
    """The slice of label values as an RGB picture [H,W,3] in [0,1]."""
    values, inverse = np.unique(labels_hw, return_inverse=True)
    palette = np.array([colors[int(value)] for value in values], dtype=np.float32)
    return palette[inverse.reshape(labels_hw.shape)]
