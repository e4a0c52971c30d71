"""The logic: everything that the panel can do, for scripts as well."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

from AnatoMaskGANModule.batch.job import BatchJob, BatchRequest
from AnatoMaskGANModule.compare.job import Comparison, compareVolumes
from AnatoMaskGANModule.edit import job as edit
from AnatoMaskGANModule.host import resources
from AnatoMaskGANModule.models.library import KnownModels
from AnatoMaskGANModule.packages import job as packages
from AnatoMaskGANModule.parameters import DEFAULT_MODEL, AnatoMaskGANParameterNode
from AnatoMaskGANModule.scan_edit import job as scanEdit
from AnatoMaskGANModule.scan_edit import snapshot
from AnatoMaskGANModule.scan_edit.choices import ScanEditChoices
from AnatoMaskGANModule.scan_edit.maps import editMaps, writeSegments
from AnatoMaskGANModule.scan_edit.picture import savePicture
from AnatoMaskGANModule.synthesis.backends import DirectBackend, ProcessBackend
from AnatoMaskGANModule.synthesis.choices import EditChoices, SynthesisChoices
from AnatoMaskGANModule.synthesis.request import (
    SynthesisSettings,
    VolumeSource,
    requestOf,
    settingsOfProvenance,
    sourceOfVolume,
    unchangedSource,
    unmappedSegments,
)
from AnatoMaskGANModule.synthesis.result import (
    MadeVolumes,
    OutputChoice,
    OutputStyle,
    checkOutput,
    checkStillThere,
    intensitiesOf,
    isEditedScan,
    putSamples,
    putVolumes,
)
from AnatoMaskGANModule.synthesis.segment_match import SegmentMatch, matchedSegments
from AnatoMaskGANModule.training.job import TrainingJob, TrainingRequest

if TYPE_CHECKING:
    from AnatoMaskGANLib.mrml import SegmentationExport
    from AnatoMaskGANLib.synthesis import ModelCard, Progress
    from AnatoMaskGANLib.volumes import Volume


class OneAtATime:
    """Whether something runs, and whether it was asked to end."""

    def __init__(self) -> None:
        self._isRunning = self._isCancelled = False

    @contextlib.contextmanager
    def begun(self) -> Iterator[None]:
        """Something runs inside; check before that it may."""
        self._isRunning, self._isCancelled = True, False
        try:
            yield
        finally:
            self._isRunning = False

    def cancel(self) -> None:
        """Ask what runs to end; nothing happens when nothing runs."""
        self._isCancelled = True

    def isCancelled(self) -> bool:
        """Whether the user has cancelled; the running work asks this now and then."""
        return self._isCancelled

    def checkIsFree(self) -> None:
        """Raises RuntimeError while something runs."""
        if self._isRunning:
            raise RuntimeError("A synthesis is running already. Wait for it, or cancel it.")


class AnatoMaskGANLogic(ScriptedLoadableModuleLogic):
    """Everything that the panel can do, for scripts as well: no window and no dialog is needed.

    logic = AnatoMaskGAN.AnatoMaskGANLogic()
    volumeNode = logic.synthesize(segmentationNode, seed=3)
    """

    def __init__(self, backend: DirectBackend | ProcessBackend | None = None) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        self.backend = backend or DirectBackend()
        self._models = KnownModels()
        self._work = OneAtATime()
        self.editQuestions: Sequence[tuple[str, str]] = ()
        """Questions that the last `editScan` left open: names of segments, each with "look" or
        "fill"."""

    def getParameterNode(self) -> AnatoMaskGANParameterNode:
        return AnatoMaskGANParameterNode(super().getParameterNode())

    # Packages

    def missingPackages(self) -> list[str]:
        """The import names of what has to be installed before the core can be used."""
        return packages.missingPackages()

    def installPackages(
        self,
        purpose: packages.Purpose = packages.Purpose.SYNTHESIS,
        wheelsFolder: str = "",
        logCallback: Callable[[str], None] | None = None,
    ) -> None:
        """Install what is missing, without asking. Call it on the user's wish only.

        wheelsFolder: install from the wheels in it and from nowhere else. Raises RuntimeError with
        the reason when it failed; calling it again goes on.
        """
        packages.installPackages(purpose, wheelsFolder, logCallback)

    # Models and labels

    def models(self, isReadAgain: bool = False) -> dict[str, ModelCard]:
        """Name to card of the bundled and the installed models."""
        return self._models.cards(isReadAgain)

    def isInstalled(self, model: str) -> bool:
        """Whether the user installed the model, and so may remove it."""
        return self._models.isInstalled(model)

    def verifyModel(self, model: str) -> ModelCard:
        """The card of a model whose weights were all read and fit; CheckpointError if not."""
        return self._models.verify(model)

    def installModel(self, path: str, isReplaced: bool = False) -> ModelCard:
        """The card of a model installed from its archive, folder or weights' file.

        Raises CheckpointError for anything else, and for a name that is taken unless isReplaced.
        """
        self._work.checkIsFree()
        card = self._models.install(path, isReplaced)
        self.forgetModels()
        return card

    def removeModel(self, model: str) -> None:
        """Remove a model that the user installed; CheckpointError for a bundled one."""
        self._work.checkIsFree()
        self._models.remove(model)
        self.forgetModels()

    def forgetModels(self) -> None:
        """Forget the list and the loaded model, because the files in the folder may change."""
        self._work.checkIsFree()
        self.backend.close()
        self._models.forget()

    def modelLabels(self, model: str) -> list[str]:
        """The names of the labels that a model knows."""
        return list(self._models.labelTable(model).labels.values())

    def matchSegments(
        self,
        segmentationNode: slicer.vtkMRMLSegmentationNode,
        model: str = DEFAULT_MODEL,
        labels: Mapping[str, str] | None = None,
        segmentIDs: Sequence[str] | None = None,
        takenIDs: Sequence[str] | None = None,
    ) -> list[SegmentMatch]:
        """The model's label for each segment, and the rule that found it; reads no voxel.

        labels: the user's own choice, segment name -> label of the model, "" for background.
        takenIDs: the segments that are to be synthesized; None for all.
        """
        from AnatoMaskGANLib.mrml import segment_entries

        entries = segment_entries(segmentationNode, segmentIDs)
        if not entries:
            return []
        table = self._models.labelTable(model)
        if takenIDs is None:
            return matchedSegments(entries, table, labels or {})
        taken = segment_entries(segmentationNode, takenIDs)  # as in the synthesis
        return matchedSegments(entries, table, labels or {}, taken)

    # Synthesis

    def synthesize(
        self,
        segmentationNode: slicer.vtkMRMLSegmentationNode,
        outputVolume: slicer.vtkMRMLScalarVolumeNode | None = None,
        referenceVolume: slicer.vtkMRMLScalarVolumeNode | None = None,
        progressCallback: Callable[[float, str], None] | None = None,
        logCallback: Callable[[str], None] | None = None,
        **choices: Any,
    ) -> slicer.vtkMRMLScalarVolumeNode:
        """The volume node with the synthetic scan, on exactly the reference volume's grid.

        Without a reference volume the grid is the segmentation's own; without an output volume a
        new one is made. Several samples (seeds seed, seed + 1, ...) become a sequence that the
        output volume shows one by one, or a volume each, of which the first is returned.
        choices: by name, the fields of `SynthesisChoices` (model, seed, samples, ...) and of the
        core's `SamplingSettings` (noiseStrength, unmatched, ...). progressCallback gets the done
        fraction in [0,1] and what is being done; `cancel` called from it ends the synthesis with
        SynthesisCancelledError. Whatever is raised, the scene is as it was before.
        """
        chosen = SynthesisChoices.of(choices)
        return self._synthesizeFrom(
            chosen.source(segmentationNode, referenceVolume),
            chosen.settings(),
            OutputChoice(outputVolume, chosen.manySamples, chosen.style or OutputStyle()),
            progressCallback or (lambda fraction, text: None),
            logCallback or logging.info,
        )

    def _synthesizeFrom(
        self,
        source: VolumeSource,
        settings: SynthesisSettings,
        output: OutputChoice,
        report: Callable[[float, str], None],
        note: Callable[[str], None],
    ) -> slicer.vtkMRMLScalarVolumeNode:
        self._checkRequest(source, output.volume)
        with self._work.begun():
            report(0.0, _("Reading the segments"))
            export = source.labelMapExport()
            request = requestOf(source, export, settings)
            for line in unmappedSegments(export, request, self._models.labelTable(settings.model)):
                note(line)
            volumes = self.backend.synthesize(request, report, self._work.isCancelled)
        checkStillThere(source.segmentationNode, output.volume, source.referenceVolume)
        checkOutput(output.volume)  # once more: others may have filled it meanwhile
        made = MadeVolumes(source, export, settings.options.seeds, volumes)
        return putSamples(made, output, note)

    def _checkRequest(self, source: VolumeSource, outputVolume: slicer.vtkMRMLNode | None) -> None:
        """Raises for whatever can be refused before the segmentation is read."""
        self._work.checkIsFree()
        source.check()
        checkOutput(outputVolume)

    def editInPlace(
        self,
        scan: slicer.vtkMRMLScalarVolumeNode,
        segmentationBefore: slicer.vtkMRMLSegmentationNode,
        segmentationNode: slicer.vtkMRMLSegmentationNode,
        outputVolume: slicer.vtkMRMLScalarVolumeNode | None = None,
        progressCallback: Callable[[float, str], None] | None = None,
        **choices: Any,
    ) -> slicer.vtkMRMLScalarVolumeNode:
        """A copy of a real scan in which only what its segments changed is synthetic.

        segmentationBefore: the segments of the scan as it is (`rememberSegments` before the edits).
        choices: by name, the fields of `EditChoices` (marginMm, seam, model, seed, ...) and of the
        core's `SamplingSettings`. Raises ValueError where nothing was edited; the rest is as for
        `synthesize`.
        """
        edit.checkScan(scan)
        chosen = EditChoices.of(choices)
        before, after = (
            chosen.source(node, scan) for node in (segmentationBefore, segmentationNode)
        )
        self._checkRequest(before, outputVolume)
        self._checkRequest(after, outputVolume)
        settings = chosen.settings()
        report = progressCallback or (lambda fraction, text: None)

        def make(export: SegmentationExport) -> Sequence[Volume]:
            request = requestOf(after, export, settings)
            return self.backend.synthesize(request, report, self._work.isCancelled)

        with self._work.begun():
            table = self._models.labelTable(chosen.model)
            volume, export = edit.editedScan(
                before, after, table, chosen.marginMm, make, chosen.seam
            )
        checkStillThere(segmentationBefore, segmentationNode, outputVolume, scan)
        checkOutput(outputVolume)
        target = edit.newEditedVolume(scan) if outputVolume is None else outputVolume
        made = MadeVolumes(after, export, chosen.seeds, [volume])
        putVolumes(made, target, OutputStyle(), logging.info)
        edit.showAsScan(target, scan)
        return target

    def differenceOfEdit(
        self, editedVolume: slicer.vtkMRMLScalarVolumeNode, scan: slicer.vtkMRMLScalarVolumeNode
    ) -> slicer.vtkMRMLScalarVolumeNode:
        """The volume node with an edited scan minus the scan; ValueError on other grids."""
        return edit.differenceOfEdit(editedVolume, scan)

    def rememberSegments(
        self, segmentationNode: slicer.vtkMRMLSegmentationNode
    ) -> slicer.vtkMRMLSegmentationNode:
        """A hidden copy of a segmentation as it is now, for `editInPlace` after later edits."""
        return edit.rememberSegments(segmentationNode)

    def makeAgain(
        self,
        volumeNode: slicer.vtkMRMLScalarVolumeNode,
        outputVolume: slicer.vtkMRMLScalarVolumeNode | None = None,
        device: str = "auto",
        progressCallback: Callable[[float, str], None] | None = None,
        logCallback: Callable[[str], None] | None = None,
    ) -> slicer.vtkMRMLScalarVolumeNode:
        """A volume node with the same voxels as a synthetic one, by its provenance alone.

        Raises ValueError when it cannot be: not synthetic, another model, an edited segmentation.
        """
        provenance = self._provenanceOf(volumeNode)
        card = self.models(isReadAgain=True).get(provenance["Model"])
        return self._synthesizeFrom(
            unchangedSource(volumeNode, provenance, card),
            settingsOfProvenance(provenance, device),
            OutputChoice(outputVolume, style=OutputStyle(intensitiesOf(provenance))),
            progressCallback or (lambda fraction, text: None),
            logCallback or logging.info,
        )

    # Edits of a scan that follows its segmentation, without a model

    def editScan(
        self,
        scan: slicer.vtkMRMLScalarVolumeNode,
        segmentationNode: slicer.vtkMRMLSegmentationNode,
        outputVolume: slicer.vtkMRMLScalarVolumeNode | None = None,
        progressCallback: Callable[[float, str], None] | None = None,
        logCallback: Callable[[str], None] | None = None,
        **choices: Any,
    ) -> slicer.vtkMRMLScalarVolumeNode:
        """The volume node with the scan as it would be with the segments as they are now.

        What is compared with are the segments as they were when they were first used, see
        `startEditFromHere`. Without an output volume a new one is made; the scan itself is changed
        only where it is given as the output, and the segments as they are now then belong to it.
        choices: by name, the fields of `ScanEditChoices` (changes, looks, fills, ...), in the words
        of `anatomaskgan edit`. A series of changes becomes a sequence. logCallback gets what the
        user should know, in sentences; `cancel`, called from progressCallback, ends the run with
        SynthesisCancelledError. Raises ValueError for bad input and where nothing was edited.
        Whatever is raised, the scene is as it was before.
        """
        chosen = ScanEditChoices.of(choices)
        scanEdit.checkScan(scan)
        scanEdit.checkSegmentation(segmentationNode)
        scanEdit.checkOutput(outputVolume, scan)
        self._work.checkIsFree()
        if not chosen.changes and snapshot.snapshotOf(segmentationNode) is None:
            raise ValueError(
                f"It is not known how the segments of {segmentationNode.GetName()!r} were before "
                "they were edited. Call startEditFromHere before the edits, or give changes."
            )
        before = snapshot.remembered(segmentationNode)
        source = scanEdit.EditSource(scan, before, segmentationNode)
        with self._work.begun():
            progress = self._progress(progressCallback)
            made = scanEdit.madeEdits(source, chosen, self.backend, progress)
        self.editQuestions = made.questions()
        return self._putEdits(made, outputVolume, logCallback)

    def makeEditAgain(
        self,
        volumeNode: slicer.vtkMRMLScalarVolumeNode,
        outputVolume: slicer.vtkMRMLScalarVolumeNode | None = None,
        progressCallback: Callable[[float, str], None] | None = None,
    ) -> slicer.vtkMRMLScalarVolumeNode:
        """A volume node with the same voxels as an edited scan, by its provenance alone.

        Raises ValueError when it cannot be: no edited scan, or something was changed since.
        """
        self._work.checkIsFree()
        with self._work.begun():
            made = scanEdit.madeAgain(volumeNode, self._progress(progressCallback))
        scanEdit.checkOutput(outputVolume, made.source.scan)
        return self._putEdits(made, outputVolume, None)

    def changeSegments(
        self,
        scan: slicer.vtkMRMLScalarVolumeNode,
        segmentationNode: slicer.vtkMRMLSegmentationNode,
        changes: Sequence[str],
        fixed: Sequence[str] = (),
    ) -> None:
        """Change the segments by words, such as "grow liver by 5 mm", on the grid of the scan.

        The segments as they were are remembered before. Raises EditError, a ValueError, for words
        that are no edit, and for a series.
        """
        from AnatoMaskGANLib.editing import EditError

        scanEdit.checkScan(scan)
        scanEdit.checkSegmentation(segmentationNode)
        before = snapshot.remembered(segmentationNode)
        maps = editMaps(scan, before, segmentationNode)
        steps = scanEdit.changedSteps(maps, ScanEditChoices(changes, fixed=fixed))
        if len(steps) > 1:
            raise EditError(
                f"The changes {'; '.join(changes)} are a series of {len(steps)} steps; expected "
                "one. Give editScan the series."
            )
        for changed in steps.values():
            writeSegments(segmentationNode, scan, maps, changed)

    def startEditFromHere(
        self, segmentationNode: slicer.vtkMRMLSegmentationNode
    ) -> slicer.vtkMRMLSegmentationNode:
        """The hidden copy of the segments as they are now, with which later edits are compared."""
        scanEdit.checkSegmentation(segmentationNode)
        return snapshot.startFromHere(segmentationNode)

    def undoSegmentEdits(self, segmentationNode: slicer.vtkMRMLSegmentationNode) -> None:
        """Let the segments be as they were at the start of the edits."""
        scanEdit.checkSegmentation(segmentationNode)
        snapshot.backToStart(segmentationNode)

    def saveEditPicture(self, volumeNode: slicer.vtkMRMLScalarVolumeNode, path: str) -> None:
        """Save a PNG picture of an edited scan next to the scan as it was, marked as edited.

        Raises ValueError where it is no edited scan or its scan is gone, OSError for a path that
        cannot be written.
        """
        scan = volumeNode.GetNodeReference(scanEdit.SCAN_ROLE)
        if scan is None:
            raise ValueError(
                f"{volumeNode.GetName()!r} is no edited scan whose scan is in the scene. Select an "
                "edited scan."
            )
        savePicture(scan, volumeNode, path)

    def _putEdits(
        self,
        made: scanEdit.MadeEdits,
        outputVolume: slicer.vtkMRMLScalarVolumeNode | None,
        logCallback: Callable[[str], None] | None,
    ) -> slicer.vtkMRMLScalarVolumeNode:
        source = made.source
        checkStillThere(source.scan, source.before, source.after, outputVolume)
        for line in made.remarks():
            (logCallback or logging.info)(line)
        node = scanEdit.putEdits(made, outputVolume)
        if node is source.scan:
            snapshot.startFromHere(source.after)
        return node

    def _progress(self, progressCallback: Callable[[float, str], None] | None) -> Progress:
        """Reports the progress; it is cancelled when `cancel` was called."""
        from AnatoMaskGANLib.synthesis import Progress

        return Progress(progressCallback or (lambda fraction, text: None), self._work.isCancelled)

    # Comparison

    def compare(
        self,
        syntheticVolume: slicer.vtkMRMLScalarVolumeNode,
        realVolume: slicer.vtkMRMLScalarVolumeNode,
    ) -> Comparison:
        """Metrics, difference volume, table and plot by segment of a synthetic volume and a scan.

        `cancel`, called meanwhile, ends it with SynthesisCancelledError. Raises ValueError when the
        volume is not synthetic, or its model or segmentation is gone, RuntimeError while something
        else runs. Whatever is raised, the scene is as it was before.
        """
        self._work.checkIsFree()
        provenance = self._provenanceOf(syntheticVolume)
        card = self.models(isReadAgain=True).get(provenance["Model"])
        if card is None:
            raise ValueError(
                f"The model {provenance['Model']!r} is not installed; it is needed for its "
                "window and its labels. Install it."
            )
        source = sourceOfVolume(syntheticVolume, provenance)
        with self._work.begun():
            return compareVolumes(
                syntheticVolume, realVolume, source, card, provenance, self._work.isCancelled
            )

    def cancel(self) -> None:
        """End the running synthesis or comparison; without one nothing happens."""
        self._work.cancel()

    # Provenance

    def provenance(self, volumeNode: slicer.vtkMRMLVolumeNode) -> dict[str, str]:
        """The provenance of a synthetic volume; empty for any other volume."""
        from AnatoMaskGANLib.mrml import provenance_of

        return provenance_of(volumeNode)

    def saveVolume(self, volumeNode: slicer.vtkMRMLVolumeNode, path: str) -> None:
        """Save a volume with its provenance in the header, which Slicer's own saving leaves out.

        path ends with .nrrd, .nii.gz, .nii, .mha or .mhd; the node's voxels stay on its own grid,
        as when Slicer saves it. The file is whole or as it was. Raises VolumeError for a path that
        cannot be written, and for another kind of file.
        """
        from AnatoMaskGANLib.mrml import volume_for_file
        from AnatoMaskGANLib.volumes import write_volume

        write_volume(volume_for_file(volumeNode), path)

    def samplesBrowser(
        self, volumeNode: slicer.vtkMRMLVolumeNode
    ) -> slicer.vtkMRMLSequenceBrowserNode | None:
        """The sequence browser of a volume node that shows several samples; None for any other."""
        from AnatoMaskGANLib.mrml import samples_browser

        return samples_browser(volumeNode)

    def isMadeHere(self, volumeNode: slicer.vtkMRMLVolumeNode) -> bool:
        """Whether the whole volume is synthetic, and its segmentation is known."""
        provenance = self.provenance(volumeNode)
        isEdited = isEditedScan(provenance) or "EditedScan" in provenance
        return {"Model", "Segments"} <= provenance.keys() and not isEdited

    def _provenanceOf(self, volumeNode: slicer.vtkMRMLScalarVolumeNode) -> dict[str, str]:
        """The provenance of a volume that is wholly synthetic; ValueError for any other."""
        if not self.isMadeHere(volumeNode):
            name = volumeNode.GetName()
            raise ValueError(
                f"{name!r} is not a synthetic volume: it has no provenance. Select a "
                "synthetic volume."
            )
        return self.provenance(volumeNode)

    # Batch and training, in separate processes

    def startBatch(
        self, request: BatchRequest, logCallback: Callable[[str], None] | None = None
    ) -> BatchJob:
        """A batch that has begun: call its `poll` until it is no longer `isRunning`."""
        return BatchJob(request, logCallback)

    def startTraining(
        self,
        request: TrainingRequest,
        isCheck: bool = False,
        goesOn: bool = False,
        logCallback: Callable[[str], None] | None = None,
    ) -> TrainingJob:
        """A training, or a check of one, that has begun: `poll` it, or `wait` for its end."""
        return TrainingJob(request, isCheck, goesOn, logCallback)

    # Sample data

    def loadSampleData(
        self,
    ) -> tuple[slicer.vtkMRMLSegmentationNode, slicer.vtkMRMLScalarVolumeNode]:
        """The bundled brain: its segmentation node, with named segments, and its real T1 volume."""
        return resources.loadSampleData()
