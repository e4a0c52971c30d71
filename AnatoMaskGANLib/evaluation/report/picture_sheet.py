"""The layout of a picture in three planes: panels at one scale, headings, scales and legend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

BACKGROUND = "#101318"
TEXT = "#e8eaed"
FAINT = "#9aa3ad"
MAXIMUM_LEGEND_ENTRIES = 18
COLUMN_INCHES = 2.5
GAP_INCHES = 0.08
BOTTOM_INCHES = 1.25
"""Room for the scales and the legend."""
ROUND_LENGTHS_MM = (1, 2, 5, 10, 20, 50, 100, 200)


@dataclass(frozen=True)
class Plane:
    """A plane: it turns a slice of a KJI array (R, A, S axes) into a picture, rows from the top."""

    title: str
    kji_axis: int
    left: str
    right: str
    top: str
    bottom: str


PLANES = (
    Plane("Axial", 0, "R", "L", "A", "P"),
    Plane("Coronal", 1, "R", "L", "S", "I"),
    Plane("Sagittal", 2, "A", "P", "S", "I"),
)


@dataclass(frozen=True, eq=False)
class Sheet:
    """A figure with a panel per plane and column, all at the same scale."""

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
    ) -> Sheet:
        """Empty panels for a box of that shape, with headings above and plane names at the left."""
        size_k, size_j, size_i = (n * mm for n, mm in zip(shape_kji, spacing_kji, strict=True))
        heights_mm, widths_mm = (size_j, size_k, size_k), (size_i, size_i, size_j)
        # Wide bodies get smaller, flat ones not larger than the column.
        inches_per_mm = min(COLUMN_INCHES / max(widths_mm), 3.2 / max(heights_mm))
        column = max(max(widths_mm) * inches_per_mm, 1.7)
        rows = [max(height * inches_per_mm, 0.75) for height in heights_mm]
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
        """A color bar under the column; its ends are labeled in the unit of the scan."""
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


def letter_edges(axes: Axes, plane: Plane) -> None:
    """R, L, A, P, S, I at the edges of the panel."""
    places = (
        (0.02, 0.5, plane.left, "left", "center"),
        (0.98, 0.5, plane.right, "right", "center"),
        (0.5, 0.98, plane.top, "center", "top"),
        (0.5, 0.02, plane.bottom, "center", "bottom"),
    )
    outline = [withStroke(linewidth=2, foreground="black")]
    for x, y, letter, horizontal, vertical in places:
        text = axes.text(x, y, letter, color=TEXT, size=9, transform=axes.transAxes)
        text.set(horizontalalignment=horizontal, verticalalignment=vertical, path_effects=outline)
