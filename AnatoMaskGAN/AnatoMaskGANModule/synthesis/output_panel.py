"""The part of the panel about the output volume: its samples, and how it was made."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import qt
import slicer
from slicer.i18n import tr as _

from AnatoMaskGANModule.host.segments import showSegments
from AnatoMaskGANModule.host.work import PanelWork, Readiness
from AnatoMaskGANModule.parameters import AnatoMaskGANParameterNode

if TYPE_CHECKING:
    from AnatoMaskGANModule.logic import AnatoMaskGANLogic

FILE_KINDS = "NRRD (*.nrrd);;NIfTI (*.nii.gz *.nii);;MetaImage (*.mha)"


class OutputWidgets(Protocol):
    """The widgets of the panel that `OutputPanel` owns."""

    copyProvenanceButton: qt.QPushButton
    makeAgainButton: qt.QPushButton
    provenanceLabel: qt.QLabel
    provenanceWidget: qt.QWidget
    provenanceTable: qt.QTableWidget
    sampleComboBox: qt.QComboBox
    sampleLabel: qt.QLabel
    saveVolumeButton: qt.QPushButton
    showSegmentsCheckBox: qt.QCheckBox


class OutputPanel:
    """Shows which sample is seen, and the provenance of the volume: as a line, and as a table."""

    COLUMN_KEY, COLUMN_VALUE = range(2)

    def __init__(self, ui: OutputWidgets, logic: AnatoMaskGANLogic, work: PanelWork) -> None:
        self._ui, self._logic, self._work = ui, logic, work
        self._parameterNode: AnatoMaskGANParameterNode | None = None
        self._provenance: dict[str, str] = {}
        self._browser: slicer.vtkMRMLSequenceBrowserNode | None = None
        self._seeds: list[str] = []
        header = ui.provenanceTable.horizontalHeader()
        header.setSectionResizeMode(self.COLUMN_VALUE, qt.QHeaderView.ResizeMode.Stretch)
        ui.provenanceTable.setWordWrap(False)
        ui.copyProvenanceButton.clicked.connect(self.copy)
        ui.saveVolumeButton.clicked.connect(self.save)
        ui.makeAgainButton.clicked.connect(self.makeAgain)
        ui.sampleComboBox.activated.connect(self.onSampleChosen)
        ui.showSegmentsCheckBox.toggled.connect(self.onShowSegments)

    def update(self, parameterNode: AnatoMaskGANParameterNode | None) -> None:
        """Show what is known of the output volume; nothing where there is none."""
        self._parameterNode = parameterNode
        node = parameterNode.inputSegmentation if parameterNode is not None else None
        displayNode = node.GetDisplayNode() if node is not None else None
        self._ui.showSegmentsCheckBox.setEnabled(displayNode is not None)
        if displayNode is not None:
            self._ui.showSegmentsCheckBox.setChecked(bool(displayNode.GetVisibility()))
        volume = self._volume()
        self._showProvenance(volume)
        self._showSamples(volume)

    def showReadiness(self, readiness: Readiness) -> None:
        self._ui.makeAgainButton.setEnabled(readiness.isFree)
        self._ui.provenanceWidget.setEnabled(not readiness.isRunning)

    def makeAgain(self) -> None:
        """Make the selected synthetic volume again, by its provenance, next to it in the scene."""
        self._work.make(self._madeAgain)

    def copy(self) -> None:
        """The provenance as text, for a lab book or a mail."""
        lines = [f"{key}: {value}" for key, value in sorted(self._provenance.items())]
        qt.QApplication.clipboard().setText("\n".join(lines))

    def save(self) -> None:
        """Save the volume where the user says, with its provenance."""
        with self._work.display.errorsShown(_("The volume could not be saved.")):
            volume = self._volume()
            path = self.askForFile(f"{volume.GetName()}.nrrd") if volume is not None else ""
            if path:
                self._logic.saveVolume(volume, path)
                self._work.display.show(_("Saved with its provenance: {path}").format(path=path))

    def askForFile(self, name: str) -> str:
        title = _("Save the volume with its provenance")
        return qt.QFileDialog.getSaveFileName(slicer.util.mainWindow(), title, name, FILE_KINDS)

    def onSampleChosen(self) -> None:
        """Show another sample by the sequence browser, as the browser's own toolbar does."""
        if self._browser is not None:
            self._browser.SetSelectedItemNumber(self._ui.sampleComboBox.currentIndex)

    def onShowSegments(self, isShown: bool) -> None:
        if self._parameterNode is not None:
            showSegments(self._parameterNode.inputSegmentation, isShown)

    def _volume(self) -> slicer.vtkMRMLScalarVolumeNode | None:
        """The output volume; None where there is none, or nothing to read it with."""
        if self._parameterNode is None or self._logic.missingPackages():
            return None
        return self._parameterNode.outputVolume

    def _madeAgain(self, note: Callable[[str], None]) -> slicer.vtkMRMLScalarVolumeNode:
        device = self._parameterNode.device.value if self._parameterNode is not None else "auto"
        return self._logic.makeAgain(
            self._volume(),
            device=device,
            progressCallback=self._work.display.report,
            logCallback=note,
        )

    def _showProvenance(self, volume: slicer.vtkMRMLScalarVolumeNode | None) -> None:
        provenance = self._logic.provenance(volume) if volume is not None else {}
        self._ui.provenanceWidget.setVisible("Model" in provenance)
        canRepeat = bool(provenance) and self._logic.isMadeHere(volume)
        self._ui.makeAgainButton.setVisible(canRepeat)
        text = _("Synthetic, not for diagnosis. Model {model} ({hash}), seed {seed}.")
        self._ui.provenanceLabel.setText(
            text.format(
                model=provenance.get("Model", ""),
                hash=provenance.get("ModelSHA256", "")[:8],
                seed=provenance.get("Seed", ""),
            )
        )
        if provenance != self._provenance:
            self._provenance = provenance
            self._fillTable()

    def _fillTable(self) -> None:
        table = self._ui.provenanceTable
        table.setRowCount(len(self._provenance))
        for row, (key, value) in enumerate(sorted(self._provenance.items())):
            for column, text in ((self.COLUMN_KEY, key), (self.COLUMN_VALUE, value)):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(text)
                table.setItem(row, column, item)
        table.resizeColumnToContents(self.COLUMN_KEY)

    def _showSamples(self, volume: slicer.vtkMRMLScalarVolumeNode | None) -> None:
        """The seeds of a volume of several samples; nothing for a volume of one."""
        self._browser = self._logic.samplesBrowser(volume) if volume is not None else None
        sequence = self._browser.GetMasterSequenceNode() if self._browser is not None else None
        seeds: list[str] = []
        if sequence is not None:
            count = sequence.GetNumberOfDataNodes()
            seeds = [sequence.GetNthIndexValue(number) for number in range(count)]
        for widget in (self._ui.sampleLabel, self._ui.sampleComboBox):
            widget.setVisible(bool(seeds))
        if seeds != self._seeds:
            self._seeds = seeds
            self._ui.sampleComboBox.clear()
            self._ui.sampleComboBox.addItems(seeds)
        if self._browser is not None and seeds:
            self._ui.sampleComboBox.setCurrentIndex(self._browser.GetSelectedItemNumber())
