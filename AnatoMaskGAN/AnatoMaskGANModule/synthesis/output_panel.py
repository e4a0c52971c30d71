"""The part of the panel that tells of the output volume: its samples, and how it was made."""

import qt
import slicer
from slicer.i18n import tr as _

from AnatoMaskGANModule.logic import AnatoMaskGANLogic

FILE_KINDS = "NRRD (*.nrrd);;NIfTI (*.nii.gz *.nii);;MetaImage (*.mha)"


class RecordPanel:
    """Shows the record of the output volume as a line, and whole in a folded table."""

    COLUMN_KEY, COLUMN_VALUE = range(2)

    def __init__(self, ui, logic: AnatoMaskGANLogic) -> None:
        self._ui, self._logic = ui, logic
        self._volumeNode, self._record = None, {}
        header = ui.recordTable.horizontalHeader()
        header.setSectionResizeMode(self.COLUMN_VALUE, qt.QHeaderView.ResizeMode.Stretch)
        ui.recordTable.setWordWrap(False)
        ui.copyRecordButton.clicked.connect(self.copy)

    def update(self, volumeNode) -> None:
        """Show the record of the volume; nothing for a volume without one, or for None."""
        isMade = volumeNode is not None and not self._logic.missingPackages()
        record = self._logic.provenance(volumeNode) if isMade else {}
        self._volumeNode = volumeNode
        self._ui.provenanceWidget.setVisible("Model" in record)
        canRepeat = bool(record) and self._logic.isMadeHere(volumeNode)
        self._ui.makeAgainButton.setVisible(canRepeat)
        text = _("Synthetic, not for diagnosis. Model {model} ({hash}), seed {seed}.")
        self._ui.provenanceLabel.setText(
            text.format(
                model=record.get("Model", ""),
                hash=record.get("ModelSHA256", "")[:8],
                seed=record.get("Seed", ""),
            )
        )
        if record != self._record:
            self._record = record
            self._fillTable()

    def _fillTable(self) -> None:
        table = self._ui.recordTable
        table.setRowCount(len(self._record))
        for row, (key, value) in enumerate(sorted(self._record.items())):
            for column, text in ((self.COLUMN_KEY, key), (self.COLUMN_VALUE, value)):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(text)
                table.setItem(row, column, item)
        table.resizeColumnToContents(self.COLUMN_KEY)

    def copy(self) -> None:
        """The record as text, for a lab book or a mail."""
        lines = [f"{key}: {value}" for key, value in sorted(self._record.items())]
        qt.QApplication.clipboard().setText("\n".join(lines))

    def save(self) -> str | None:
        """Save the volume where the user says, with its record; None when there was no choice."""
        path = self.askForFile(f"{self._volumeNode.GetName()}.nrrd")
        if not path:
            return None
        self._logic.saveVolume(self._volumeNode, path)
        return _("Saved with its provenance: {path}").format(path=path)

    def askForFile(self, name: str) -> str:
        title = _("Save the volume with its provenance")
        return qt.QFileDialog.getSaveFileName(slicer.util.mainWindow(), title, name, FILE_KINDS)


class SamplesChooser:
    """A list of seeds; it drives the sequence browser, as the browser's own toolbar does."""

    def __init__(self, ui, logic: AnatoMaskGANLogic) -> None:
        self._ui, self._logic = ui, logic
        self._browser = None
        self._seeds: list[str] = []
        ui.sampleComboBox.activated.connect(self.onChosen)

    def update(self, volumeNode) -> None:
        """Show the samples of the volume; nothing for a volume of one, or for None."""
        isKnown = volumeNode is not None and not self._logic.missingPackages()
        self._browser = self._logic.samplesBrowser(volumeNode) if isKnown else None
        sequence = self._browser.GetMasterSequenceNode() if self._browser is not None else None
        count = sequence.GetNumberOfDataNodes() if sequence is not None else 0
        seeds = [sequence.GetNthIndexValue(number) for number in range(count)]
        for widget in (self._ui.sampleLabel, self._ui.sampleComboBox):
            widget.setVisible(bool(seeds))
        if seeds != self._seeds:
            self._seeds = seeds
            self._ui.sampleComboBox.clear()
            self._ui.sampleComboBox.addItems(seeds)
        if seeds:
            self._ui.sampleComboBox.setCurrentIndex(self._browser.GetSelectedItemNumber())

    def onChosen(self) -> None:
        if self._browser is not None:
            self._browser.SetSelectedItemNumber(self._ui.sampleComboBox.currentIndex)
