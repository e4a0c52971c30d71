"""The section that lists and describes the models, and downloads, installs and removes them."""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import qt
import slicer
from slicer.i18n import tr as _

from AnatoMaskGANModule.host.status import WARNING_COLOR, LogPane, StatusDisplay, showText
from AnatoMaskGANModule.models.library import ListedModel, ModelDownload, listedModels
from AnatoMaskGANModule.packages.panel import PackagesPanel, Purpose

if TYPE_CHECKING:
    from AnatoMaskGANLib.synthesis.models.catalog import CatalogEntry
    from AnatoMaskGANModule.logic import AnatoMaskGANLogic

CATALOG_SETTING = "AnatoMaskGAN/ModelCatalog"


class ModelsWidgets(Protocol):
    """The widgets of the panel that `ModelsPanel` owns."""

    cancelDownloadButton: qt.QPushButton
    downloadModelButton: qt.QPushButton
    downloadProgressBar: qt.QProgressBar
    downloadWidget: qt.QWidget
    installModelButton: qt.QPushButton
    modelCatalogButton: qt.QToolButton
    modelCatalogEdit: qt.QLineEdit
    modelDetailsLabel: qt.QLabel
    modelSearchEdit: qt.QLineEdit
    modelStateLabel: qt.QLabel
    modelsTable: qt.QTableWidget
    removeModelButton: qt.QPushButton
    verifyModelButton: qt.QPushButton


class ModelsPanel:
    """Shows the models that are here and those of the catalog.

    onChanged is called when a model came or went.
    """

    COLUMN_NAME, COLUMN_WHERE, COLUMN_LICENSE = range(3)
    POLL_MS = 150

    def __init__(
        self,
        ui: ModelsWidgets,
        logic: AnatoMaskGANLogic,
        display: StatusDisplay,
        log: LogPane,
        packagesPanel: PackagesPanel,
        onChanged: Callable[[], None],
    ) -> None:
        self._ui, self._logic, self._display, self._log = ui, logic, display, log
        self._packagesPanel, self._onChanged = packagesPanel, onChanged
        self._models: list[ListedModel] = []
        self.download: ModelDownload | None = None
        header = ui.modelsTable.horizontalHeader()
        modes = qt.QHeaderView.ResizeMode
        header.setSectionResizeMode(self.COLUMN_WHERE, modes.ResizeToContents)
        header.setSectionResizeMode(self.COLUMN_LICENSE, modes.Stretch)
        ui.modelsTable.itemSelectionChanged.connect(self.showDetails)
        ui.modelSearchEdit.textChanged.connect(self._fillTable)
        ui.modelCatalogEdit.setText(qt.QSettings().value(CATALOG_SETTING, "") or "")
        ui.modelCatalogEdit.textChanged.connect(self._onCatalogChanged)
        ui.modelCatalogButton.clicked.connect(self._chooseCatalog)
        for button, action in (
            (ui.verifyModelButton, self.verify),
            (ui.installModelButton, self.install),
            (ui.removeModelButton, self.remove),
        ):
            button.clicked.connect(functools.partial(self._onAction, action))
        ui.downloadModelButton.clicked.connect(self.startDownload)
        ui.cancelDownloadButton.clicked.connect(self.cancelDownload)
        ui.downloadWidget.setVisible(False)
        self._timer = qt.QTimer()
        self._timer.setInterval(self.POLL_MS)
        self._timer.timeout.connect(self._pollDownload)

    @property
    def selectedName(self) -> str | None:
        row = self._ui.modelsTable.currentRow()
        item = self._ui.modelsTable.item(row, self.COLUMN_NAME) if row >= 0 else None
        return item.text() if item is not None else None

    @property
    def selected(self) -> ListedModel | None:
        name = self.selectedName
        return next((model for model in self._models if model.name == name), None)

    def update(self, isReadAgain: bool = True) -> None:
        """List the models, as they lie on the disk now; the selected one stays selected."""
        self._models = []
        isReady = not self._logic.missingPackages()
        self._ui.installModelButton.setEnabled(isReady)
        if isReady:
            cards = self._logic.models(isReadAgain)
            installed = [name for name in cards if self._logic.isInstalled(name)]
            self._models = listedModels(cards, installed, self._offers())
        self._fillTable()

    def _offers(self) -> list[CatalogEntry]:
        """The models of the catalog; none if it is damaged, and the panel then shows the reason."""
        from AnatoMaskGANLib.synthesis import CheckpointError
        from AnatoMaskGANLib.synthesis.models.catalog import read_catalog

        path = self._ui.modelCatalogEdit.text.strip()
        self._ui.modelCatalogEdit.setStyleSheet("")
        if not path:
            return []
        try:
            return list(read_catalog(pathlib.Path(path)))
        except CheckpointError as error:
            self._ui.modelCatalogEdit.setStyleSheet(f"color: {WARNING_COLOR}")
            self.showState(str(error), True)
            return []

    def _fillTable(self) -> None:
        selected, table = self.selectedName, self._ui.modelsTable
        shown = [m for m in self._models if m.matches(self._ui.modelSearchEdit.text)]
        wasBlocked = table.blockSignals(True)
        table.setRowCount(len(shown))
        for row, model in enumerate(shown):
            for column, text in enumerate((model.name, model.where, model.licence)):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(text)
                if not model.isHere:
                    item.setForeground(qt.QBrush(qt.QColor("gray")))
                table.setItem(row, column, item)
        table.blockSignals(wasBlocked)
        if shown:
            names = [model.name for model in shown]
            table.selectRow(names.index(selected) if selected in names else 0)
        self.showDetails()

    def showDetails(self) -> None:
        """Show what the selected model is, and what can be done with it."""
        model, isLoading = self.selected, self.download is not None and self.download.isRunning
        isHere = model is not None and model.isHere
        isInstalled = isHere and model is not None and self._logic.isInstalled(model.name)
        self._ui.verifyModelButton.setEnabled(isHere)
        self._ui.removeModelButton.setEnabled(isInstalled)
        canLoad = model is not None and not model.isHere
        self._ui.downloadModelButton.setEnabled(canLoad and not isLoading)
        text = model.details() if model is not None else _("No model contains all of these words.")
        self._ui.modelDetailsLabel.setText(text)

    def showState(self, text: str, isWarning: bool = False) -> None:
        """Show a message to the user, in this section and in the panel's common status line."""
        showText(self._ui.modelStateLabel, text, isWarning)
        self._display.show(text, isWarning)

    def _onAction(self, action: Callable[[], str | None], isChecked: bool = False) -> None:
        """Verify, install or remove a model, and show the result."""
        with self._display.errorsShown(_("The model could not be verified, installed or removed.")):
            text = action()
            if text is not None:
                self.showState(text)

    def verify(self) -> str | None:
        """Read the selected model whole; what was found, in words for the user."""
        name = self.selectedName
        if name is None:
            return None
        card = self._logic.verifyModel(name)
        text = _("{name} is complete and undamaged. SHA-256 {hash}")
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
        if name is None:
            return None
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

    # Downloads

    def startDownload(self) -> None:
        """Download the selected model; the click is the user's wish."""
        model = self.selected
        if model is None or model.isHere or not self._packagesPanel.ensure(Purpose.BATCH):
            return
        catalog = str(pathlib.Path(self._ui.modelCatalogEdit.text.strip()).resolve())
        self.download = ModelDownload(
            catalog, model.name, lambda line: self._log.add(_("download"), line)
        )
        self._ui.downloadProgressBar.setValue(0)
        self._ui.downloadWidget.setVisible(True)
        self.showState(_("Downloading {name}...").format(name=model.name), False)
        self._timer.start()
        self.showDetails()

    def cancelDownload(self) -> None:
        if self.download is not None:
            self.download.cancel()

    def _pollDownload(self) -> None:
        download = self.download
        if download is None:
            return
        isOver = not download.isRunning
        download.poll()
        self._ui.downloadProgressBar.setValue(round(100 * download.share))
        if not isOver:
            return
        self._timer.stop()
        self._ui.downloadWidget.setVisible(False)
        if download.isDone:
            self._onChanged()
            text, isWarning = _("Downloaded and installed the model {name}."), False
        elif download.isCancelled:
            text, isWarning = _("The download of {name} was cancelled and removed."), False
        else:
            text, isWarning = _("{name} was not downloaded: ") + download.problem, True
        self.showState(text.replace("{name}", download.name), isWarning)
        self.showDetails()

    def close(self) -> None:
        """End a download; the module is being closed."""
        self._timer.stop()
        if self.download is not None:
            self.download.close()

    def _onCatalogChanged(self) -> None:
        qt.QSettings().setValue(CATALOG_SETTING, self._ui.modelCatalogEdit.text)
        self.update(isReadAgain=False)

    def _chooseCatalog(self) -> None:
        path = qt.QFileDialog.getOpenFileName(
            slicer.util.mainWindow(), _("Catalog of models"), "", _("Catalogs (*.json)")
        )
        if path:
            self._ui.modelCatalogEdit.setText(path)
