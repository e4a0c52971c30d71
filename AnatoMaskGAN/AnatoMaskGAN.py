"""The Slicer module: a segmentation node in, a synthetic volume node on the same grid out.

Everything that knows Qt is here; what the module does is in `AnatoMaskGANLogic`, which needs no
window. The core is imported inside methods, after the packages were checked, so that the module
loads in a Slicer without PyTorch.
"""

import contextlib
import enum
import importlib.util
import json
import logging
import pathlib
import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import qt
import slicer
import vtk
from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

MODULE_FOLDER = pathlib.Path(__file__).resolve().parent
if importlib.util.find_spec("AnatoMaskGANLib") is None:  # run from the source tree
    sys.path.append(str(MODULE_FOLDER.parent))

DEFAULT_MODEL = "brain-t1"
LARGEST_SEED = 2**31 - 1
MOST_SAMPLES = 100
# What synthesis needs and Slicer does not bring: import name, and what a user reads of it.
PACKAGES = {"torch": "PyTorch (up to 3 GB)", "safetensors": "safetensors (1 MB)"}
SAMPLE_FOLDER = "SampleData/brain-t1-sub-19"
SAMPLE_NAME = "AnatoMaskGANBrainT1"


def resourceFile(filename: str) -> str:
    """Path of a resource: beside this file when installed, one folder up in the source tree."""
    for folder in (MODULE_FOLDER, MODULE_FOLDER.parent):
        if (folder / "Resources").is_dir():
            return str(folder / "Resources" / filename)
    raise FileNotFoundError(
        f"There is no folder Resources in {MODULE_FOLDER} or {MODULE_FOLDER.parent}. Install the "
        "extension again."
    )


class AnatoMaskGAN(ScriptedLoadableModule):
    def __init__(self, parent) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = "AnatoMaskGAN"
        self.parent.categories = ["Image Synthesis"]
        self.parent.dependencies = ["Segmentations", "SubjectHierarchy", "Volumes"]
        self.parent.contributors = ["The AnatoMaskGAN for 3D Slicer contributors"]
        self.parent.helpText = _(
            "Paint anatomy, get a scan. Select a segmentation and press <b>Synthesize</b>: the "
            "module makes a synthetic volume on exactly the same grid. Another seed gives another "
            "variant of the same anatomy.<p>For research, never for diagnosis: every volume is "
            "marked as synthetic, with the model, the seed and the label map that made it.</p>"
        )
        self.parent.acknowledgementText = _(
            "After the paper <i>AnatoMaskGAN: GNN-Driven Slice Feature Fusion and Noise "
            "Augmentation for Medical Semantic Image Synthesis</i>; an independent implementation. "
            "The bundled model and sample come from the OASIS-TRT-20 subjects of Mindboggle-101 "
            "(CC BY-NC-SA 3.0)."
        )
        self.parent.icon = qt.QIcon(self.resourcePath(f"Icons/{self.moduleName}.png"))
        slicer.app.connect("startupCompleted()", registerSampleData)

    def resourcePath(self, filename: str) -> str:
        return resourceFile(filename)


def registerSampleData() -> None:
    """List the bundled brain and its labels in the Sample Data module."""
    import SampleData

    files = [pathlib.Path(resourceFile(SAMPLE_FOLDER)) / n for n in ("seg.nii.gz", "image.nii.gz")]
    if not all(file.is_file() for file in files):
        logging.warning(f"AnatoMaskGAN: no sample data, because {files[0].parent} is not whole")
        return
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category="AnatoMaskGAN",
        sampleName=SAMPLE_NAME,
        uris=[file.as_uri() for file in files],
        fileNames=[f"{files[0].parent.name}-{file.name}" for file in files],
        nodeNames=["Brain labels", "Brain T1"],
        loadFileType=["SegmentationFile", "VolumeFile"],
        thumbnailFileName=resourceFile(f"Icons/{SAMPLE_NAME}.png"),
        customDownloader=lambda source=None: AnatoMaskGANLogic().loadSampleData(),
    )


class UnmatchedSegments(enum.Enum):
    """What becomes of segments that the model does not know."""

    STOP = "stop"
    BACKGROUND = "background"

    def label(self) -> str:
        if self is UnmatchedSegments.STOP:
            return _("Stop until each has a model label")
        return _("Drop them to background")


class Device(enum.Enum):
    """Where the network runs."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    MPS = "mps"

    def label(self) -> str:
        return {
            Device.AUTO: _("Automatic (GPU if there is one)"),
            Device.CPU: _("CPU"),
            Device.CUDA: _("NVIDIA GPU (CUDA)"),
            Device.MPS: _("Apple GPU (MPS)"),
        }[self]


@parameterNodeWrapper
class AnatoMaskGANParameterNode:
    """What the panel shows; saved with the scene."""

    inputSegmentation: vtkMRMLSegmentationNode
    # gives the output its grid; none: the segmentation's own
    referenceVolume: vtkMRMLScalarVolumeNode
    # none: a new volume, which is then selected
    outputVolume: vtkMRMLScalarVolumeNode
    model: str = DEFAULT_MODEL
    # segment name -> model label that the user chose; "" is background
    userLabels: dict[str, str]
    unmatched: UnmatchedSegments = UnmatchedSegments.STOP
    seed: Annotated[int, WithinRange(0, LARGEST_SEED)] = 0
    # with the seeds seed, seed + 1, ...
    samples: Annotated[int, WithinRange(1, MOST_SAMPLES)] = 1
    # 0 gives the one deterministic image
    noiseStrength: Annotated[float, WithinRange(0.0, 2.0)] = 1.0
    device: Device = Device.AUTO


class AnatoMaskGANWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel: it shows the parameter node, the label table and the state of the run."""

    COLUMN_SEGMENT, COLUMN_LABEL, COLUMN_RULE = range(3)
    WARNING_COLOR = "#d2691e"
    UPDATE_DELAY_MS = 50

    def __init__(self, parent=None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self._parameterNode = None
        self._parameterNodeGuiTag = None
        self._observedSegmentation = None
        self._matches = []
        self._tableContent = None
        self._shownProblem = None
        self._isRunning = False
        self._startTime = 0.0

    def resourcePath(self, filename: str) -> str:
        return resourceFile(filename)

    def setup(self) -> None:
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/AnatoMaskGAN.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = AnatoMaskGANLogic()

        # Segments often arrive one by one: the panel follows shortly after the last of them.
        self._updateTimer = qt.QTimer()
        self._updateTimer.setSingleShot(True)
        self._updateTimer.setInterval(self.UPDATE_DELAY_MS)
        self._updateTimer.timeout.connect(self.updateFromScene)

        header = self.ui.labelTable.horizontalHeader()
        header.setSectionResizeMode(self.COLUMN_SEGMENT, qt.QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(self.COLUMN_LABEL, qt.QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(self.COLUMN_RULE, qt.QHeaderView.ResizeMode.ResizeToContents)
        self.ui.progressBar.setVisible(False)
        self.ui.provenanceLabel.setVisible(False)

        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(scene, scene.EndImportEvent, self.onSceneEndClose)
        self.addObserver(scene, scene.NodeAddedEvent, self.onNodeAddedOrRemoved)
        self.addObserver(scene, scene.NodeRemovedEvent, self.onNodeAddedOrRemoved)
        self.ui.installButton.clicked.connect(self.onInstall)
        self.ui.sampleDataButton.clicked.connect(self.onLoadSampleData)
        self.ui.modelComboBox.currentIndexChanged.connect(self.onModelSelected)
        self.ui.labelTable.cellDoubleClicked.connect(self.onLabelCellDoubleClicked)
        self.ui.diceButton.clicked.connect(self.onDice)
        self.ui.synthesizeButton.clicked.connect(self.onSynthesize)
        self.ui.cancelButton.clicked.connect(self.onCancel)
        self.ui.showSegmentsCheckBox.toggled.connect(self.onShowSegments)

    def cleanup(self) -> None:
        self.logic.cancel()
        self.setParameterNode(None)
        self.removeObservers()

    def enter(self) -> None:
        self.updatePackages()
        self.initializeParameterNode()

    def onReload(self) -> None:
        """Run the module and the core from their files again."""
        for name in [name for name in sys.modules if name.split(".")[0] == "AnatoMaskGANLib"]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    # Scene and parameter node

    def onSceneStartClose(self, caller=None, event=None) -> None:
        self.logic.cancel()
        self.setParameterNode(None)

    def onSceneEndClose(self, caller=None, event=None) -> None:
        self.initializeParameterNode()

    def onNodeAddedOrRemoved(self, caller=None, event=None) -> None:
        self._updateTimer.start()

    def initializeParameterNode(self) -> None:
        self.setParameterNode(self.logic.getParameterNode())
        if self._parameterNode.inputSegmentation is None:
            first = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
            if first is not None:
                self._parameterNode.inputSegmentation = first

    def setParameterNode(self, parameterNode) -> None:
        modified = vtk.vtkCommand.ModifiedEvent
        if self._parameterNode is not None:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self.removeObserver(self._parameterNode, modified, self.onParameterNodeModified)
        self._parameterNode = parameterNode
        if parameterNode is not None:
            self._parameterNodeGuiTag = parameterNode.connectGui(self.ui)
            self.addObserver(parameterNode, modified, self.onParameterNodeModified)
        self.updateFromScene()

    def onParameterNodeModified(self, caller=None, event=None) -> None:
        self._updateTimer.start()

    def _observeSegments(self, segmentation) -> None:
        """Follow the segments of one vtkSegmentation: its node does not tell of them."""
        if segmentation is self._observedSegmentation:
            return
        for event in (
            slicer.vtkSegmentation.SegmentAdded,
            slicer.vtkSegmentation.SegmentRemoved,
            slicer.vtkSegmentation.SegmentModified,
            slicer.vtkSegmentation.SegmentsOrderModified,
        ):
            if self._observedSegmentation is not None:
                self.removeObserver(self._observedSegmentation, event, self.onSegmentsChanged)
            if segmentation is not None:
                self.addObserver(segmentation, event, self.onSegmentsChanged)
        self._observedSegmentation = segmentation

    def onSegmentsChanged(self, caller=None, event=None) -> None:
        self._updateTimer.start()

    # What the panel shows

    def updateFromScene(self) -> None:
        """Bring models, label table and buttons up to date with the parameter node."""
        self._updateTimer.stop()
        node = self._parameterNode.inputSegmentation if self._parameterNode is not None else None
        self._observeSegments(node.GetSegmentation() if node is not None else None)
        count = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")
        self.ui.sampleDataButton.setVisible(count == 0)
        displayNode = node.GetDisplayNode() if node is not None else None
        self.ui.showSegmentsCheckBox.setEnabled(displayNode is not None)
        if displayNode is not None:
            self.ui.showSegmentsCheckBox.setChecked(bool(displayNode.GetVisibility()))
        self.updateModelInfo()
        self.updateLabelTable()
        self.updateButtons()

    def updatePackages(self) -> None:
        """Show what has to be installed, or list the models."""
        missing = self.logic.missingPackages()
        self.ui.packagesFrame.setVisible(bool(missing))
        names = ", ".join(PACKAGES[name] for name in missing)
        text = _("Synthesis needs packages that this Slicer does not have: {names}.")
        self.ui.packagesLabel.setText(text.format(names=names))
        names = [] if missing else list(self.logic.models(isReadAgain=True))
        comboBox = self.ui.modelComboBox
        if [comboBox.itemText(index) for index in range(comboBox.count)] != names:
            wasBlocked = comboBox.blockSignals(True)
            comboBox.clear()
            comboBox.addItems(names)
            comboBox.blockSignals(wasBlocked)

    def onModelSelected(self) -> None:
        if self._parameterNode is not None and self.ui.modelComboBox.currentIndex >= 0:
            self._parameterNode.model = self.ui.modelComboBox.currentText

    def _selectedCard(self):
        """The card of the parameter node's model; None when there is none or no package."""
        if self._parameterNode is None or self.logic.missingPackages():
            return None
        return self.logic.models().get(self._parameterNode.model)

    def updateModelInfo(self) -> None:
        card = self._selectedCard()
        wasBlocked = self.ui.modelComboBox.blockSignals(True)
        index = self.ui.modelComboBox.findText(card.name) if card is not None else -1
        self.ui.modelComboBox.setCurrentIndex(index)
        self.ui.modelComboBox.blockSignals(wasBlocked)
        self.ui.modelInfoLabel.setVisible(card is not None)
        if card is not None:
            self.ui.modelInfoLabel.setText(f"{card.description} {card.licence}.")
            toolTip = f"<p>{card.training_data}</p><p><b>Not for:</b> {card.not_for}</p>"
            self.ui.modelInfoLabel.setToolTip(toolTip)

    def updateLabelTable(self) -> None:
        """One row a segment: the model's label for it and by which rule, unmatched ones marked."""
        node = self._parameterNode.inputSegmentation if self._parameterNode is not None else None
        card = self._selectedCard()
        self._matches = []
        if node is not None and card is not None:
            userLabels = dict(self._parameterNode.userLabels.items())
            self._matches = self.logic.matchSegments(node, card.name, userLabels)
        content = (card.name if card is not None else None, self._matches)
        if content != self._tableContent:
            self._tableContent = content
            self._fillLabelTable()
        self._showLabelSummary()

    def _fillLabelTable(self) -> None:
        table = self.ui.labelTable
        table.clearContents()
        table.setRowCount(len(self._matches))
        for row, match in enumerate(self._matches):
            swatch = qt.QPixmap(12, 12)
            swatch.fill(qt.QColor.fromRgbF(*match.color))
            segmentItem = qt.QTableWidgetItem(match.segmentName)
            segmentItem.setIcon(qt.QIcon(swatch))
            segmentItem.setToolTip(match.segmentName)
            labelItem = qt.QTableWidgetItem(match.modelLabel)
            labelItem.setToolTip(_("Double-click to choose another label of the model"))
            ruleItem = qt.QTableWidgetItem(match.ruleText)
            if match.isUnmatched:
                for item in (segmentItem, ruleItem):
                    item.setForeground(qt.QBrush(qt.QColor(self.WARNING_COLOR)))
            table.setItem(row, self.COLUMN_SEGMENT, segmentItem)
            table.setItem(row, self.COLUMN_LABEL, labelItem)
            table.setItem(row, self.COLUMN_RULE, ruleItem)
            if match.isUnmatched or match.rule == "user":
                self._addLabelChooser(row)

    def onLabelCellDoubleClicked(self, row: int, column: int) -> None:
        self._addLabelChooser(row)

    def _addLabelChooser(self, row: int) -> None:
        """Let the user choose the model's label of the segment in this row."""
        match = self._matches[row]
        modelLabels = self.logic.modelLabels(self._parameterNode.model)
        chooser = qt.QComboBox()
        chooser.addItem(_("Choose a label...") if match.isUnmatched else _("By the rules"))
        chooser.addItem(_("Background"))
        chooser.addItems(modelLabels)
        if match.modelLabel in modelLabels:
            chooser.setCurrentIndex(modelLabels.index(match.modelLabel) + 2)
        elif match.rule == "user":
            chooser.setCurrentIndex(1)

        def onChosen() -> None:
            index = chooser.currentIndex
            label = None if index == 0 else "" if index == 1 else modelLabels[index - 2]
            self.onLabelChosen(match.segmentName, label)

        chooser.activated.connect(onChosen)
        self.ui.labelTable.setCellWidget(row, self.COLUMN_LABEL, chooser)

    def onLabelChosen(self, segmentName: str, modelLabel: str | None) -> None:
        """modelLabel: "" is background, None leaves the segment to the rules."""
        labels = dict(self._parameterNode.userLabels.items())
        labels.pop(segmentName, None)
        if modelLabel is not None:
            labels[segmentName] = modelLabel
        self._parameterNode.userLabels = labels

    def _unmatchedNames(self) -> list[str]:
        return [match.segmentName for match in self._matches if match.isUnmatched]

    def _showLabelSummary(self) -> None:
        unmatched, count = self._unmatchedNames(), len(self._matches)
        if not self._matches:
            text = _("Each segment and the label of the model that it becomes.")
        elif not unmatched:
            text = _("All {count} segments are matched.").format(count=count)
        else:
            text = _("<b>{missing} of {count} segments are unknown to this model:</b> {names}")
            text = text.format(missing=len(unmatched), count=count, names=", ".join(unmatched))
            text = f'<span style="color:{self.WARNING_COLOR}">{text}</span>'
        self.ui.labelSummaryLabel.setText(text)
        self.ui.unmatchedWidget.setVisible(bool(unmatched))

    def updateButtons(self) -> None:
        """Let Synthesize be pressed when it can work, else say what is missing."""
        problem = self._problem()
        self.ui.synthesizeButton.setEnabled(problem is None and not self._isRunning)
        self.ui.synthesizeButton.setToolTip(problem or _("Make a synthetic volume"))
        self.ui.cancelButton.setEnabled(self._isRunning)
        for section in (
            self.ui.inputsCollapsibleButton,
            self.ui.labelsCollapsibleButton,
            self.ui.samplingCollapsibleButton,
            self.ui.outputCollapsibleButton,
        ):
            section.setEnabled(not self._isRunning)
        if problem != self._shownProblem and not self._isRunning:
            self._showStatus(problem or "")
            self._shownProblem = problem

    def _problem(self) -> str | None:
        """Why the synthesis cannot start, in words for the user; None when it can."""
        if self._parameterNode is None:
            return _("The scene is closing.")
        if self.logic.missingPackages():
            return _("Install the missing packages first.")
        if self._selectedCard() is None:
            return _("Select a model.")
        if self._parameterNode.inputSegmentation is None:
            return _("Select a segmentation.")
        if not self._matches:
            return _("The segmentation has no segments yet.")
        unmatched = self._unmatchedNames()
        if len(unmatched) == len(self._matches):
            return _("No segment is known to this model: choose labels in the table.")
        if unmatched and self._parameterNode.unmatched is UnmatchedSegments.STOP:
            return _("Decide on the unmatched segments: choose labels, or drop them to background.")
        return None

    def _showStatus(self, text: str, isWarning: bool = False) -> None:
        self.ui.statusLabel.setStyleSheet(f"color: {self.WARNING_COLOR}" if isWarning else "")
        self.ui.statusLabel.setText(text)

    # Actions

    @contextlib.contextmanager
    def _errorsShown(self, message: str) -> Iterator[None]:
        """Show an error in Slicer's dialog, and keep it in sight in the panel."""
        try:
            with slicer.util.tryWithErrorDisplay(message):
                yield
        except Exception as error:
            logging.debug(message, exc_info=True)
            self._showStatus(str(error), isWarning=True)

    def onInstall(self) -> None:
        with self._errorsShown(_("The packages could not be installed.")):
            self.logic.installPackages()
            self.updatePackages()
            self.updateFromScene()

    def onLoadSampleData(self) -> None:
        with self._errorsShown(_("The sample data could not be loaded.")):
            segmentationNode, volumeNode = self.logic.loadSampleData()
            self._parameterNode.inputSegmentation = segmentationNode
            self._parameterNode.referenceVolume = volumeNode
            slicer.util.setSliceViewerLayers(background=volumeNode, fit=True)

    def onDice(self) -> None:
        self._parameterNode.seed = random.randrange(LARGEST_SEED)

    def onShowSegments(self, isShown: bool) -> None:
        segmentationNode = self._parameterNode.inputSegmentation
        if segmentationNode is not None and segmentationNode.GetDisplayNode() is not None:
            segmentationNode.GetDisplayNode().SetVisibility(isShown)

    def onCancel(self) -> None:
        self._showStatus(_("Cancelling..."))
        self.logic.cancel()

    def onSynthesize(self) -> None:
        self._setRunning(True)
        with self._errorsShown(_("The synthesis failed.")):
            try:
                self._synthesize()
            finally:
                self._setRunning(False)

    def _synthesize(self) -> None:
        from AnatoMaskGANLib.synthesis import SynthesisCancelledError

        parameters, notes = self._parameterNode, []
        isNewVolume = parameters.outputVolume is None
        self._startTime = time.monotonic()
        try:
            output = self.logic.synthesize(
                parameters.inputSegmentation,
                outputVolume=parameters.outputVolume,
                referenceVolume=parameters.referenceVolume,
                model=parameters.model,
                seed=parameters.seed,
                samples=parameters.samples,
                noiseStrength=parameters.noiseStrength,
                device=parameters.device.value,
                unmatched=parameters.unmatched.value,
                labels=dict(parameters.userLabels.items()),
                progressCallback=self.onProgress,
                logCallback=notes.append,
            )
        except SynthesisCancelledError:
            self._showStatus(_("Cancelled; nothing was changed."))
            return
        parameters.outputVolume = output
        self._showDone(output, notes)
        slicer.util.setSliceViewerLayers(background=output, fit=isNewVolume)
        if isNewVolume:  # or the segments would hide what was just made of them
            self.ui.showSegmentsCheckBox.setChecked(False)

    def onProgress(self, share: float, text: str) -> None:
        """Show the progress and let the window answer; the synthesis calls this for every slice."""
        seconds = time.monotonic() - self._startTime
        self.ui.progressBar.setValue(round(100 * share))
        if share > 0.05:
            left = round(seconds * (1 - share) / share)
            text = _("{text}, about {left} s left").format(text=text, left=left)
        self.ui.statusLabel.setText(text)
        slicer.app.processEvents()

    def _setRunning(self, isRunning: bool) -> None:
        self._isRunning = isRunning
        self.ui.progressBar.setVisible(isRunning)
        if isRunning:
            self.ui.progressBar.setValue(0)
            self.ui.provenanceLabel.setVisible(False)
            self._showStatus(_("Starting..."))
        self.updateButtons()
        slicer.app.processEvents()

    def _showDone(self, output, notes: Sequence[str]) -> None:
        seconds = time.monotonic() - self._startTime
        text = _("Made '{name}' in {seconds:.1f} s.").format(name=output.GetName(), seconds=seconds)
        self._showStatus(" ".join([text, *notes]))
        record = self.logic.provenance(output)
        text = _("Synthetic, not for diagnosis. Model {model} ({hash}), seed {seed}.")
        self.ui.provenanceLabel.setText(
            text.format(
                model=record.get("Model", ""),
                hash=record.get("ModelSHA256", "")[:8],
                seed=record.get("Seed", ""),
            )
        )
        self.ui.provenanceLabel.setToolTip("<br>".join(f"{k}: {v}" for k, v in record.items()))
        self.ui.provenanceLabel.setVisible(True)


@dataclass(frozen=True)
class SegmentMatch:
    """A row of the label table."""

    segmentName: str
    color: tuple[float, float, float]
    modelLabel: str
    """Empty for background and for unmatched segments."""
    rule: str

    @property
    def isUnmatched(self) -> bool:
        return self.rule == "unmatched"

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
        return [name for name in PACKAGES if importlib.util.find_spec(name) is None]

    def installPackages(self) -> None:
        """Install what is missing; Slicer asks the user before. Call it on the user's wish only.

        Raises RuntimeError when PyTorch cannot be installed or the user declined.
        """
        if "torch" in self.missingPackages():
            try:
                import PyTorchUtils
            except ModuleNotFoundError as error:
                raise RuntimeError(
                    "PyTorch is installed by the PyTorch extension, which this Slicer does not "
                    "have. Install it in the Extensions Manager and restart Slicer."
                ) from error
            if PyTorchUtils.PyTorchUtilsLogic().installTorch(askConfirmation=True) is None:
                raise RuntimeError("PyTorch was not installed, so nothing can be synthesized yet.")
        requirements = pathlib.Path(resourceFile("requirements.txt"))
        if hasattr(slicer, "packaging"):  # Slicer 5.12 and later
            slicer.packaging.pip_ensure(requirements, prompt_install=True, requester="AnatoMaskGAN")
        else:
            slicer.util.pip_install(["-r", str(requirements)])
        importlib.invalidate_caches()

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
    ) -> list[SegmentMatch]:
        """For each segment the model's label and the rule that found it; reads no voxel.

        labels: the user's own choice, segment name -> label of the model, "" for background.
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
            rows.append(SegmentMatch(entry.name, entry.color, match.model_name, match.rule))
        return rows

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
        from AnatoMaskGANLib.mrml import name_segments
        from AnatoMaskGANLib.volumes import load_label_table

        folder = pathlib.Path(resourceFile(SAMPLE_FOLDER))
        volumeNode = slicer.util.loadVolume(str(folder / "image.nii.gz"), {"name": "Brain T1"})
        segmentationNode = slicer.util.loadSegmentation(
            str(folder / "seg.nii.gz"), {"name": "Brain labels"}
        )
        colors = json.loads(pathlib.Path(resourceFile("UI/segment-colors.json")).read_text())
        name_segments(segmentationNode, load_label_table("freesurfer-brain"), colors)
        return segmentationNode, volumeNode


class AnatoMaskGANTest(ScriptedLoadableModuleTest):
    """The way of a user on the bundled sample; it runs in Slicer and in the tests' stand-in."""

    def setUp(self) -> None:
        slicer.mrmlScene.Clear()
        missing = AnatoMaskGANLogic().missingPackages()
        if missing:
            self.skipTest(f"not installed: {', '.join(missing)}")

    def runTest(self) -> None:
        for test in (self.test_segmentationBecomesVolume, self.test_unmatchedSegmentStops):
            self.setUp()
            test()
        self.delayDisplay("All tests passed")

    def _slab(self, volumeNode) -> vtkMRMLScalarVolumeNode:
        """A reference volume of a few slices of another one, so that the test is short."""
        voxels = slicer.util.arrayFromVolume(volumeNode)[90:106]
        matrix = vtk.vtkMatrix4x4()
        volumeNode.GetIJKToRASMatrix(matrix)
        ijkToRAS = slicer.util.arrayFromVTKMatrix(matrix)
        ijkToRAS[:3, 3] += 90 * ijkToRAS[:3, 2]
        return slicer.util.addVolumeFromArray(voxels, ijkToRAS, "Slab")

    def test_segmentationBecomesVolume(self) -> None:
        self.delayDisplay("Synthesizing a few slices of the sample")
        logic = AnatoMaskGANLogic()
        segmentationNode, volumeNode = logic.loadSampleData()
        reference = self._slab(volumeNode)
        shares = []
        output = logic.synthesize(
            segmentationNode,
            referenceVolume=reference,
            seed=5,
            progressCallback=lambda share, text: shares.append(share),
        )
        compare = slicer.modules.volumes.logic().CompareVolumeGeometry
        self.assertEqual(compare(output, reference), "")
        self.assertEqual(shares, sorted(shares))
        self.assertEqual(logic.provenance(output)["Seed"], "5")
        self.assertIn("synthetic", output.GetName())
        voxels = slicer.util.arrayFromVolume(output)
        self.assertGreater(voxels.std(), 0)
        again = logic.synthesize(segmentationNode, referenceVolume=reference, seed=5)
        self.assertTrue((slicer.util.arrayFromVolume(again) == voxels).all())

    def test_unmatchedSegmentStops(self) -> None:
        self.delayDisplay("A segment that the model does not know")
        logic = AnatoMaskGANLogic()
        segmentationNode, _volumeNode = logic.loadSampleData()
        segment = segmentationNode.GetSegmentation().GetNthSegment(0)
        segment.SetName("Antenna")
        segment.SetTerminology("")
        unmatched = [m.segmentName for m in logic.matchSegments(segmentationNode) if m.isUnmatched]
        self.assertEqual(unmatched, ["Antenna"])
        numberOfNodes = slicer.mrmlScene.GetNumberOfNodes()
        with self.assertRaisesRegex(ValueError, "Antenna"):
            logic.synthesize(segmentationNode)
        self.assertEqual(slicer.mrmlScene.GetNumberOfNodes(), numberOfNodes)
