"""The logic: everything that the panel can do, for scripts as well."""

import contextlib
import logging
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import slicer
from slicer import vtkMRMLScalarVolumeNode
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

from . import packages, sample_data
from .batch_job import BatchJob, BatchRequest
from .comparison import Comparison, compareVolumes
from .output_style import OutputStyle, intensitiesOf
from .parameter_node import (
    DEFAULT_MARGIN_MM,
    DEFAULT_MODEL,
    MOST_SAMPLES,
    AnatoMaskGANParameterNode,
    ManySamples,
    UnmatchedSegments,
)
from .runners import DirectRunner, ProcessRunner, SynthesisRequest
from .scan_edit import differenceOfEdit, editedScan, rememberSegments
from .segment_match import SegmentMatch, matchedSegments, takenSegmentIDs
from .training_job import TrainingJob
from .training_request import TrainingRequest
from .volume_source import VolumeSource, sourceOfVolume


class AnatoMaskGANLogic(ScriptedLoadableModuleLogic):
    """Everything that the panel can do, for scripts as well: no window and no dialog is needed.

    logic = AnatoMaskGAN.AnatoMaskGANLogic()
    volumeNode = logic.synthesize(segmentationNode, seed=3)
    """

    def __init__(self, runner: DirectRunner | ProcessRunner | None = None) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        self.runner = runner or DirectRunner()
        self._cards = {}
        self._isRunning = False
        self._isCancelled = False

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
        from AnatoMaskGANLib.synthesis import list_models

        if isReadAgain or not self._cards:
            self._cards = {card.name: card for card in list_models()}
        return self._cards

    def isInstalled(self, model: str) -> bool:
        """Whether the user installed the model, and so may remove it."""
        from AnatoMaskGANLib.synthesis import user_models_folder

        return (user_models_folder() / model).is_dir()

    def verifyModel(self, model: str):
        """The card of a model whose weights were all read and fit; CheckpointError if not."""
        from AnatoMaskGANLib.synthesis.model_archive import verify_model

        return verify_model(model)

    def installModel(self, path: str, isReplaced: bool = False):
        """The card of a model installed from its archive, folder or weights' file.

        Raises CheckpointError for anything else, and for a name that is taken unless isReplaced.
        """
        from AnatoMaskGANLib.synthesis.model_archive import install_model

        card = install_model(pathlib.Path(path), replace=isReplaced)
        self.forgetModels()
        return card

    def removeModel(self, model: str) -> None:
        """Remove a model that the user installed; CheckpointError for a bundled one."""
        from AnatoMaskGANLib.synthesis.model_archive import remove_model

        remove_model(model)
        self.forgetModels()

    def forgetModels(self) -> None:
        """Neither the list nor a loaded model may outlive what lies in the folder."""
        if self._isRunning:
            raise RuntimeError("A synthesis is running. Wait for it, or cancel it.")
        self.runner.close()
        self._cards = {}

    def modelLabels(self, model: str) -> list[str]:
        """The names of the labels that a model knows."""
        return list(self._labelTable(model).labels.values())

    def _labelTable(self, model: str):
        from AnatoMaskGANLib.volumes import LabelTable

        if model not in self.models() and model not in self.models(isReadAgain=True):
            raise ValueError(f"There is no model {model!r}. Known: {', '.join(self.models())}.")
        return LabelTable.from_dict(self.models()[model].label_table)

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
        table = self._labelTable(model) if entries else None
        return matchedSegments(entries, table, labels or {}, takenIDs)

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
        source = VolumeSource(
            segmentationNode, referenceVolume, segmentIDs, dict(labels or {}), unmatched
        )
        return self._synthesizeFrom(
            source,
            outputVolume,
            model,
            device,
            [seed + number for number in range(self._checkedSamples(samples))],
            noiseStrength,
            progressCallback,
            logCallback,
            noiseLengthScale,
            manySamples,
            style or OutputStyle(),
        )

    def _synthesizeFrom(
        self,
        source: VolumeSource,
        outputVolume,
        model: str,
        device: str,
        seeds: Sequence[int],
        noiseStrength: float,
        progressCallback: Callable[[float, str], None] | None,
        logCallback: Callable[[str], None] | None,
        noiseLengthScale: float,
        manySamples: ManySamples,
        style: OutputStyle,
    ) -> vtkMRMLScalarVolumeNode:
        self._checkRequest(source, outputVolume)
        report = progressCallback or (lambda share, text: None)
        note = logCallback or logging.info
        with self._running():
            report(0.0, _("Reading the segments"))
            export = source.labelMapExport()
            request = self._request(
                source, export, model, device, seeds, noiseStrength, noiseLengthScale
            )
            self._noteWhatIsLost(export, request, note)
            volumes = self.runner.run(request, report, lambda: self._isCancelled)
        self._checkStillThere(source.segmentationNode, outputVolume, source.referenceVolume)
        if manySamples is ManySamples.SEQUENCE:
            parts = [(list(volumes), list(seeds))]
        else:
            parts = [([volume], [seed]) for volume, seed in zip(volumes, seeds, strict=True)]
        made = []
        for partVolumes, partSeeds in parts:
            target = outputVolume if not made else None
            made.append(
                self.putVolumes(source, target, partVolumes, partSeeds, export, style, note)
            )
            if len(parts) > 1 and target is None:
                made[-1].SetName(f"{made[-1].GetName()}, seed {partSeeds[0]}")
        return made[0]

    @contextlib.contextmanager
    def _running(self) -> Iterator[None]:
        """One run at a time, which `cancel` ends."""
        self._isRunning, self._isCancelled = True, False
        try:
            yield
        finally:
            self._isRunning = False

    def _checkStillThere(self, *nodes) -> None:
        """Raises RuntimeError when a node was removed while a synthesis ran."""
        for node in nodes:
            if node is not None and node.GetScene() is None:
                raise RuntimeError(
                    f"{node.GetName()!r} was removed while the synthesis ran, so its result has no "
                    "place. Nothing was changed; start again."
                )

    def _request(
        self,
        source: VolumeSource,
        export,
        model: str,
        device: str,
        seeds,
        noiseStrength: float,
        noiseLengthScale: float,
    ) -> SynthesisRequest:
        from AnatoMaskGANLib.mrml import user_table

        userTable = user_table(export.entries, source.labels)
        return SynthesisRequest(
            export.label_map,
            model,
            device,
            seeds,
            noiseStrength,
            source.unmatched,
            userTable,
            noiseLengthScale,
        )

    def putVolumes(
        self,
        source: VolumeSource,
        outputVolume,
        volumes,
        seeds: Sequence[int],
        export,
        style: OutputStyle | None = None,
        note: Callable[[str], None] = logging.info,
    ) -> vtkMRMLScalarVolumeNode:
        """The node with these volumes and their record; a new one beside the segmentation if None.

        volumes: one core `Volume` a seed. export: the core's `SegmentationExport` that they are of.
        """
        from AnatoMaskGANLib import mrml

        style = style or OutputStyle()
        unit, volumes = volumes[0].unit, [style.applied(volume) for volume in volumes]
        scene, name = source.segmentationNode.GetScene(), source.segmentationNode.GetName()
        isFirst = outputVolume is None or not mrml.is_synthetic(outputVolume)
        if outputVolume is None:
            outputVolume = scene.AddNewNodeByClass(
                "vtkMRMLScalarVolumeNode", scene.GenerateUniqueName(f"{name} synthetic")
            )
        elif "synthetic" not in outputVolume.GetName().lower():
            outputVolume.SetName(f"{outputVolume.GetName()} (synthetic)")
        source.linkFrom(outputVolume)
        attributes = source.attributes(export)
        mrml.update_volume_samples(outputVolume, volumes, seeds, export.grid, attributes)
        mrml.place_beside(outputVolume, source.segmentationNode)
        told = style.show(outputVolume, source.referenceVolume, unit) if isFirst else None
        if told is not None:
            note(told)
        return outputVolume

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
        before, after = (
            VolumeSource(node, scan, None, dict(labels or {}), unmatched)
            for node in (segmentationBefore, segmentationNode)
        )
        self._checkRequest(before, outputVolume)
        self._checkRequest(after, outputVolume)
        if scan is None:
            raise ValueError("Expected the real scan that is to be edited, got none. Select one.")
        report = progressCallback or (lambda share, text: None)

        def run(export) -> list[Any]:
            request = self._request(
                after, export, model, device, [seed], noiseStrength, noiseLengthScale
            )
            return self.runner.run(request, report, lambda: self._isCancelled)

        with self._running():
            table = self._labelTable(model)
            volume, export = editedScan(before, after, table, marginMm, run, seam)
        self._checkStillThere(segmentationBefore, segmentationNode, outputVolume, scan)
        if outputVolume is None:
            name = slicer.mrmlScene.GenerateUniqueName(f"{scan.GetName()} edited, synthetic")
            outputVolume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
        self.putVolumes(after, outputVolume, [volume], [seed], export)
        shown, made = scan.GetScalarVolumeDisplayNode(), outputVolume.GetScalarVolumeDisplayNode()
        if shown is not None:
            made.SetWindowLevel(shown.GetWindow(), shown.GetLevel())
        return outputVolume

    def differenceOfEdit(self, editedVolume, scan) -> vtkMRMLScalarVolumeNode:
        """The volume node with an edited scan minus the scan; ValueError on other grids."""
        return differenceOfEdit(editedVolume, scan)

    def rememberSegments(self, segmentationNode):
        """A hidden copy of a segmentation as it is now, for `editInPlace` after later edits."""
        return rememberSegments(segmentationNode)

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
        record = self.provenance(volumeNode)
        name = volumeNode.GetName()
        if not self.isMadeHere(volumeNode):
            raise ValueError(f"{name!r} is not a synthetic volume: it carries no record.")
        source = sourceOfVolume(volumeNode, record)
        card = self.models(isReadAgain=True).get(record["Model"])
        if card is None or card.sha256 != record["ModelSHA256"]:
            found = "it is not installed" if card is None else f"installed is {card.sha256[:8]}"
            raise ValueError(
                f"{name!r} was made by the model {record['Model']!r} with the SHA-256 "
                f"{record['ModelSHA256'][:8]}..., but {found}. Install that model."
            )
        if source.labelMapExport().label_map.sha256() != record["LabelMapSHA256"]:
            raise ValueError(
                f"{name!r} cannot be made again: since then the segmentation "
                f"{source.segmentationNode.GetName()!r}, or the grid that it was put on, changed. "
                "Undo the edits, or press Synthesize for a volume of what is there now."
            )
        return self._synthesizeFrom(
            source,
            outputVolume,
            record["Model"],
            device,
            [int(record["Seed"])],
            float(record["NoiseStrength"]),
            progressCallback,
            logCallback,
            float(record.get("NoiseLengthScale", "1.0")),
            ManySamples.SEQUENCE,
            OutputStyle(intensitiesOf(record)),
        )

    # Comparison

    def compare(self, syntheticVolume, realVolume) -> Comparison:
        """Figures, difference volume, table and plot by segment of a synthetic volume and a scan.

        `cancel`, called meanwhile, ends it with SynthesisCancelledError. Raises ValueError when the
        volume is not synthetic, or its model or segmentation is gone, RuntimeError while something
        else runs. Whatever is raised, the scene is as it was before.
        """
        self._checkIsFree()
        record = self.provenance(syntheticVolume)
        if not self.isMadeHere(syntheticVolume):
            name = syntheticVolume.GetName()
            raise ValueError(f"{name!r} is not a synthetic volume: it carries no record.")
        card = self.models(isReadAgain=True).get(record["Model"])
        if card is None:
            raise ValueError(
                f"The model {record['Model']!r} is not installed; its window and labels are needed."
            )
        source = sourceOfVolume(syntheticVolume, record)
        with self._running():
            return compareVolumes(
                syntheticVolume, realVolume, source, card, record, lambda: self._isCancelled
            )

    def cancel(self) -> None:
        """End the running synthesis or comparison; without one nothing happens."""
        self._isCancelled = True

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
        return {"Model", "Segments"} <= record.keys() and "EditedInPlace" not in record

    def updateRecord(self, volumeNode, provenance: Mapping[str, str]) -> None:
        """Renew how a synthetic volume was made, after its voxels were changed."""
        from AnatoMaskGANLib.mrml import update_record

        update_record(volumeNode, provenance)

    def sourceOf(self, parameterNode: AnatoMaskGANParameterNode) -> VolumeSource:
        """What the panel's settings say a volume is to be made from."""
        return VolumeSource(
            parameterNode.inputSegmentation,
            parameterNode.referenceVolume,
            self.takenSegmentIDs(parameterNode),
            dict(parameterNode.userLabels.items()),
            parameterNode.unmatched.value,
        )

    def checkOutput(self, outputVolume) -> None:
        """Raises ValueError for a node that must not be filled; None is a new volume."""
        from AnatoMaskGANLib.mrml import is_synthetic

        if outputVolume is None:
            return
        if not outputVolume.IsA("vtkMRMLScalarVolumeNode"):
            kind = outputVolume.GetClassName()
            raise ValueError(f"Expected a scalar volume node, got a {kind}.")
        if outputVolume.GetImageData() and not is_synthetic(outputVolume):
            raise ValueError(
                f"The output volume {outputVolume.GetName()!r} holds an image that was not "
                "synthesized; it would be lost. Select another output volume, or a new one."
            )

    def _checkedSamples(self, samples: int) -> int:
        if not (isinstance(samples, int) and 1 <= samples <= MOST_SAMPLES):
            raise ValueError(f"samples is {samples!r}; expected 1 to {MOST_SAMPLES}.")
        return samples

    def _checkRequest(self, source: VolumeSource, outputVolume) -> None:
        """Raises for whatever can be refused before the segmentation is read."""
        node, reference = source.segmentationNode, source.referenceVolume
        self._checkIsFree()
        if node is None or not node.IsA("vtkMRMLSegmentationNode"):
            raise ValueError(f"Expected a segmentation node, got {node}. Select one.")
        if source.unmatched not in {choice.value for choice in UnmatchedSegments}:
            raise ValueError(f"unmatched is {source.unmatched!r}; expected 'stop' or 'background'.")
        if reference is not None and not reference.IsA("vtkMRMLScalarVolumeNode"):
            raise ValueError(f"Expected a scalar volume node, got a {reference.GetClassName()}.")
        self.checkOutput(outputVolume)

    def _checkIsFree(self) -> None:
        if self._isRunning:
            raise RuntimeError("A synthesis is running already. Wait for it, or cancel it.")

    def _noteWhatIsLost(
        self, export, request: SynthesisRequest, note: Callable[[str], None]
    ) -> None:
        from AnatoMaskGANLib.volumes import match_labels

        if export.empty_segments:
            names = ", ".join(export.empty_segments)
            note(_("Segments without a voxel on this grid: {names}.").format(names=names))
        if export.num_overlapping_voxels:
            text = _("In {count} voxels segments overlap; there the last in the list counts.")
            note(text.format(count=export.num_overlapping_voxels))
        table = self._labelTable(request.model)
        matches = match_labels(request.labelMap, table, request.userTable)
        dropped = [match.name for match in matches if match.rule == "unmatched"]
        if dropped and request.unmatched == UnmatchedSegments.BACKGROUND.value:
            note(_("Dropped to background: {names}.").format(names=", ".join(dropped)))

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
