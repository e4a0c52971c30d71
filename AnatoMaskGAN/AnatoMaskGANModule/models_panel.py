"""The section that lists the models, tells what each is, and lets them come and go."""

import html
from collections.abc import Callable

import qt
import slicer
from slicer.i18n import tr as _

from .logic import AnatoMaskGANLogic


class ModelsPanel:
    """Shows the bundled and the installed models; onChanged is called when one came or went."""

    COLUMN_NAME, COLUMN_KIND, COLUMN_LICENSE = range(3)

    def __init__(self, ui, logic: AnatoMaskGANLogic, onChanged: Callable[[], None]) -> None:
        self._ui, self._logic, self._onChanged = ui, logic, onChanged
        header = ui.modelsTable.horizontalHeader()
        header.setSectionResizeMode(self.COLUMN_LICENSE, qt.QHeaderView.ResizeMode.Stretch)
        ui.modelsTable.itemSelectionChanged.connect(self.showDetails)

    @property
    def selectedName(self) -> str | None:
        row = self._ui.modelsTable.currentRow()
        item = self._ui.modelsTable.item(row, self.COLUMN_NAME) if row >= 0 else None
        return item.text() if item is not None else None

    def update(self) -> None:
        """List the models anew; the selected one stays selected."""
        selected, table = self.selectedName, self._ui.modelsTable
        cards = {} if self._logic.missingPackages() else self._logic.models(isReadAgain=True)
        wasBlocked = table.blockSignals(True)
        table.setRowCount(len(cards))
        for row, card in enumerate(cards.values()):
            kind = _("installed") if self._logic.isInstalled(card.name) else _("bundled")
            for column, text in enumerate((card.name, kind, card.licence)):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(text)
                table.setItem(row, column, item)
        table.blockSignals(wasBlocked)
        if cards:
            table.selectRow(list(cards).index(selected) if selected in cards else 0)
        self.showDetails()

    def showDetails(self) -> None:
        """The card of the selected model."""
        name = self.selectedName
        card = self._logic.models().get(name) if name is not None else None
        self._ui.verifyModelButton.setEnabled(card is not None)
        isInstalled = card is not None and self._logic.isInstalled(card.name)
        self._ui.removeModelButton.setEnabled(isInstalled)
        text = ""
        if card is not None:
            lines = {
                _("Made for"): card.description,
                _("Not for"): card.not_for,
                _("Trained on"): card.training_data,
                _("Voxels"): " x ".join(f"{side:g}" for side in card.spacing_ijk_mm) + " mm",
                _("Labels"): str(len(card.label_table["labels"])),
                "SHA-256": card.sha256[:16] + "...",
            }
            rows = (f"<b>{key}:</b> {html.escape(value)}" for key, value in lines.items())
            text = "<br>".join(rows)
        self._ui.modelDetailsLabel.setText(text)

    def verify(self) -> str:
        """Read the selected model whole; what was found, in words for the user."""
        card = self._logic.verifyModel(self.selectedName)
        text = _("{name} is whole. SHA-256 {hash}")
        return text.format(name=card.name, hash=card.sha256)

    def install(self) -> str | None:
        """Install a model from a file that the user chooses; None when there was no choice."""
        path = self.askForFile()
        if not path:
            return None
        card = self._logic.installModel(path)
        self._onChanged()
        return _("Installed the model {name}.").format(name=card.name)

    def remove(self) -> str | None:
        """Remove the selected model when the user agrees; None when not."""
        name = self.selectedName
        question = _("Remove the model {name} from this computer?").format(name=name)
        if not slicer.util.confirmOkCancelDisplay(question, _("Remove model")):
            return None
        self._logic.removeModel(name)
        self._onChanged()
        return _("Removed the model {name}.").format(name=name)

    def askForFile(self) -> str:
        return qt.QFileDialog.getOpenFileName(
            slicer.util.mainWindow(), _("Install a model"), "", _("Models (*.zip *.safetensors)")
        )
