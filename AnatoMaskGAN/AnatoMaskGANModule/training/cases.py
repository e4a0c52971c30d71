"""The segmentations of the open scene, each with its scan, as cases to train with."""

from __future__ import annotations

import functools
import json
import pathlib
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import qt
import slicer
from slicer.i18n import tr as _

# The list of the files of an export: the next export removes these files and no others.
EXPORTED_FILE = "exported-cases.json"


@dataclass(frozen=True)
class ScenePair:
    """A segmentation and the scan that it is of."""

    segmentationNode: slicer.vtkMRMLSegmentationNode
    volumeNode: slicer.vtkMRMLScalarVolumeNode | None


def scanOf(
    segmentationNode: slicer.vtkMRMLSegmentationNode,
    volumeNodes: Sequence[slicer.vtkMRMLScalarVolumeNode],
) -> slicer.vtkMRMLScalarVolumeNode | None:
    """The volume that the segmentation was most likely drawn on; None when there is none."""
    role = slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
    reference = segmentationNode.GetNodeReference(role)
    if reference in volumeNodes:
        return reference
    words = _words(segmentationNode.GetName())
    shared = [(len(words & _words(node.GetName())), node) for node in volumeNodes]
    best = max(shared, key=lambda pair: pair[0], default=(0, None))
    return best[1] if best[0] else (volumeNodes[0] if len(volumeNodes) == 1 else None)


def _words(name: str) -> set[str]:
    return set(re.findall(r"[a-z0-9]+", name.lower()))


def exportCases(
    pairs: Sequence[ScenePair],
    folder: pathlib.Path,
    onCase: Callable[[int, str], None] | None = None,
) -> pathlib.Path:
    """Writes a case folder for each pair; returns the folder that holds them.

    Each case is on its scan's grid, named as its segmentation. Raises ValueError without a pair or
    with a segmentation without its scan, VolumeError for nodes without voxels, OSError for a folder
    that cannot be written.
    """
    from AnatoMaskGANLib.mrml import label_map_from_segmentation, volume_of_node
    from AnatoMaskGANLib.volumes import write_label_map, write_volume

    if not pairs:
        raise ValueError(_("Tick at least one segmentation that has its scan in the scene."))
    for pair in pairs:
        if pair.volumeNode is None:
            text = _("Select the scan of {name!r}, or untick it.")
            raise ValueError(text.format(name=pair.segmentationNode.GetName()))
    cases = folder / "cases"
    cases.mkdir(parents=True, exist_ok=True)
    exported = folder / EXPORTED_FILE
    _removeEarlier(cases, exported)
    names = caseNames([pair.segmentationNode.GetName() for pair in pairs])
    exported.write_text(json.dumps(names), encoding="utf-8")
    for number, (name, pair) in enumerate(zip(names, pairs, strict=True)):
        if onCase is not None:
            onCase(number, name)
        export = label_map_from_segmentation(pair.segmentationNode, pair.volumeNode)
        case = cases / name
        case.mkdir(exist_ok=True)
        write_volume(volume_of_node(pair.volumeNode), case / "image.nii")
        write_label_map(export.label_map, case / "seg.nii.gz")
        labels = {str(value): label for value, label in export.label_map.names.items()}
        if labels:
            (case / "labels.json").write_text(json.dumps(labels), encoding="utf-8")
    return cases


def caseNames(nodeNames: Sequence[str]) -> list[str]:
    """A folder's name for each node, no two alike."""
    names: list[str] = []
    for nodeName in nodeNames:
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", nodeName).strip("-.") or "case"
        name, number = plain, 2
        while name.lower() in (other.lower() for other in names):
            name, number = f"{plain}-{number}", number + 1
        names.append(name)
    return names


def _removeEarlier(cases: pathlib.Path, exported: pathlib.Path) -> None:
    try:
        names = json.loads(exported.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    for name in caseNames([str(name) for name in names] if isinstance(names, list) else []):
        shutil.rmtree(cases / name, ignore_errors=True)


class ScenePairsWidgets(Protocol):
    """The widgets of the panel that `ScenePairsTable` owns."""

    trainPairsLabel: qt.QLabel
    trainPairsTable: qt.QTableWidget


class ScenePairsTable:
    """The segmentations of the scene that are ticked, and the volume that is the scan of each."""

    COLUMN_SEGMENTATION, COLUMN_SCAN = range(2)

    def __init__(self, ui: ScenePairsWidgets) -> None:
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

    def _segmentations(self) -> list[slicer.vtkMRMLSegmentationNode]:
        nodes = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
        return [node for node in nodes if not node.GetHideFromEditors()]

    def _volumes(self) -> list[slicer.vtkMRMLScalarVolumeNode]:
        """Scans: neither label maps nor what this module made."""
        nodes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        return [
            node
            for node in nodes
            if node.GetClassName() == "vtkMRMLScalarVolumeNode"
            and "synthetic" not in node.GetName().lower()
        ]

    def _scanOf(
        self,
        node: slicer.vtkMRMLSegmentationNode,
        volumes: list[slicer.vtkMRMLScalarVolumeNode],
    ) -> slicer.vtkMRMLScalarVolumeNode | None:
        chosenID = self._scans.get(node.GetID())
        if chosenID is None:
            return scanOf(node, volumes)
        return next((volume for volume in volumes if volume.GetID() == chosenID), None)

    def _onScanChosen(
        self, chooser: qt.QComboBox, segmentationID: str, volumeIDs: list[str], *_index: int
    ) -> None:
        self._scans[segmentationID] = volumeIDs[chooser.currentIndex]

    def _onItemChanged(self, item: qt.QTableWidgetItem) -> None:
        node = self._segmentations()[item.row()]
        if item.checkState() == qt.Qt.CheckState.Checked:
            self._leftOut.discard(node.GetID())
        else:
            self._leftOut.add(node.GetID())
