"""Labels, images and their difference in three planes, as a PNG.

Pictures follow the radiological convention, as 3D Slicer does: the patient's right is on the left.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from AnatoMaskGANLib.evaluation.case_figures import own_spacing_ras_mm
from AnatoMaskGANLib.evaluation.label_colors import label_colors, paint_labels
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

BACKGROUND = "#101318"
TEXT = "#e8eaed"
FAINT = "#9aa3ad"
MARGIN_MM = 6.0
"""Room left around the labels when a plane is cropped to them."""
MAXIMUM_LEGEND_ENTRIES = 18
COLUMN_INCHES = 2.5
GAP_INCHES = 0.08
BOTTOM_INCHES = 1.25
"""Room for the scales and the legend."""
ROUND_LENGTHS_MM = (1, 2, 5, 10, 20, 50, 100, 200)
DIFFERENCE_COLORS = ("#a8dcff", "#2f7fe0", "#000000", "#e0582f", "#ffd0a8")
"""From too dark over right to too bright."""
DIFFERENCE_RANGE = 0.3
"""The difference's color scale ends at this share of the window."""


@dataclass(frozen=True)
class _Plane:
    """How a slice of a KJI array (R, A, S axes) becomes a picture with rows from the top."""

    title: str
    kji_axis: int
    left: str
    right: str
    top: str
    bottom: str


PLANES = (
    _Plane("Axial", 0, "R", "L", "A", "P"),
    _Plane("Coronal", 1, "R", "L", "S", "I"),
    _Plane("Sagittal", 2, "A", "P", "S", "I"),
)


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
                f"'{name}' does not lie on the grid of the label map, so they cannot be shown "
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

    sheet = _Sheet.of(labels_kji[crop].shape, spacing_kji, headings, title)
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
                cmap=LinearSegmentedColormap.from_list("difference", DIFFERENCE_COLORS),
                vmin=-DIFFERENCE_RANGE,
                vmax=DIFFERENCE_RANGE,
            )
        _letter_edges(sheet.axes[row][0], plane)
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


@dataclass(frozen=True, eq=False)
class _Sheet:
    """A figure with one panel a plane and column, all panels at the same scale."""

    figure: Figure
    axes: list[list[Axes]]
    inches_per_mm: float
    width: float
    height: float

    @classmethod
    def of(
        cls,
        shape_kji: tuple[int, ...],
        spacing_kji: tuple[float, ...],
        headings: list[str],
        title: str,
    ) -> _Sheet:
        """Empty panels for a box of that shape, with headings above and plane names at the left."""
        size_k, size_j, size_i = (n * mm for n, mm in zip(shape_kji, spacing_kji, strict=True))
        heights_mm, widths_mm = (size_j, size_k, size_k), (size_i, size_i, size_j)
        # Wide bodies get smaller, flat ones not larger than the column.
        inches_per_mm = min(COLUMN_INCHES / max(widths_mm), 3.2 / max(heights_mm))
        column = max(max(widths_mm) * inches_per_mm, 1.7)
        rows = [max(height * inches_per_mm, 0.5) for height in heights_mm]
        left, top, bottom = 0.55, 0.75 if title else 0.42, BOTTOM_INCHES
        width = left + len(headings) * (column + GAP_INCHES) + 0.1
        height = top + sum(rows) + 2 * GAP_INCHES + bottom
        figure = Figure(figsize=(width, height), facecolor=BACKGROUND)
        if title:
            figure.text(0.5, 1 - 0.2 / height, title, color=TEXT, ha="center", va="center", size=12)
        axes = []
        y = height - top
        for plane, row, height_mm, width_mm in zip(
            PLANES, rows, heights_mm, widths_mm, strict=True
        ):
            y -= row
            figure.text(
                0.2 / width, (y + row / 2) / height, plane.title, color=TEXT, size=11,
                ha="center", va="center", rotation=90,
            )  # fmt: skip
            line = []
            for number in range(len(headings)):
                panel_width, panel_height = width_mm * inches_per_mm, height_mm * inches_per_mm
                x = left + number * (column + GAP_INCHES) + (column - panel_width) / 2
                box = (x, y + (row - panel_height) / 2, panel_width, panel_height)
                fractions = (box[0] / width, box[1] / height, box[2] / width, box[3] / height)
                panel = figure.add_axes(fractions)
                panel.set_axis_off()
                line.append(panel)
            axes.append(line)
            y -= GAP_INCHES
        for number, heading in enumerate(headings):
            x = left + number * (column + GAP_INCHES) + column / 2
            at = (x / width, 1 - (top - 0.17) / height)
            figure.text(*at, heading, color=TEXT, size=11, ha="center", va="center")
        return cls(figure, axes, inches_per_mm, width, height)

    def add_scale(
        self,
        column: int,
        image: AxesImage,
        ends: tuple[float, float],
        ends_in_units: tuple[float, float],
        unit: str,
    ) -> None:
        """A color bar under the column, its ends labelled in the unit of the scan."""
        panel = self.axes[0][column].get_position()
        bar_width = 1.3 / self.width
        x = (panel.x0 + panel.x1 - bar_width) / 2
        y = (BOTTOM_INCHES - 0.22) / self.height
        bar = self.figure.add_axes((x, y, bar_width, 0.09 / self.height))
        middle = sum(ends) / 2
        scale = self.figure.colorbar(
            image, cax=bar, orientation="horizontal", ticks=[ends[0], middle, ends[1]]
        )
        numbers = [ends_in_units[0], sum(ends_in_units) / 2, ends_in_units[1]]
        scale.ax.set_xticklabels([f"{number:.4g}" for number in numbers])
        scale.ax.tick_params(colors=FAINT, labelsize=8, length=2, pad=2)
        scale.outline.set_visible(False)
        if unit:
            scale.ax.text(
                1.08, 0.5, unit, color=FAINT, size=8, va="center", transform=bar.transAxes
            )

    def add_length_bar(self) -> None:
        """A bar of a round length under the labels' column, for all panels."""
        panel = self.axes[0][0].get_position()
        longest_mm = 1.3 / self.inches_per_mm
        length_mm = max(
            mm for mm in ROUND_LENGTHS_MM if mm <= longest_mm or mm == ROUND_LENGTHS_MM[0]
        )
        half = length_mm * self.inches_per_mm / self.width / 2
        x, y = (panel.x0 + panel.x1) / 2, (BOTTOM_INCHES - 0.175) / self.height
        line = Line2D((x - half, x + half), (y, y), color=FAINT, linewidth=2)
        self.figure.add_artist(line)
        text = f"{length_mm:g} mm · R left (radiological)"
        at = (x, y - 0.13 / self.height)
        self.figure.text(*at, text, color=FAINT, size=8, ha="center", va="top")

    def add_legend(self, shown: Mapping[str, tuple[int, tuple[float, float, float]]]) -> None:
        """Names and colors of the labels in the picture, the largest first."""
        largest = sorted(shown.items(), key=lambda item: -item[1][0])
        entries = largest[:MAXIMUM_LEGEND_ENTRIES]
        patches = [Patch(color=color, label=name) for name, (_, color) in entries]
        if len(largest) > len(entries):
            rest = len(largest) - len(entries)
            patches.append(Patch(color=BACKGROUND, label=f"and {rest} more"))
        legend = self.figure.legend(
            handles=patches,
            loc="lower center",
            ncols=max(int((self.width - 0.3) / 1.75), 1),
            fontsize=8,
            frameon=False,
            labelcolor=FAINT,
            handlelength=1.0,
            columnspacing=1.2,
            borderaxespad=0.6,
        )
        legend.set_in_layout(False)


def _show(axes: Axes, picture: np.ndarray, **options: object) -> AxesImage:
    """The picture filling its panel, which has the right proportions already."""
    options = {"vmax": 1, "interpolation": "bilinear", **options}
    return axes.imshow(picture, aspect="auto", **options)


def _letter_edges(axes: Axes, plane: _Plane) -> None:
    """R, L, A, P, S, I at the edges of the panel."""
    places = (
        (0.02, 0.5, plane.left, "left", "center"),
        (0.98, 0.5, plane.right, "right", "center"),
        (0.5, 0.98, plane.top, "center", "top"),
        (0.5, 0.02, plane.bottom, "center", "bottom"),
    )
    for x, y, letter, horizontal, vertical in places:
        axes.text(
            x, y, letter, color=TEXT, size=9, ha=horizontal, va=vertical, transform=axes.transAxes
        )


def save_png(figure: Figure, path: str | Path) -> None:
    """Writes the figure; the file at `path` is either the old one or whole."""
    FigureCanvasAgg(figure)
    with replacing(Path(path), ".png") as temporary:
        figure.savefig(temporary, format="png", dpi=130, facecolor=figure.get_facecolor())


def _crop_to_labels(
    labels_kji: np.ndarray, spacing_kji: tuple[float, ...]
) -> tuple[slice, slice, slice]:
    """The box of the labelled voxels with a margin."""
    slices = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        used = np.flatnonzero(labels_kji.any(axis=others))
        margin = round(MARGIN_MM / spacing_kji[axis])
        end = min(int(used[-1]) + margin + 1, labels_kji.shape[axis])
        slices.append(slice(max(int(used[0]) - margin, 0), end))
    return slices[0], slices[1], slices[2]
