"""The section that shows which packages each part needs, and installs them on a click."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import qt
import slicer
from slicer.i18n import tr as _

from AnatoMaskGANModule.host.status import WARNING_COLOR, LogPane, StatusDisplay, showText
from AnatoMaskGANModule.packages.job import (
    InstallationError,
    PackageGroup,
    Purpose,
    installPackages,
    packageGroup,
)

if TYPE_CHECKING:
    import ctk

WHEELS_SETTING = "AnatoMaskGAN/WheelsFolder"


class PackagesWidgets(Protocol):
    """The widgets of the panel that `PackagesPanel` owns."""

    installButton: qt.QPushButton
    installPackagesButton: qt.QPushButton
    packageDetailsLabel: qt.QLabel
    packagesCollapsibleButton: ctk.ctkCollapsibleButton
    packagesFrame: qt.QFrame
    packagesLabel: qt.QLabel
    packagesStateLabel: qt.QLabel
    packagesTable: qt.QTableWidget
    wheelsButton: qt.QToolButton
    wheelsEdit: qt.QLineEdit


class PackagesPanel:
    """Lists the parts of the module with their packages; onInstalled is called after each try."""

    COLUMN_TITLE, COLUMN_PACKAGES, COLUMN_STATE = range(3)

    def __init__(
        self,
        ui: PackagesWidgets,
        display: StatusDisplay,
        log: LogPane,
        onInstalled: Callable[[], None],
    ) -> None:
        self._ui, self._display, self._log, self._onInstalled = ui, display, log, onInstalled
        self._isInstalling = False
        header = ui.packagesTable.horizontalHeader()
        modes = qt.QHeaderView.ResizeMode
        header.setSectionResizeMode(self.COLUMN_TITLE, modes.ResizeToContents)
        header.setSectionResizeMode(self.COLUMN_PACKAGES, modes.Stretch)
        ui.packagesTable.itemSelectionChanged.connect(self._showDetails)
        ui.wheelsEdit.setText(qt.QSettings().value(WHEELS_SETTING, "") or "")
        ui.wheelsEdit.textChanged.connect(self._onWheelsChanged)
        ui.wheelsButton.clicked.connect(self._chooseWheels)
        ui.installPackagesButton.clicked.connect(self._onInstallClicked)
        ui.installButton.clicked.connect(self._onInstallForSynthesis)
        self._fillTable()
        ui.packagesTable.selectRow(0)
        self._ui.packagesStateLabel.setVisible(False)

    @property
    def selectedPurpose(self) -> Purpose:
        return list(Purpose)[max(0, self._ui.packagesTable.currentRow())]

    def update(self) -> None:
        """Look again at what is installed; above all sections stands what the synthesis lacks."""
        group = packageGroup(Purpose.SYNTHESIS)
        self._ui.packagesFrame.setVisible(bool(group.missing))
        text = _("Synthesis needs packages that this Slicer does not have: {names}.")
        self._ui.packagesLabel.setText(text.format(names=group.missingText))
        self._fillTable()
        self._showDetails()

    def isMissing(self, purpose: Purpose) -> bool:
        """Whether packages have to be installed for this."""
        return bool(packageGroup(purpose).missing)

    def ensure(self, purpose: Purpose) -> bool:
        """Whether the packages are there; asks the user and installs them when they are not."""
        return not self.isMissing(purpose) or self.install(purpose)

    def install(self, purpose: Purpose) -> bool:
        """Ask the user, install, and show how that ended; whether all packages are there now."""
        group, wheels = packageGroup(purpose), self._ui.wheelsEdit.text.strip()
        if self._isInstalling or (group.missing and not self._ask(group, wheels)):
            return False
        self._isInstalling = True
        self._showState(_("Installing {names}...").format(names=group.missingText))
        self._showDetails()
        slicer.app.processEvents()
        try:
            installPackages(purpose, wheels, lambda line: self._log.add(_("installation"), line))
        except InstallationError as error:
            self._log.add(_("installation"), str(error))
            self._showState(str(error), isWarning=True)
            self._log.unfold()
            self._ui.packagesCollapsibleButton.collapsed = False
        else:
            self._showState(_("{title}: all packages are installed.").format(title=group.title))
        finally:
            self._isInstalling = False
        self.update()
        self._onInstalled()
        return not self.isMissing(purpose)

    def _ask(self, group: PackageGroup, wheels: str) -> bool:
        source = _("the wheels in {folder}").format(folder=wheels)
        if not wheels:
            source = _("the Python Package Index (PyPI)")
            if "torch" in group.missing:
                source = _("the PyTorch extension and the Python Package Index (PyPI)")
        text = _(
            "Install {names} into this Slicer?\n\n{reason}\n\nThey come from {source}. "
            "Packages that come with Slicer keep their version. Slicer does not respond "
            "during the installation."
        )
        text = text.format(names=group.missingText, reason=group.reason, source=source)
        return slicer.util.confirmOkCancelDisplay(text, _("Install packages"))

    def _fillTable(self) -> None:
        table = self._ui.packagesTable
        wasBlocked = table.blockSignals(True)
        table.setRowCount(len(Purpose))
        for row, purpose in enumerate(Purpose):
            group = packageGroup(purpose)
            missing = group.missing
            state = _("missing") if missing else _("installed")
            names = ", ".join(group.packages.values())
            for column, text in enumerate((group.title, names, state)):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(text)
                if missing and column == self.COLUMN_STATE:
                    item.setForeground(qt.QBrush(qt.QColor(WARNING_COLOR)))
                table.setItem(row, column, item)
        table.blockSignals(wasBlocked)

    def _showDetails(self) -> None:
        group = packageGroup(self.selectedPurpose)
        missing = group.missing
        text = html.escape(group.reason)
        if missing:
            names = html.escape(group.missingText)
            text += "<br>" + _("<b>Missing:</b> {names}").format(names=names)
        self._ui.packageDetailsLabel.setText(text)
        self._ui.installPackagesButton.setEnabled(bool(missing) and not self._isInstalling)
        self._ui.installButton.setEnabled(not self._isInstalling)

    def _showState(self, text: str, isWarning: bool = False) -> None:
        label = self._ui.packagesStateLabel
        showText(label, text, isWarning)
        label.setVisible(True)

    def _onWheelsChanged(self) -> None:
        qt.QSettings().setValue(WHEELS_SETTING, self._ui.wheelsEdit.text)

    def _chooseWheels(self) -> None:
        chooseFolder(self._ui.wheelsEdit, _("Folder of wheels"))

    def _onInstallForSynthesis(self) -> None:
        if not self.install(Purpose.SYNTHESIS):
            self._display.show(self._ui.packagesStateLabel.text, isWarning=True)

    def _onInstallClicked(self) -> None:
        self.install(self.selectedPurpose)


def chooseFolder(edit: qt.QLineEdit, title: str) -> None:
    """Let the user choose a folder for a line edit; it stays as it is when the dialog is closed."""
    path = qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), title, edit.text)
    if path:
        edit.setText(path)
