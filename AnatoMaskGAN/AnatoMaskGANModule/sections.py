"""The sections below the synthesis: models, batch, training, packages and the log."""

from collections.abc import Callable

import slicer

from AnatoMaskGANModule.batch.panel import BatchPanel
from AnatoMaskGANModule.host.resources import resourceFile
from AnatoMaskGANModule.host.status import LogPane
from AnatoMaskGANModule.logic import AnatoMaskGANLogic
from AnatoMaskGANModule.models.panel import ModelsPanel
from AnatoMaskGANModule.packages.panel import PackagesPanel
from AnatoMaskGANModule.parameters import AnatoMaskGANParameterNode
from AnatoMaskGANModule.training.install_panel import InstallRunPanel
from AnatoMaskGANModule.training.panel import TrainPanel

UI_FILES = ("Models", "Batch", "Train", "Packages", "Log")


def addWorkSections(uiWidget) -> None:
    """Put the sections at the end of the module's widget, each from its own file."""
    for name in UI_FILES:
        uiWidget.layout().addWidget(slicer.util.loadUI(resourceFile(f"UI/{name}.ui")))


class WorkPanels:
    """Makes the sections work.

    onModelsChanged: called when a model came or went; onModelMade with the name of a trained one;
    onPackagesChanged after an installation; onStatus with a text for the user and whether it warns.
    """

    def __init__(
        self,
        ui,
        logic: AnatoMaskGANLogic,
        onModelsChanged: Callable[[], None],
        onModelMade: Callable[[str], None],
        onPackagesChanged: Callable[[], None],
        onStatus: Callable[[str, bool], None],
    ) -> None:
        self.log = LogPane(ui)
        self.packages = PackagesPanel(ui, self.log, onPackagesChanged)
        self.models = ModelsPanel(ui, logic, self.log, self.packages, onModelsChanged, onStatus)
        self.batch = BatchPanel(ui, self.log, self.packages)
        self.train = TrainPanel(ui, self.log, self.packages)
        self.installRun = InstallRunPanel(ui, logic, self.log, self.train.pictures, onModelMade)

    def update(self, parameterNode: AnatoMaskGANParameterNode | None) -> None:
        """Bring the sections up to date with the parameter node and the scene."""
        for panel in (self.batch, self.train, self.installRun):
            panel.update(parameterNode)

    def close(self) -> None:
        """The module is being closed: its processes end, or are left as the user said."""
        for panel in (self.models, self.batch, self.train, self.installRun):
            panel.close()
