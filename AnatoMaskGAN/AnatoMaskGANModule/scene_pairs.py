"""The table of segmentations in the scene, each with its scan, to train with."""

import functools

import qt
import slicer
from slicer.i18n import tr as _

from .training_cases import ScenePair, scanOf


class ScenePairsTable:
    """Which segmentations of the scene are ticked, and which volume is the scan of each."""

    COLUMN_SEGMENTATION, COLUMN_SCAN = range(2)

    def __init__(self, ui) -> None:
        self._ui = ui
        self._leftOut: set[str] = set()  # IDs of segmentations that are not ticked
        self._scans: dict[str, str] = {}  # ID of a segmentation -> ID of the chosen volume
        self._shown: list[tuple[str, str]] | None = None
        table = ui.trainPairsTable
        for column in (self.COLUMN_SEGMENTATION, self.COLUMN_SCAN):
            table.horizontalHeader().setSectionResizeMode(column, qt.QHeaderView.ResizeMode.Stretch)
        table.itemChanged.connect(self._onItemChanged)

    def update(self) -> None:
        """Bring the table up to date with the scene."""
        segmentations, volumes = self._segmentations(), self._volumes()
        shown = [(node.GetID(), node.GetName()) for node in (*segmentations, *volumes)]
        if shown == self._shown:
            return
        self._shown = shown
        table = self._ui.trainPairsTable
        wasBlocked = table.blockSignals(True)
        table.clearContents()
        table.setRowCount(len(segmentations))
        states = qt.Qt.CheckState
        for row, node in enumerate(segmentations):
            item = qt.QTableWidgetItem(node.GetName())
            isTicked = node.GetID() not in self._leftOut
            item.setCheckState(states.Checked if isTicked else states.Unchecked)
            table.setItem(row, self.COLUMN_SEGMENTATION, item)
            chooser = qt.QComboBox()
            chooser.addItem(_("Select its scan..."))
            chooser.addItems([volume.GetName() for volume in volumes])
            chosen = self._scanOf(node, volumes)
            chooser.setCurrentIndex(volumes.index(chosen) + 1 if chosen is not None else 0)
            chosenIDs = ["", *(volume.GetID() for volume in volumes)]
            choose = functools.partial(self._onScanChosen, chooser, node.GetID(), chosenIDs)
            chooser.currentIndexChanged.connect(choose)
            table.setCellWidget(row, self.COLUMN_SCAN, chooser)
        table.blockSignals(wasBlocked)
        text = _("Each ticked segmentation is a case. Its name is used as the name of the subject.")
        if not segmentations:
            text = _("The scene has no segmentation.")
        self._ui.trainPairsLabel.setText(text)

    def pairs(self) -> list[ScenePair]:
        """The ticked segmentations with their scans."""
        volumes = self._volumes()
        return [
            ScenePair(node, self._scanOf(node, volumes))
            for node in self._segmentations()
            if node.GetID() not in self._leftOut
        ]

    def _segmentations(self) -> list:
        nodes = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
        return [node for node in nodes if not node.GetHideFromEditors()]

    def _volumes(self) -> list:
        """Scans: neither label maps nor what this module made."""
        nodes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        return [
            node
            for node in nodes
            if node.GetClassName() == "vtkMRMLScalarVolumeNode"
            and "synthetic" not in node.GetName().lower()
        ]

    def _scanOf(self, node, volumes: list):
        chosenID = self._scans.get(node.GetID())
        if chosenID is None:
            return scanOf(node, volumes)
        return next((volume for volume in volumes if volume.GetID() == chosenID), None)

    def _onScanChosen(self, chooser, segmentationID: str, volumeIDs: list[str], *_index) -> None:
        self._scans[segmentationID] = volumeIDs[chooser.currentIndex]

    def _onItemChanged(self, item) -> None:
        node = self._segmentations()[item.row()]
        if item.checkState() == qt.Qt.CheckState.Checked:
            self._leftOut.discard(node.GetID())
        else:
            self._leftOut.add(node.GetID())
