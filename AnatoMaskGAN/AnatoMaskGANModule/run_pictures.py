"""Curves and picture sheets of a training, as they come."""

import pathlib

import qt
from slicer.i18n import tr as _

from .curve_picture import Plot, curvePixmap
from .run_folder import RunFolder


class RunPictures:
    """Shows the files of one run in the panel; what has not changed is not drawn again."""

    WIDTH, ROW_HEIGHT = 410, 140

    def __init__(self, ui) -> None:
        self._ui = ui
        self._run: RunFolder | None = None
        self._drawn: object = None
        self._sheets: dict[int, pathlib.Path] = {}
        ui.trainSheetComboBox.currentIndexChanged.connect(self._showSheet)
        self._hide()

    @property
    def folder(self) -> pathlib.Path | None:
        """Of the run that is shown."""
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
        figures = [
            Plot(_("PSNR, held-out cases (dB)"), self._run.figureCurves("psnr")),
            Plot(_("|dz| ratio (1 is right)"), self._run.figureCurves("dz_ratio")),
        ]
        state = [curve.steps[-1:] for curve in losses]
        state += [curve.steps[-1:] for plot in figures for curve in plot.curves]
        if state and state != self._drawn:
            self._drawn = state
            rows = [[Plot(_("Losses"), losses, isLogarithmic=True)]]
            if any(plot.curves for plot in figures):
                rows.append(figures)
            pixmap = curvePixmap(rows, self.WIDTH, self.ROW_HEIGHT)
            self._ui.trainCurvesLabel.setPixmap(pixmap)
            self._ui.trainCurvesLabel.setToolTip(
                _(
                    "Gray, dashed: the label-mean image, which learns only one mean for each "
                    "structure"
                )
            )
            self._ui.trainCurvesLabel.setVisible(True)
        self._updateSheets()
        self._updateCheckpoints()

    def _updateSheets(self) -> None:
        sheets = self._run.sheets()
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
        isKept = not wasNewest and shown in sheets
        chooser.setCurrentIndex(list(sheets).index(shown) if isKept else len(sheets) - 1)
        chooser.blockSignals(wasBlocked)
        self._showSheet()

    def _showSheet(self, *_index) -> None:
        paths, index = list(self._sheets.values()), self._ui.trainSheetComboBox.currentIndex
        pixmap = qt.QPixmap(str(paths[index])) if 0 <= index < len(paths) else qt.QPixmap()
        self._ui.trainSheetWidget.setVisible(not pixmap.isNull())
        if not pixmap.isNull():
            smooth = qt.Qt.TransformationMode.SmoothTransformation
            self._ui.trainSheetPicture.setPixmap(pixmap.scaledToWidth(self.WIDTH, smooth))

    def _updateCheckpoints(self) -> None:
        chooser, found = self._ui.trainCheckpointComboBox, self._run.checkpoints()
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
