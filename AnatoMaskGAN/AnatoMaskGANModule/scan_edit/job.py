"""Edits of a scan: hands nodes to the core, and puts its results into nodes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import slicer
from slicer.i18n import tr as _

from AnatoMaskGANModule.parameters import AnatoMaskGANParameterNode
from AnatoMaskGANModule.scan_edit.choices import ScanEditChoices
from AnatoMaskGANModule.scan_edit.maps import EditMaps, editMaps
from AnatoMaskGANModule.synthesis.backends import DirectBackend, ProcessBackend
from AnatoMaskGANModule.synthesis.request import SCALAR_VOLUME_CLASS, SEGMENTATION_ROLE

if TYPE_CHECKING:
    from AnatoMaskGANLib.editing import EditSettings
    from AnatoMaskGANLib.synthesis import Progress
    from AnatoMaskGANLib.volumes import LabelMap, Volume

SCAN_ROLE = "AnatoMaskGAN.EditedFrom"
BEFORE_ROLE = "AnatoMaskGAN.EditedBefore"


@dataclass(frozen=True)
class EditSource:
    """The nodes of an edit."""

    scan: slicer.vtkMRMLScalarVolumeNode
    before: slicer.vtkMRMLSegmentationNode
    """The segments that fit the scan as it is."""
    after: slicer.vtkMRMLSegmentationNode


@dataclass(frozen=True, eq=False)
class MadeStep:
    """A scan after an edit."""

    volume: Volume
    """The edited scan with its provenance."""
    warnings: Sequence[str]
    """What the user should know, in whole sentences."""
    questions: Sequence[tuple[str, str]] = ()
    """What the segments leave open: names, each with "look" or "fill"."""


@dataclass(frozen=True, eq=False)
class MadeEdits:
    """The results of an edit of a scan, or of a series of them."""

    source: EditSource
    choices: ScanEditChoices
    maps: EditMaps
    steps: Mapping[str, MadeStep]
    """The steps by their names. Without a series there is one step with an empty name."""

    def questions(self) -> list[tuple[str, str]]:
        """Gives what the segments leave open in any step."""
        return sorted({asked for step in self.steps.values() for asked in step.questions})

    def remarks(self) -> list[str]:
        """What the user should know, in whole sentences."""
        found = self.maps.remarks()
        for name, edited in self.steps.items():
            found += [f"{name}: {text}" if name else text for text in edited.warnings]
        return found


def checkScan(scan: slicer.vtkMRMLNode | None) -> None:
    """Raises ValueError for a node that does not hold a scan. Labels and colors are not
    intensities."""
    if scan is None:
        raise ValueError("No scan is selected. Select the scan to edit.")
    kind = scan.GetClassName()
    if kind != SCALAR_VOLUME_CLASS:
        raise ValueError(
            f"Expected a scan with one intensity for each voxel, a scalar volume, got "
            f"{scan.GetName()!r}, a {kind}. Select a scan."
        )
    image = scan.GetImageData()
    if image is not None and image.GetNumberOfScalarComponents() != 1:
        raise ValueError(
            f"{scan.GetName()!r} has {image.GetNumberOfScalarComponents()} numbers for each voxel; "
            "expected a scan with one. Select a scan without colors."
        )


def checkSegmentation(segmentationNode: slicer.vtkMRMLNode | None) -> None:
    """Raises ValueError for a node that is not a segmentation."""
    if segmentationNode is None or not segmentationNode.IsA("vtkMRMLSegmentationNode"):
        raise ValueError(f"Expected a segmentation node, got {segmentationNode}. Select one.")


def checkOutput(
    outputVolume: slicer.vtkMRMLNode | None, scan: slicer.vtkMRMLScalarVolumeNode
) -> None:
    """Raises ValueError for a node that must not be filled.

    None stands for a new volume. The scan itself may be filled if it is given as the node.
    """
    from AnatoMaskGANLib.mrml import is_edited_scan

    if outputVolume is None or outputVolume is scan:
        return
    kind = outputVolume.GetClassName()
    if kind != SCALAR_VOLUME_CLASS:
        raise ValueError(f"Expected a scalar volume for the edited scan, got a {kind}. Select one.")
    if outputVolume.GetImageData() and not is_edited_scan(outputVolume):
        raise ValueError(
            f"The volume {outputVolume.GetName()!r} contains an image that is no edited scan and "
            "would be lost. Select another volume, or a new one."
        )


def outputToFill(
    parameters: AnatoMaskGANParameterNode,
) -> slicer.vtkMRMLScalarVolumeNode | None:
    """Gives the panel's edited scan, or None for a new one. An edited copy of another scan is kept
    and not filled again."""
    output = parameters.followedOutput
    if output is None or output is parameters.followedScan:
        return None
    return output if output.GetNodeReference(SCAN_ROLE) in (None, parameters.followedScan) else None


def changedSteps(maps: EditMaps, choices: ScanEditChoices) -> dict[str, LabelMap]:
    """Gives the label maps after the changes in words, by the names of the steps. Without changes
    in words it is the map as it was painted."""
    from AnatoMaskGANLib.editing.changes import changed_label_maps

    if not choices.changes:
        return {"": maps.after}
    steps = changed_label_maps(maps.after, choices.changes, choices.fixed)
    return {step.name: step.label_map for step in steps}


def madeEdits(
    source: EditSource,
    choices: ScanEditChoices,
    backend: DirectBackend | ProcessBackend,
    progress: Progress,
) -> MadeEdits:
    """Makes the scan after each step.

    Raises ValueError if nothing was edited, and EditError and VolumeError as the core does. If a
    process makes the edit, these become a RuntimeError with the same words.
    """
    from AnatoMaskGANLib.mrml import scan_of_node
    from AnatoMaskGANLib.synthesis.worker.edit_messages import EditRequest

    report = progress.report

    report(0.0, _("Reading the segments"))
    scan = scan_of_node(source.scan)
    maps = editMaps(source.scan, source.before, source.after)
    afters = changedSteps(maps, choices)
    if all((after.labels_kji == maps.before.labels_kji).all() for after in afters.values()):
        raise ValueError(
            f"The segments of {source.after.GetName()!r} are as they were at the start, so there "
            "is no edit. Change a segment first."
        )
    backend.startEdit(scan, maps.before)
    steps, voxels = {}, scan.voxels_kji
    for number, (name, after) in enumerate(afters.items()):
        progress.stop_if_cancelled()
        part = progress.span(number / len(afters), (number + 1) / len(afters))
        made = backend.runEdit(after, EditRequest(choices.words()), part)
        voxels = (scan.voxels_kji if made.is_anew else voxels).copy()
        if made.changed is not None and made.voxels_kji is not None:
            voxels[made.changed.slices] = made.voxels_kji
        volume = replace(scan, voxels_kji=voxels, provenance=made.provenance)
        steps[name] = MadeStep(volume, made.warnings, made.questions)
    return MadeEdits(source, choices, maps, steps)


def putEdits(
    made: MadeEdits, outputVolume: slicer.vtkMRMLScalarVolumeNode | None
) -> slicer.vtkMRMLScalarVolumeNode:
    """Puts the edited scan and its provenance into a node, or into a new one next to the scan if
    None.

    A series becomes a sequence.
    """
    from AnatoMaskGANLib.mrml import update_edited_series

    source, scan = made.source, made.source.scan
    if outputVolume is None:
        outputVolume = newEditedScan(scan)
    volumes = {
        name: replace(
            edited.volume,
            provenance={**edited.volume.provenance, **recordOf(made, name)},
        )
        for name, edited in made.steps.items()
    }
    linkToSource(outputVolume, source)
    update_edited_series(outputVolume, volumes, scan)
    return outputVolume


def newEditedScan(scan: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkMRMLScalarVolumeNode:
    """Makes an empty volume node for the edited copy of a scan, next to it in the subject
    hierarchy."""
    scene = scan.GetScene()
    name = scene.GenerateUniqueName(_("{name} edited").format(name=scan.GetName()))
    node = scene.AddNewNodeByClass(SCALAR_VOLUME_CLASS, name)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    item, neighbor = hierarchy.GetItemByDataNode(node), hierarchy.GetItemByDataNode(scan)
    if item and neighbor:
        hierarchy.SetItemParent(item, hierarchy.GetItemParent(neighbor))
    return node


def linkToSource(volumeNode: slicer.vtkMRMLScalarVolumeNode, source: EditSource) -> None:
    """Let the volume refer to the nodes that it is made from. Scenes save such references."""
    if volumeNode is not source.scan:
        volumeNode.SetNodeReferenceID(SCAN_ROLE, source.scan.GetID())
    volumeNode.SetNodeReferenceID(BEFORE_ROLE, source.before.GetID())
    volumeNode.SetNodeReferenceID(SEGMENTATION_ROLE, source.after.GetID())


def recordOf(made: MadeEdits, step: str) -> dict[str, str]:
    """Gives what the provenance says of the source in addition to the nodes."""
    return {
        "EditOf": made.source.scan.GetName(),
        "EditSegments": json.dumps(dict(made.maps.labelValues)),
        "EditChanges": made.choices.to_json(),
        "EditStep": step,
    }


def madeAgain(volumeNode: slicer.vtkMRMLScalarVolumeNode, progress: Progress) -> MadeEdits:
    """Makes the voxels of an edited scan again, from its provenance alone.

    Raises ValueError if the node is not an edited scan, and if the scan or a segmentation is gone
    or has changed since.
    """
    from AnatoMaskGANLib.editing import EditSettings, ScanEditSession
    from AnatoMaskGANLib.editing.provenance import METHOD, scan_sha256
    from AnatoMaskGANLib.mrml import is_edited_scan, provenance_of, scan_of_node

    name = volumeNode.GetName()
    if not is_edited_scan(volumeNode):
        raise ValueError(f"{name!r} is not an edited scan. Select an edited scan.")
    provenance = provenance_of(volumeNode)
    nodes = [volumeNode.GetNodeReference(r) for r in (SCAN_ROLE, BEFORE_ROLE, SEGMENTATION_ROLE)]
    if None in nodes or "EditSegments" not in provenance:
        raise ValueError(
            f"The scan or the segmentations that {name!r} was made from are not in the scene. Load "
            "the scene that contains all of them."
        )
    if provenance["EditMethod"] != METHOD:
        raise ValueError(
            f"{name!r} was made by the method {provenance['EditMethod']!r}, and this version has "
            f"{METHOD!r}. Make a new edit, or use the version that made it: "
            f"{provenance['EditProgram']}."
        )
    source = EditSource(*nodes)
    choices = ScanEditChoices(**json.loads(provenance["EditChanges"]))
    maps = editMaps(
        source.scan, source.before, source.after, json.loads(provenance["EditSegments"])
    )
    step = provenance["EditStep"]
    scan, after = scan_of_node(source.scan), changedSteps(maps, choices)[step]
    for key, found, what in (
        ("EditedScanSHA256", scan_sha256(scan), source.scan),
        ("LabelMapBeforeSHA256", maps.before.sha256(), source.before),
        ("LabelMapAfterSHA256", after.sha256(), source.after),
    ):
        if provenance[key] != found:
            raise ValueError(
                f"{name!r} cannot be made again: {what.GetName()!r} has changed since then. Undo "
                "what changed it, or make a new edit."
            )
    settings: EditSettings = EditSettings.from_dict(json.loads(provenance["EditSettings"]))
    session = ScanEditSession(scan, maps.before)
    session.update(after, settings, on_progress=progress.report)
    edited = session.edited()
    return MadeEdits(source, choices, maps, {step: MadeStep(edited.volume, edited.warnings)})
