"""The look that all plots share."""

from __future__ import annotations

from matplotlib.axes import Axes

SERIES_COLORS = ("#2563c9", "#d9622b", "#6b7280", "#18865b", "#8e44ad", "#b8860b", "#c2185b")
"""Color of the first, second, ... method."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
INK = "#22262b"
GRID = "#e3e6ea"


def plain_axes(axes: Axes) -> None:
    """Light grid, no box."""
    axes.set_axisbelow(True)
    axes.grid(color=GRID, linewidth=0.8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(GRID)
    axes.tick_params(colors=INK, labelsize=9, length=0)
