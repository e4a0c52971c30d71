"""The logic: everything that the panel can do, for scripts as well."""

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from slicer import vtkMRMLScalarVolumeNode
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

from AnatoMaskGANModule.batch.job import BatchJob, BatchRequest
from AnatoMaskGANModule.compare.job import Comparison, compareVolumes
from AnatoMaskGANModule.edit import job as scan_edit
from AnatoMaskGANModule.host import resources as sample_data
from AnatoMaskGANModule.models.library import KnownModels
from AnatoMaskGANModule.packages import job as packages
from AnatoMaskGANModule.parameters import (
    DEFAULT_MARGIN_MM,
    DEFAULT_MODEL,
    MOST_SAMPLES,
    AnatoMaskGANParameterNode,
    ManySamples,
)
from AnatoMaskGANModule.synthesis import result as result_volume
from AnatoMaskGANModule.synthesis.backends import DirectBackend, ProcessBackend
from AnatoMaskGANModule.synthesis.request import (
    SynthesisSettings,
    VolumeSource,
    labelLosses,
    requestOf,
    settingsOfRecord,
    sourceOfPanel,
    sourceOfVolume,
    unchangedSource,
)
from AnatoMaskGANModule.synthesis.result import OutputStyle, intensitiesOf
from AnatoMaskGANModule.synthesis.segment_match import (
    SegmentMatch,
    matchedSegments,
    takenSegmentIDs,
)
from AnatoMaskGANModule.training.job import TrainingJob
from AnatoMaskGANModule.training.request import TrainingRequest


class OneRun:
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
        """Ask what runs to end; without a run nothing happens."""
        self._isCancelled = True

    def isCancelled(self) -> bool:
        """What a run asks now and then."""
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
        self._run = OneRun()

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

    def models(self, isReadAgain: bool = False) -> dict[str, Any]:
        """Name to card (the core's `ModelCard`) of the bundled and the installed models."""
        return self._models.cards(isReadAgain)

    def isInstalled(self, model: str) -> bool:
        """Whether the user installed the model, and so may remove it."""
        return self._models.isInstalled(model)

    def verifyModel(self, model: str) -> Any:
        """The card of a model whose weights were all read and fit; CheckpointError if not."""
        return self._models.verify(model)

    def installModel(self, path: str, isReplaced: bool = False) -> Any:
        """The card of a model installed from its archive, folder or weights' file.

        Raises CheckpointError for anything else, and for a name that is taken unless isReplaced.
        """
        self._run.checkIsFree()
        card = self._models.install(path, isReplaced)
        self.forgetModels()
        return card

    def removeModel(self, model: str) -> None:
        """Remove a model that the user installed; CheckpointError for a bundled one."""
        self._run.checkIsFree()
        self._models.remove(model)
        self.forgetModels()

    def forgetModels(self) -> None:
        """Neither the list nor a loaded model may outlive what lies in the folder."""
        self._run.checkIsFree()
        self.backend.close()
        self._models.forget()

    def modelLabels(self, model: str) -> list[str]:
        """The names of the labels that a model knows."""
        return list(self._models.labelTable(model).labels.values())

    def matchSegments(
        self,
        segmentationNode,
        model: str = DEFAULT_MODEL,
        labels: Mapping[str, str] | None = None,
        segmentIDs: Sequence[str] | None = None,
        takenIDs: Sequence[str] | None = None,
    ) -> list[SegmentMatch]:
        """For each segment the model's label and the rule that found it; reads no voxel.

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
        taken = segment_entries(segmentationNode, takenIDs)  # as the synthesis will have them
        return matchedSegments(entries, table, labels or {}, taken)

    def takenSegmentIDs(self, parameterNode: AnatoMaskGANParameterNode) -> list[str] | None:
        """IDs of the segments that the panel's choice takes; None for all of them."""
        return takenSegmentIDs(parameterNode)

    # Synthesis

    def synthesize(
        self,
        segmentationNode,
        outputVolume=None,
        referenceVolume=None,
        model: str = DEFAULT_MODEL,
        seed: int = 0,
        samples: int = 1,
        noiseStrength: float = 1.0,
        device: str = "auto",
        unmatched: str = "stop",
        labels: Mapping[str, str] | None = None,
        segmentIDs: Sequence[str] | None = None,
        progressCallback: Callable[[float, str], None] | None = None,
        logCallback: Callable[[str], None] | None = None,
        noiseLengthScale: float = 1.0,
        manySamples: ManySamples = ManySamples.SEQUENCE,
        style: OutputStyle | None = None,
    ) -> vtkMRMLScalarVolumeNode:
        """The volume node with the synthetic scan, on exactly the reference volume's grid.

        Without a reference volume the grid is the segmentation's own; without an output volume a
        new one is made. Several samples (seeds seed, seed + 1, ...) become a sequence that the
        output volume shows one by one, or a volume each, of which the first is given back.
        noiseLengthScale: the noise's correlation lengths over those of the training, 0.25 to 4.
        style: the intensities, and how a new volume is shown. unmatched: "stop" raises for segments
        that the model does not know, "background" drops them. labels: segment name -> label of the
        model that replaces the matching rules, "" for background. progressCallback gets the done
        share in [0,1] and what is being done; `cancel` called from it ends the run with
        SynthesisCancelledError. Whatever is raised, the scene is as it was before.
        """
        if not (isinstance(samples, int) and 1 <= samples <= MOST_SAMPLES):
            raise ValueError(f"samples is {samples!r}; expected 1 to {MOST_SAMPLES}.")
        seeds = [seed + number for number in range(samples)]
        return self._synthesizeFrom(
            VolumeSource(
                segmentationNode, referenceVolume, segmentIDs, dict(labels or {}), unmatched
            ),
            SynthesisSettings(model, device, seeds, noiseStrength, noiseLengthScale),
            outputVolume,
            manySamples,
            style or OutputStyle(),
            progressCallback or (lambda share, text: None),
            logCallback or logging.info,
        )

    def _synthesizeFrom(
        self,
        source: VolumeSource,
        settings: SynthesisSettings,
        outputVolume,
        manySamples: ManySamples,
        style: OutputStyle,
        report: Callable[[float, str], None],
        note: Callable[[str], None],
    ) -> vtkMRMLScalarVolumeNode:
        self._checkRequest(source, outputVolume)
        with self._run.begun():
            report(0.0, _("Reading the segments"))
            export = source.labelMapExport()
            request = requestOf(source, export, settings)
            for line in labelLosses(export, request, self._models.labelTable(settings.model)):
                note(line)
            volumes = self.backend.run(request, report, self._run.isCancelled)
        result_volume.checkStillThere(source.segmentationNode, outputVolume, source.referenceVolume)
        self.checkOutput(outputVolume)  # once more: others may have filled it meanwhile
        return result_volume.putSamples(
            source, outputVolume, volumes, settings.seeds, export, manySamples, style, note
        )

    def _checkRequest(self, source: VolumeSource, outputVolume) -> None:
        """Raises for whatever can be refused before the segmentation is read."""
        self._run.checkIsFree()
        source.check()
        self.checkOutput(outputVolume)

    def checkOutput(self, outputVolume) -> None:
        """Raises ValueError for a node that must not be filled; None is a new volume."""
        result_volume.checkOutput(outputVolume)

    def volumeToFill(self, parameterNode: AnatoMaskGANParameterNode):
        """The panel's output volume, for a synthesis; None when it must be a new one.

        Beside the edit in place no run fills an edited scan, most of whose voxels are real ones.
        """
        return result_volume.volumeToFill(parameterNode)

    def sourceOf(self, parameterNode: AnatoMaskGANParameterNode) -> VolumeSource:
        """What the panel's settings say a volume is to be made from."""
        return sourceOfPanel(parameterNode)

    def putVolumes(
        self,
        source: VolumeSource,
        outputVolume,
        volumes: Sequence,
        seeds: Sequence[int],
        export,
        style: OutputStyle | None = None,
        note: Callable[[str], None] = logging.info,
    ) -> vtkMRMLScalarVolumeNode:
        """The node with these volumes and their record; a new one beside the segmentation if None.

        volumes: one core `Volume` a seed. export: the core's `SegmentationExport` that they are of.
        """
        return result_volume.putVolumes(
            source, outputVolume, volumes, seeds, export, style or OutputStyle(), note
        )

    def editInPlace(
        self,
        scan,
        segmentationBefore,
        segmentationNode,
        outputVolume=None,
        marginMm: float = DEFAULT_MARGIN_MM,
        model: str = DEFAULT_MODEL,
        seed: int = 0,
        noiseStrength: float = 1.0,
        device: str = "auto",
        unmatched: str = "stop",
        labels: Mapping[str, str] | None = None,
        progressCallback: Callable[[float, str], None] | None = None,
        noiseLengthScale: float = 1.0,
        seam: str = "smooth",
    ) -> vtkMRMLScalarVolumeNode:
        """A copy of a real scan in which only what its segments changed is synthetic.

        segmentationBefore: the segments of the scan as it is (`rememberSegments` before the edits).
        Over marginMm an edit fades out; beyond it every voxel stays as it is in the scan. seam:
        "smooth" brings the edit to the scan's intensities by a line and a smooth field, "scaled" by
        the line alone, "none" leaves it as the model made it. Raises
        ValueError where nothing was edited; the rest is as for `synthesize`.
        """
        scan_edit.checkScan(scan)
        before, after = (
            VolumeSource(node, scan, None, dict(labels or {}), unmatched)
            for node in (segmentationBefore, segmentationNode)
        )
        self._checkRequest(before, outputVolume)
        self._checkRequest(after, outputVolume)
        settings = SynthesisSettings(model, device, [seed], noiseStrength, noiseLengthScale)
        report = progressCallback or (lambda share, text: None)

        def run(export) -> Sequence:
            request = requestOf(after, export, settings)
            return self.backend.run(request, report, self._run.isCancelled)

        with self._run.begun():
            table = self._models.labelTable(model)
            volume, export = scan_edit.editedScan(before, after, table, marginMm, run, seam)
        result_volume.checkStillThere(segmentationBefore, segmentationNode, outputVolume, scan)
        self.checkOutput(outputVolume)
        target = scan_edit.newEditedVolume(scan) if outputVolume is None else outputVolume
        self.putVolumes(after, target, [volume], [seed], export)
        scan_edit.showAsScan(target, scan)
        return target

    def differenceOfEdit(self, editedVolume, scan) -> vtkMRMLScalarVolumeNode:
        """The volume node with an edited scan minus the scan; ValueError on other grids."""
        return scan_edit.differenceOfEdit(editedVolume, scan)

    def rememberSegments(self, segmentationNode):
        """A hidden copy of a segmentation as it is now, for `editInPlace` after later edits."""
        return scan_edit.rememberSegments(segmentationNode)

    def makeAgain(
        self,
        volumeNode,
        outputVolume=None,
        device: str = "auto",
        progressCallback: Callable[[float, str], None] | None = None,
        logCallback: Callable[[str], None] | None = None,
    ) -> vtkMRMLScalarVolumeNode:
        """A volume node with the same voxels as a synthetic one, by its record alone.

        Raises ValueError when it cannot be: not synthetic, another model, an edited segmentation.
        """
        record = self._recordOf(volumeNode)
        card = self.models(isReadAgain=True).get(record["Model"])
        return self._synthesizeFrom(
            unchangedSource(volumeNode, record, card),
            settingsOfRecord(record, device),
            outputVolume,
            ManySamples.SEQUENCE,
            OutputStyle(intensitiesOf(record)),
            progressCallback or (lambda share, text: None),
            logCallback or logging.info,
        )

    # Comparison

    def compare(self, syntheticVolume, realVolume) -> Comparison:
        """Figures, difference volume, table and plot by segment of a synthetic volume and a scan.

        `cancel`, called meanwhile, ends it with SynthesisCancelledError. Raises ValueError when the
        volume is not synthetic, or its model or segmentation is gone, RuntimeError while something
        else runs. Whatever is raised, the scene is as it was before.
        """
        self._run.checkIsFree()
        record = self._recordOf(syntheticVolume)
        card = self.models(isReadAgain=True).get(record["Model"])
        if card is None:
            raise ValueError(
                f"The model {record['Model']!r} is not installed; it is needed for its "
                "window and its labels. Install it."
            )
        source = sourceOfVolume(syntheticVolume, record)
        with self._run.begun():
            return compareVolumes(
                syntheticVolume, realVolume, source, card, record, self._run.isCancelled
            )

    def cancel(self) -> None:
        """End the running synthesis or comparison; without one nothing happens."""
        self._run.cancel()

    # Records

    def provenance(self, volumeNode) -> dict[str, str]:
        """How a synthetic volume was made; empty for any other volume."""
        from AnatoMaskGANLib.mrml import provenance_of

        return provenance_of(volumeNode)

    def saveVolume(self, volumeNode, path: str) -> None:
        """Save a volume with its record in the header, which Slicer's own saving leaves out.

        path ends with .nrrd, .nii.gz, .nii, .mha or .mhd; the node's voxels stay on its own grid,
        as when Slicer saves it. The file is whole or as it was. Raises VolumeError for a path that
        cannot be written, and for another kind of file.
        """
        from AnatoMaskGANLib.mrml import volume_for_file
        from AnatoMaskGANLib.volumes import write_volume

        write_volume(volume_for_file(volumeNode), path)

    def samplesBrowser(self, volumeNode):
        """The sequence browser of a volume node that shows several samples; None for any other."""
        from AnatoMaskGANLib.mrml import samples_browser

        return samples_browser(volumeNode)

    def isMadeHere(self, volumeNode) -> bool:
        """Whether the whole volume is synthetic, with the record of its segmentation."""
        record = self.provenance(volumeNode)
        return {"Model", "Segments"} <= record.keys() and not result_volume.isEditedScan(record)

    def _recordOf(self, volumeNode) -> dict[str, str]:
        """The record of a volume that is wholly synthetic; ValueError for any other."""
        if not self.isMadeHere(volumeNode):
            name = volumeNode.GetName()
            raise ValueError(
                f"{name!r} is not a synthetic volume: it has no provenance. Select a "
                "synthetic volume."
            )
        return self.provenance(volumeNode)

    def updateRecord(self, volumeNode, provenance: Mapping[str, str]) -> None:
        """Renew how a synthetic volume was made, after its voxels were changed."""
        from AnatoMaskGANLib.mrml import update_record

        update_record(volumeNode, provenance)

    # Batch and training, in processes beside the application

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

    def loadSampleData(self) -> tuple[Any, Any]:
        """The bundled brain: its segmentation node, with named segments, and its real T1 volume."""
        return sample_data.loadSampleData()
