"""Curves over the steps of a training, drawn as one picture."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import qt

from .run_folder import Curve

COLORS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#8c564b", "#e377c2")
REFERENCE_COLOR = "#808080"
MARGIN_LEFT, MARGIN_RIGHT, MARGIN_TOP, MARGIN_BOTTOM = 46, 8, 20, 20
LEGEND_WIDTH, MOST_LETTERS = 118, 17
MOST_CURVES = 8


@dataclass(frozen=True)
class Plot:
    """One plot of the picture."""

    title: str
    curves: Sequence[Curve]
    isLogarithmic: bool = False


def curvePixmap(rows: Sequence[Sequence[Plot]], width: int, rowHeight: int):
    """The plots, row below row, each row over the whole width."""
    pixmap = qt.QPixmap(width, rowHeight * len(rows))
    pixmap.fill(qt.QColor("white"))
    painter = qt.QPainter(pixmap)
    painter.setRenderHint(qt.QPainter.RenderHint.Antialiasing, True)
    font = painter.font()
    font.setPixelSize(11)
    painter.setFont(font)
    for row, plots in enumerate(rows):
        part = width // len(plots)
        for column, plot in enumerate(plots):
            place = (column * part, row * rowHeight, part, rowHeight)
            _drawPlot(painter, plot, place, hasLegend=len(plots) == 1)
    painter.end()
    return pixmap


def _drawPlot(painter, plot: Plot, place: tuple[int, int, int, int], hasLegend: bool) -> None:
    """place: left, top, width and height in pixels."""
    left, top, width, height = place
    area = (
        left + MARGIN_LEFT,
        top + MARGIN_TOP,
        width - MARGIN_LEFT - MARGIN_RIGHT - (LEGEND_WIDTH if hasLegend else 0),
        height - MARGIN_TOP - MARGIN_BOTTOM,
    )
    curves = [curve for curve in plot.curves if curve.steps]
    if len(curves) > MOST_CURVES:  # those that weigh most
        largest = sorted(curves, key=lambda curve: abs(curve.values[-1]), reverse=True)
        curves = [curve for curve in curves if curve in largest[:MOST_CURVES]]
    _setPen(painter, "#202020")
    painter.drawText(area[0], top + 14, plot.title)
    if not curves:
        return
    scale = _Scale(curves, plot.isLogarithmic, area)
    for value in scale.ticks():
        y = scale.y(value)
        _setPen(painter, "#e0e0e0")
        painter.drawLine(area[0], y, area[0] + area[2], y)
        _setPen(painter, "#606060")
        painter.drawText(left + 4, y + 4, f"{value:.3g}" if abs(value) >= 1 else f"{value:.2g}")
    _setPen(painter, "#606060")
    painter.drawLine(area[0], area[1] + area[3], area[0] + area[2], area[1] + area[3])
    painter.drawText(area[0], top + height - 5, str(scale.firstStep))
    last = str(scale.lastStep)
    painter.drawText(area[0] + area[2] - 7 * len(last), top + height - 5, last)
    for number, curve in enumerate(curves):
        color = REFERENCE_COLOR if curve.isReference else COLORS[number % len(COLORS)]
        _drawCurve(painter, curve, color, scale)
        if hasLegend:
            x, y = area[0] + area[2] + 8, area[1] + 8 + 14 * number
            painter.drawLine(x, y - 4, x + 12, y - 4)
            _setPen(painter, "#202020")
            painter.drawText(x + 16, y, _shortened(curve.name))


def _drawCurve(painter, curve: Curve, color: str, scale: "_Scale") -> None:
    _setPen(painter, color, 2, isDashed=curve.isReference)
    points = [(scale.x(s), scale.y(v)) for s, v in zip(curve.steps, curve.values, strict=True)]
    for first, second in zip(points, points[1:], strict=False):
        painter.drawLine(*first, *second)
    if len(points) < 30 and not curve.isReference:
        for x, y in points:
            painter.drawEllipse(x - 2, y - 2, 4, 4)


def _setPen(painter, color: str, width: int = 1, isDashed: bool = False) -> None:
    pen = qt.QPen(qt.QColor(color))
    pen.setWidth(width)
    if isDashed:
        pen.setStyle(qt.Qt.PenStyle.DashLine)
    painter.setPen(pen)


def _shortened(name: str) -> str:
    """A name that fits into the legend."""
    words = name.replace("_", " ").replace("gray texture", "G-TC").replace("adversarial", "adv.")
    if len(words) > MOST_LETTERS:
        words = words.replace("reconstruction", "recon.")
    return words if len(words) <= MOST_LETTERS else f"{words[: MOST_LETTERS - 1]}."


class _Scale:
    """Steps and values to pixels; a logarithmic scale shows the sizes of values, 0.001 at least."""

    SMALLEST = 1e-3

    def __init__(
        self, curves: Sequence[Curve], isLogarithmic: bool, area: tuple[int, int, int, int]
    ) -> None:
        self._isLogarithmic, self._area = isLogarithmic, area
        self.firstStep = min(curve.steps[0] for curve in curves)
        self.lastStep = max(curve.steps[-1] for curve in curves)
        values = [self._shown(value) for curve in curves for value in curve.values]
        self._low, self._high = min(values), max(values)
        if self._high - self._low < 1e-9:
            room = 0.5 if isLogarithmic else max(0.01, 0.05 * abs(self._high))
            self._low, self._high = self._low - room, self._high + room

    def _shown(self, value: float) -> float:
        return math.log10(max(abs(value), self.SMALLEST)) if self._isLogarithmic else value

    def x(self, step: int) -> int:
        share = (step - self.firstStep) / max(1, self.lastStep - self.firstStep)
        return round(self._area[0] + share * self._area[2])

    def y(self, value: float) -> int:
        share = (self._shown(value) - self._low) / (self._high - self._low)
        return round(self._area[1] + (1 - share) * self._area[3])

    def ticks(self) -> list[float]:
        """The ends of the scale and its middle."""
        places = (self._low, (self._low + self._high) / 2, self._high)
        return [10**place if self._isLogarithmic else place for place in places]
