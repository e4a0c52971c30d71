"""The logic: everything that the panel can do, for scripts as well."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import slicer
from slicer import vtkMRMLScalarVolumeNode
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

from . import packages, sample_data
from .parameter_node import (
    DEFAULT_MODEL,
    MOST_SAMPLES,
    AnatoMaskGANParameterNode,
    SegmentChoice,
    UnmatchedSegments,
)


@dataclass(frozen=True)
class SegmentMatch:
    """A row of the label table."""

    segmentID: str
    segmentName: str
    color: tuple[float, float, float]
    modelLabel: str
    """Empty for background and for unmatched segments."""
    rule: str
    isTaken: bool = True
    """Whether the segment takes part in the synthesis."""

    @property
    def isUnmatched(self) -> bool:
        return self.rule == "unmatched" and self.isTaken

    @property
    def ruleText(self) -> str:
        texts = {
            "code": _("terminology"),
            "name": _("name"),
            "alias": _("alias"),
            "value": _("label value"),
            "user": _("your choice"),
            "unmatched": _("unmatched"),
        }
        return texts[self.rule]


class AnatoMaskGANLogic(ScriptedLoadableModuleLogic):
    """Everything that the panel can do, for scripts as well: no window and no dialog is needed.

    logic = AnatoMaskGAN.AnatoMaskGANLogic()
    volumeNode = logic.synthesize(segmentationNode, seed=3)
    """

    def __init__(self) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        self._cards = {}
        self._synthesizer = None
        self._synthesizerKey = None
        self._isRunning = False
        self._isCancelled = False

    def getParameterNode(self) -> AnatoMaskGANParameterNode:
        return AnatoMaskGANParameterNode(super().getParameterNode())

    # Packages

    def missingPackages(self) -> list[str]:
        """The import names of what has to be installed before the core can be used."""
        return packages.missingPackages()

    def installPackages(self) -> None:
        """Install what is missing; Slicer asks the user before. Call it on the user's wish only.

        Raises RuntimeError when PyTorch cannot be installed or the user declined.
        """
        packages.installPackages()

    # Models and labels

    def models(self, isReadAgain: bool = False) -> dict[str, Any]:
        """Name to card (the core's `ModelCard`) of the bundled and the installed models."""
        from AnatoMaskGANLib.synthesis import list_models

        if isReadAgain or not self._cards:
            self._cards = {card.name: card for card in list_models()}
        return self._cards

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
        from AnatoMaskGANLib.mrml import label_map_of_entries, segment_entries, user_table
        from AnatoMaskGANLib.volumes import match_labels

        entries = segment_entries(segmentationNode, segmentIDs)
        if not entries:
            return []
        userTable = user_table(entries, labels or {})
        matches = match_labels(label_map_of_entries(entries), self._labelTable(model), userTable)
        byValue = {match.value: match for match in matches}
        rows = []
        for entry in entries:
            match = byValue[entry.label_value]
            isTaken = takenIDs is None or entry.segment_id in takenIDs
            row = (entry.segment_id, entry.name, entry.color, match.model_name, match.rule, isTaken)
            rows.append(SegmentMatch(*row))
        return rows

    def takenSegmentIDs(self, parameterNode: AnatoMaskGANParameterNode) -> list[str] | None:
        """IDs of the segments that the panel's choice takes; None for all of them."""
        segmentationNode = parameterNode.inputSegmentation
        segmentIDs = list(segmentationNode.GetSegmentation().GetSegmentIDs())
        if parameterNode.segmentChoice is SegmentChoice.VISIBLE:
            display = segmentationNode.GetDisplayNode()
            return [i for i in segmentIDs if display is None or display.GetSegmentVisibility(i)]
        if parameterNode.segmentChoice is SegmentChoice.CHOSEN:
            leftOut = set(parameterNode.leftOutSegments)
            return [segmentID for segmentID in segmentIDs if segmentID not in leftOut]
        return None

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
    ) -> vtkMRMLScalarVolumeNode:
        """The volume node with the synthetic scan, on exactly the reference volume's grid.

        Without a reference volume the grid is the segmentation's own; without an output volume a
        new one is made. Several samples (seeds seed, seed + 1, ...) become a sequence that the
        output volume shows one by one. unmatched: "stop" raises for segments that the model does
        not know, "background" drops them. labels: segment name -> label of the model that replaces
        the matching rules, "" for background. progressCallback gets the done share in [0,1] and
        what is being done; `cancel` called from it ends the run with SynthesisCancelledError.
        Whatever is raised, the scene is as it was before.
        """
        from AnatoMaskGANLib import mrml

        self._checkRequest(segmentationNode, outputVolume, referenceVolume, samples, unmatched)
        report = progressCallback or (lambda share, text: None)
        note = logCallback or logging.info
        self._isRunning, self._isCancelled = True, False
        try:
            report(0.0, _("Reading the segments"))
            export = mrml.label_map_from_segmentation(segmentationNode, referenceVolume, segmentIDs)
            self._noteWhatIsLost(export, note)
            seeds = [seed + number for number in range(samples)]
            options = {
                "noise_strength": noiseStrength,
                "unmatched": unmatched,
                "user_table": mrml.user_table(export.entries, labels or {}),
            }
            volumes = self._synthesizeVolumes(
                export.label_map, model, device, seeds, options, report, note
            )
        finally:
            self._isRunning = False
        for node in (segmentationNode, outputVolume, referenceVolume):
            if node is not None and node.GetScene() is None:
                raise RuntimeError(
                    f"{node.GetName()!r} was removed while the synthesis ran, so its result has no "
                    "place. Nothing was changed; start again."
                )
        name = segmentationNode.GetName()
        if outputVolume is None:
            outputVolume = slicer.mrmlScene.AddNewNodeByClass(
                "vtkMRMLScalarVolumeNode", slicer.mrmlScene.GenerateUniqueName(f"{name} synthetic")
            )
        elif "synthetic" not in outputVolume.GetName().lower():
            outputVolume.SetName(f"{outputVolume.GetName()} (synthetic)")
        attributes = {"Segmentation": name}
        mrml.update_volume_samples(outputVolume, volumes, seeds, export.grid, attributes)
        mrml.place_beside(outputVolume, segmentationNode)
        return outputVolume

    def cancel(self) -> None:
        """End the running synthesis at its next slice; without one nothing happens."""
        self._isCancelled = True

    def provenance(self, volumeNode) -> dict[str, str]:
        """How a synthetic volume was made; empty for any other volume."""
        from AnatoMaskGANLib.mrml import provenance_of

        return provenance_of(volumeNode)

    def _checkRequest(
        self, segmentationNode, outputVolume, referenceVolume, samples, unmatched
    ) -> None:
        """Raises for whatever can be refused before the segmentation is read."""
        from AnatoMaskGANLib.mrml import is_synthetic

        if self._isRunning:
            raise RuntimeError("A synthesis is running already. Wait for it, or cancel it.")
        if segmentationNode is None or not segmentationNode.IsA("vtkMRMLSegmentationNode"):
            raise ValueError(f"Expected a segmentation node, got {segmentationNode}. Select one.")
        if not (isinstance(samples, int) and 1 <= samples <= MOST_SAMPLES):
            raise ValueError(f"samples is {samples!r}; expected 1 to {MOST_SAMPLES}.")
        if unmatched not in {choice.value for choice in UnmatchedSegments}:
            raise ValueError(f"unmatched is {unmatched!r}; expected 'stop' or 'background'.")
        for node in (outputVolume, referenceVolume):
            if node is not None and not node.IsA("vtkMRMLScalarVolumeNode"):
                raise ValueError(f"Expected a scalar volume node, got a {node.GetClassName()}.")
        if (
            outputVolume is not None
            and outputVolume.GetImageData()
            and not is_synthetic(outputVolume)
        ):
            raise ValueError(
                f"The output volume {outputVolume.GetName()!r} holds an image that was not "
                "synthesized; it would be lost. Select another output volume, or a new one."
            )

    def _noteWhatIsLost(self, export, note: Callable[[str], None]) -> None:
        if export.empty_segments:
            names = ", ".join(export.empty_segments)
            note(_("Segments without a voxel on this grid: {names}.").format(names=names))
        if export.num_overlapping_voxels:
            text = _("In {count} voxels segments overlap; there the last in the list counts.")
            note(text.format(count=export.num_overlapping_voxels))

    def _synthesizeVolumes(
        self, labelMap, model: str, device: str, seeds: Sequence[int], options, report, note
    ) -> list[Any]:
        """One core `Volume` a seed. The only place that runs a model: a worker can take it over."""
        from AnatoMaskGANLib.synthesis import Synthesizer

        report(0.0, _("Loading the model"))
        if self._synthesizerKey != (model, device):
            self._synthesizer = Synthesizer.from_checkpoint(model, device)
            self._synthesizerKey = (model, device)
        matches = self._synthesizer.match(labelMap, options["user_table"])
        dropped = [match.name for match in matches if match.rule == "unmatched"]
        if dropped and options["unmatched"] == UnmatchedSegments.BACKGROUND.value:
            note(_("Dropped to background: {names}.").format(names=", ".join(dropped)))
        volumes = []
        for number, seed in enumerate(seeds):

            def onProgress(share: float, text: str, number: int = number) -> None:
                prefix = f"{number + 1}/{len(seeds)}: " if len(seeds) > 1 else ""
                report((number + share) / len(seeds), prefix + text)

            volume = self._synthesizer.synthesize(
                labelMap,
                seed=seed,
                on_progress=onProgress,
                is_cancelled=lambda: self._isCancelled,
                **options,
            )
            volumes.append(volume)
        return volumes

    # Sample data

    def loadSampleData(self) -> tuple[Any, Any]:
        """The bundled brain: its segmentation node, with named segments, and its real T1 volume."""
        return sample_data.loadSampleData()
