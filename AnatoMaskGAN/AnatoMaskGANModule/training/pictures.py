"""Curves and picture sheets of a training, as they come."""

from __future__ import annotations

import math
import pathlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import qt
from slicer.i18n import tr as _

from AnatoMaskGANModule.training.run_folder import Curve, RunFolder

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


def curvePixmap(rows: Sequence[Sequence[Plot]], width: int, rowHeight: int) -> qt.QPixmap:
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


def _drawPlot(
    painter: qt.QPainter, plot: Plot, place: tuple[int, int, int, int], hasLegend: bool
) -> None:
    """place: left, top, width and height in pixels."""
    left, top, width, height = place
    area = (
        left + MARGIN_LEFT,
        top + MARGIN_TOP,
        width - MARGIN_LEFT - MARGIN_RIGHT - (LEGEND_WIDTH if hasLegend else 0),
        height - MARGIN_TOP - MARGIN_BOTTOM,
    )
    curves = [curve for curve in plot.curves if curve.steps]
    if len(curves) > MOST_CURVES:  # show the largest ones
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


def _drawCurve(painter: qt.QPainter, curve: Curve, color: str, scale: _Scale) -> None:
    _setPen(painter, color, 2, isDashed=curve.isReference)
    points = [(scale.x(s), scale.y(v)) for s, v in zip(curve.steps, curve.values, strict=True)]
    for first, second in zip(points, points[1:], strict=False):
        painter.drawLine(*first, *second)
    if len(points) < 30 and not curve.isReference:
        for x, y in points:
            painter.drawEllipse(x - 2, y - 2, 4, 4)


def _setPen(painter: qt.QPainter, color: str, width: int = 1, isDashed: bool = False) -> None:
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


class RunWidgets(Protocol):
    """The widgets of the panel that `RunPictures` owns."""

    trainCheckpointComboBox: qt.QComboBox
    trainCurvesLabel: qt.QLabel
    trainInstallButton: qt.QPushButton
    trainSheetComboBox: qt.QComboBox
    trainSheetPicture: qt.QLabel
    trainSheetWidget: qt.QWidget


class RunPictures:
    """Shows the files of one run in the panel; what has not changed is not drawn again."""

    WIDTH, ROW_HEIGHT = 410, 140

    def __init__(self, ui: RunWidgets) -> None:
        self._ui = ui
        self._run: RunFolder | None = None
        self._drawn: object = None
        self._sheets: dict[int, pathlib.Path] = {}
        ui.trainSheetComboBox.currentIndexChanged.connect(self._showSheet)
        self._hide()

    @property
    def folder(self) -> pathlib.Path | None:
        """The folder of the run that is shown."""
        return self._run.folder if self._run is not None else None

    @property
    def hasCheckpoint(self) -> bool:
        return self._run is not None and bool(self._run.checkpoints())

    def follow(self, folder: pathlib.Path | None) -> None:
        """Show this run from now on."""
        if folder == self.folder:
            return
        self._run = RunFolder(folder) if folder is not None else None
        self._drawn, self._sheets = None, {}
        self._hide()

    def update(self) -> None:
        """Draw what is new."""
        if self._run is None:
            return
        losses = self._run.lossCurves()
        metrics = [
            Plot(_("PSNR, held-out cases (dB)"), self._run.metricCurves("psnr")),
            Plot(_("|dz| ratio (1 is right)"), self._run.metricCurves("dz_ratio")),
        ]
        state = [curve.steps[-1:] for curve in losses]
        state += [curve.steps[-1:] for plot in metrics for curve in plot.curves]
        if state and state != self._drawn:
            self._drawn = state
            rows = [[Plot(_("Losses"), losses, isLogarithmic=True)]]
            if any(plot.curves for plot in metrics):
                rows.append(metrics)
            pixmap = curvePixmap(rows, self.WIDTH, self.ROW_HEIGHT)
            self._ui.trainCurvesLabel.setPixmap(pixmap)
            self._ui.trainCurvesLabel.setToolTip(
                _(
                    "Gray, dashed: the label-mean image, which learns only one mean for each "
                    "structure"
                )
            )
            self._ui.trainCurvesLabel.setVisible(True)
        self._updateSheets(self._run.sheets())
        self._updateCheckpoints(self._run.checkpoints())

    def _updateSheets(self, sheets: dict[int, pathlib.Path]) -> None:
        if sheets == self._sheets:
            return
        chooser = self._ui.trainSheetComboBox
        wasNewest = chooser.currentIndex == len(self._sheets) - 1
        steps = list(self._sheets)
        shown = steps[chooser.currentIndex] if 0 <= chooser.currentIndex < len(steps) else None
        self._sheets = sheets
        wasBlocked = chooser.blockSignals(True)
        chooser.clear()
        chooser.addItems([_("step {step}").format(step=step) for step in sheets])
        index = len(sheets) - 1
        if shown is not None and shown in sheets and not wasNewest:
            index = list(sheets).index(shown)  # the user's choice is kept
        chooser.setCurrentIndex(index)
        chooser.blockSignals(wasBlocked)
        self._showSheet()

    def _showSheet(self, *_index: int) -> None:
        paths, index = list(self._sheets.values()), self._ui.trainSheetComboBox.currentIndex
        pixmap = qt.QPixmap(str(paths[index])) if 0 <= index < len(paths) else qt.QPixmap()
        self._ui.trainSheetWidget.setVisible(not pixmap.isNull())
        if not pixmap.isNull():
            smooth = qt.Qt.TransformationMode.SmoothTransformation
            self._ui.trainSheetPicture.setPixmap(pixmap.scaledToWidth(self.WIDTH, smooth))

    def _updateCheckpoints(self, found: list[str]) -> None:
        chooser = self._ui.trainCheckpointComboBox
        listed = [chooser.itemText(index) for index in range(chooser.count)]
        if listed != found:
            chooser.clear()
            chooser.addItems(found)
        self._ui.trainInstallButton.setEnabled(bool(found))

    def _hide(self) -> None:
        self._ui.trainCurvesLabel.setVisible(False)
        self._ui.trainSheetWidget.setVisible(False)
        self._ui.trainSheetComboBox.clear()
        self._ui.trainCheckpointComboBox.clear()
        self._ui.trainInstallButton.setEnabled(False)
