"""The Slicer module: a segmentation node in, a synthetic volume node on the same grid out.

Slicer looks for the classes of this file by their names; what they are made of is in
AnatoMaskGANModule. What the module does is in `AnatoMaskGANLogic`, which needs no window. The core
is imported inside methods, after the packages were checked, so that the module loads in a Slicer
without PyTorch.
"""

import contextlib
import functools
import importlib.util
import logging
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import qt
import slicer
import vtk
from AnatoMaskGANModule.compare_panel import ComparePanel
from AnatoMaskGANModule.edit_panel import EditPanel
from AnatoMaskGANModule.label_panel import WARNING_COLOR, LabelPanel
from AnatoMaskGANModule.live import LiveResynthesis, LiveState
from AnatoMaskGANModule.logic import AnatoMaskGANLogic
from AnatoMaskGANModule.memory_advice import memoryAdvice
from AnatoMaskGANModule.output_style import OutputStyle
from AnatoMaskGANModule.packages import Purpose, packageGroup
from AnatoMaskGANModule.parameter_node import LARGEST_SEED, OutputMode, UnmatchedSegments
from AnatoMaskGANModule.record_panel import RecordPanel
from AnatoMaskGANModule.resource_files import MODULE_FOLDER, resourceFile
from AnatoMaskGANModule.run_display import RunDisplay
from AnatoMaskGANModule.runners import ProcessRunner
from AnatoMaskGANModule.sample_data import registerSampleData
from AnatoMaskGANModule.samples_chooser import SamplesChooser
from AnatoMaskGANModule.segment_editor_section import SegmentEditorSection
from AnatoMaskGANModule.self_test import AnatoMaskGANTest  # noqa: F401  Slicer looks for it here
from AnatoMaskGANModule.view_layout import SideBySide
from AnatoMaskGANModule.work_panels import WorkPanels, addWorkSections
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModule, ScriptedLoadableModuleWidget
from slicer.util import VTKObservationMixin

OWN_PACKAGES = ("AnatoMaskGANLib", "AnatoMaskGANModule")
if importlib.util.find_spec("AnatoMaskGANLib") is None:  # run from the source tree
    sys.path.append(str(MODULE_FOLDER.parent))


class AnatoMaskGAN(ScriptedLoadableModule):
    def __init__(self, parent) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = "AnatoMaskGAN"
        self.parent.categories = ["Image Synthesis"]
        self.parent.dependencies = [
            "Segmentations",
            "Sequences",
            "SubjectHierarchy",
            "VolumeRendering",
            "Volumes",
        ]
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


class AnatoMaskGANWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel: it shows the parameter node, the label table and the state of the run."""

    UPDATE_DELAY_MS = 50
    runnerClass = ProcessRunner

    def __init__(self, parent=None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self._parameterNode = None
        self._parameterNodeGuiTag = None
        self._observedSegmentation = None
        self.labelPanel = self.editPanel = self.comparePanel = self.recordPanel = None
        self.samplesChooser = self.segmentEditor = self.workPanels = None
        self.runDisplay = self.views = self.live = None
        self._shownProblem = None
        self._isRunning = False
        self._isClosed = False

    def resourcePath(self, filename: str) -> str:
        return resourceFile(filename)

    def setup(self) -> None:
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/AnatoMaskGAN.ui"))
        addWorkSections(uiWidget)
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = AnatoMaskGANLogic(self.runnerClass())

        # Segments often arrive one by one: the panel follows shortly after the last of them.
        self._updateTimer = qt.QTimer()
        self._updateTimer.setSingleShot(True)
        self._updateTimer.setInterval(self.UPDATE_DELAY_MS)
        self._updateTimer.timeout.connect(self.updateFromScene)

        self.views = SideBySide()
        self.runDisplay = RunDisplay(self.ui)
        self.labelPanel = LabelPanel(self.ui, self.logic)
        self.workPanels = WorkPanels(
            self.ui,
            self.logic,
            self.onModelsChanged,
            self.onModelMade,
            self.onPackagesChanged,
            self._showStatus,
        )
        self.editPanel = EditPanel(self.ui, self.logic, self.views)
        self.comparePanel = ComparePanel(self.ui, self.logic, self.views)
        self.recordPanel = RecordPanel(self.ui, self.logic)
        self.samplesChooser = SamplesChooser(self.ui, self.logic)
        self.segmentEditor = SegmentEditorSection(self.ui)
        self.live = LiveResynthesis(
            self.logic, self.onLiveChanged, self.views.showVolume, self._log(_("live"))
        )
        if isinstance(self.logic.runner, ProcessRunner):
            self.logic.runner.onLog = self._log(_("synthesis"))

        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(scene, scene.EndImportEvent, self.onSceneEndClose)
        self.addObserver(scene, scene.NodeAddedEvent, self.onNodeAddedOrRemoved)
        self.addObserver(scene, scene.NodeRemovedEvent, self.onNodeAddedOrRemoved)
        self.ui.installButton.clicked.connect(self.onInstall)
        self.ui.sampleDataButton.clicked.connect(self.onLoadSampleData)
        self.ui.modelComboBox.currentIndexChanged.connect(self.onModelSelected)
        self.ui.diceButton.clicked.connect(self.onDice)
        self.ui.synthesizeButton.clicked.connect(self.onSynthesize)
        self.ui.cancelButton.clicked.connect(self.onCancel)
        self.ui.liveCheckBox.toggled.connect(self.onLiveToggled)
        self.ui.makeAgainButton.clicked.connect(self.onMakeAgain)
        self.ui.compareButton.clicked.connect(self.onCompare)
        self.ui.rememberButton.clicked.connect(self.onRememberSegments)
        self.ui.editScanButton.clicked.connect(self.onEditInPlace)
        self.ui.showBeforeButton.toggled.connect(self.editPanel.showBefore)
        self.ui.editSideBySideButton.clicked.connect(self.onEditSideBySide)
        self.ui.sideBySideButton.toggled.connect(self.comparePanel.showSideBySide)
        self.ui.plotButton.clicked.connect(self.comparePanel.showPlot)
        self.ui.renderingButton.toggled.connect(self.onShowInThreeD)
        self.ui.saveVolumeButton.clicked.connect(self.onSaveVolume)
        for button, action in (
            (self.ui.verifyModelButton, self.workPanels.models.verify),
            (self.ui.installModelButton, self.workPanels.models.install),
            (self.ui.removeModelButton, self.workPanels.models.remove),
        ):
            button.clicked.connect(functools.partial(self.onModelAction, action))
        self.ui.showSegmentsCheckBox.toggled.connect(self.onShowSegments)

    def cleanup(self) -> None:
        self._isClosed = True  # a run that is going on ends at its next look
        self._updateTimer.stop()
        self.live.stop()
        self.logic.cancel()
        self.logic.runner.close()
        self.workPanels.close()
        self.segmentEditor.close()
        self.setParameterNode(None)
        self.views.hide()
        self.removeObservers()

    def enter(self) -> None:
        self.updatePackages()
        self.initializeParameterNode()
        self.segmentEditor.enter()

    def exit(self) -> None:
        self.segmentEditor.exit()

    def onReload(self) -> None:
        """Run the module and the core from their files again."""
        for name in [name for name in sys.modules if name.split(".")[0] in OWN_PACKAGES]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    # Scene and parameter node

    def onSceneStartClose(self, caller=None, event=None) -> None:
        self.live.stop()
        self.logic.cancel()
        self.segmentEditor.forgetScene()
        self.views.hide()
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
        self.live.onEdited()

    def _observeSegments(self, segmentationNode) -> None:
        """Follow the segments, of which their node does not tell, and what of them is shown."""
        if segmentationNode is self._observedSegmentation:
            return
        for node, isObserved in ((self._observedSegmentation, False), (segmentationNode, True)):
            if node is None:
                continue
            change = self.addObserver if isObserved else self.removeObserver
            change(node, slicer.vtkMRMLDisplayableNode.DisplayModifiedEvent, self.onSegmentsChanged)
            for event in (
                slicer.vtkSegmentation.SegmentAdded,
                slicer.vtkSegmentation.SegmentRemoved,
                slicer.vtkSegmentation.SegmentModified,
                slicer.vtkSegmentation.SegmentsOrderModified,
            ):
                change(node.GetSegmentation(), event, self.onSegmentsChanged)
        self._observedSegmentation = segmentationNode

    def onSegmentsChanged(self, caller=None, event=None) -> None:
        self._updateTimer.start()
        if event == slicer.vtkMRMLDisplayableNode.DisplayModifiedEvent:
            self.live.onEdited()  # the choice may be the visible segments

    # What the panel shows

    def updateFromScene(self) -> None:
        """Bring models, label table and buttons up to date with the parameter node."""
        self._updateTimer.stop()
        if self._isClosed:
            self._observeSegments(None)
            return
        parameters = self._parameterNode
        node = parameters.inputSegmentation if parameters is not None else None
        self._observeSegments(node)
        count = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")
        self.ui.sampleDataButton.setVisible(count == 0)
        displayNode = node.GetDisplayNode() if node is not None else None
        self.ui.showSegmentsCheckBox.setEnabled(displayNode is not None)
        if displayNode is not None:
            self.ui.showSegmentsCheckBox.setChecked(bool(displayNode.GetVisibility()))
        self.updateModelInfo()
        output = parameters.outputVolume if parameters is not None else None
        card = self._selectedCard()
        self.labelPanel.update(parameters, card.name if card is not None else None)
        self.recordPanel.update(output)
        self.samplesChooser.update(output)
        self.segmentEditor.update(node, output or self._referenceVolume())
        self.editPanel.update(parameters)
        self.comparePanel.update(parameters)
        self.workPanels.update(parameters)
        self.updateAdvice()
        self.updateButtons()

    def _referenceVolume(self):
        return self._parameterNode.referenceVolume if self._parameterNode is not None else None

    def updateAdvice(self) -> None:
        """Tell where the synthesis would run, what memory it takes, and in which unit."""
        card, label = self._selectedCard(), self.ui.deviceAdviceLabel
        label.setVisible(card is not None)
        self.ui.unitLabel.setText("")
        self.ui.noiseLengthSlider.setEnabled(card is None or card.generator.use_noise3d)
        if card is None:
            return
        parameters = self._parameterNode
        advice = memoryAdvice(
            parameters.inputSegmentation,
            parameters.referenceVolume,
            card,
            parameters.device.value,
        )
        label.setText(advice.text)
        label.setStyleSheet(f"color: {WARNING_COLOR if advice.isWarning else 'gray'}")
        unit = _("Hounsfield units") if card.unit == "HU" else card.unit or _("arbitrary units")
        low, high = card.window
        text = _("The model's intensities: {low:g} to {high:g}, {unit}")
        self.ui.unitLabel.setText(text.format(low=low, high=high, unit=unit))

    def updatePackages(self) -> None:
        """Show what has to be installed, or list the models."""
        missing = self.logic.missingPackages()
        self.ui.packagesFrame.setVisible(bool(missing))
        names = packageGroup(Purpose.SYNTHESIS).missingText
        text = _("Synthesis needs packages that this Slicer does not have: {names}.")
        self.ui.packagesLabel.setText(text.format(names=names))
        names = [] if missing else list(self.logic.models(isReadAgain=True))
        comboBox = self.ui.modelComboBox
        if [comboBox.itemText(index) for index in range(comboBox.count)] != names:
            wasBlocked = comboBox.blockSignals(True)
            comboBox.clear()
            comboBox.addItems(names)
            comboBox.blockSignals(wasBlocked)
        self.ui.installModelButton.setEnabled(not missing)
        self.workPanels.models.update()

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

    def updateButtons(self) -> None:
        """Let Synthesize be pressed when it can work, else say what is missing."""
        problem = self._problem()
        isFree = not self._isRunning and not self.live.isOn
        self.ui.synthesizeButton.setEnabled(problem is None and isFree)
        tip = _("The volume follows its segments by itself") if self.live.isOn else None
        self.ui.synthesizeButton.setToolTip(
            problem or tip or _("Make a synthetic volume (Ctrl+Return)")
        )
        self.ui.liveCheckBox.setEnabled(self.live.isOn or (problem is None and isFree))
        editProblem = problem or self.editPanel.problem()
        self.ui.editScanButton.setEnabled(editProblem is None and isFree)
        self.ui.editScanButton.setToolTip(editProblem or _("Make an edited copy of the scan"))
        self.ui.rememberButton.setEnabled(problem is None)
        compareProblem = self.comparePanel.problem(self._parameterNode)
        self.ui.compareButton.setEnabled(compareProblem is None and isFree)
        self.ui.compareButton.setToolTip(compareProblem or _("Count the figures"))
        self.ui.cancelButton.setEnabled(self._isRunning)
        for section in (
            self.ui.inputsCollapsibleButton,
            self.ui.labelsCollapsibleButton,
            self.ui.samplingCollapsibleButton,
            self.ui.outputCollapsibleButton,
            self.ui.advancedCollapsibleButton,
            self.ui.editCollapsibleButton,
            self.ui.compareCollapsibleButton,
            self.ui.modelsCollapsibleButton,
            self.ui.provenanceWidget,
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
        if not self.logic.models():
            return _("There is no model: install or download one in the section Models.")
        if self._selectedCard() is None:
            return _("Select a model.")
        if self._parameterNode.inputSegmentation is None:
            return _("Select a segmentation.")
        matches, unmatched = self.labelPanel.matches, self.labelPanel.unmatchedNames
        if not matches:
            segmentation = self._parameterNode.inputSegmentation.GetSegmentation()
            if segmentation.GetNumberOfSegments() == 0:
                return _("The segmentation has no segments yet.")
            return _("No segment is taken: show or tick at least one.")
        if len(unmatched) == len(matches):
            return _("No segment is known to this model: choose labels in the table.")
        if unmatched and self._parameterNode.unmatched is UnmatchedSegments.STOP:
            return _("Decide on the unmatched segments: choose labels, or drop them to background.")
        return None

    def _showStatus(self, text: str, isWarning: bool = False) -> None:
        if not self._isClosed:
            self.runDisplay.tell(text, isWarning)

    def _log(self, source: str) -> Callable[[str], None]:
        """What puts a line of this source into the log at the end of the panel."""
        return functools.partial(self.workPanels.log.add, source)

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
        if not self.workPanels.packages.install(Purpose.SYNTHESIS):
            self._showStatus(self.ui.packagesStateLabel.text, isWarning=True)

    def onPackagesChanged(self) -> None:
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

    def onLiveToggled(self, isOn: bool) -> None:
        if isOn:
            self.live.start(self._parameterNode)
        else:
            self.live.stop()

    def onLiveChanged(self) -> None:
        """Show where the live volume stands."""
        texts = {
            LiveState.OFF: "",
            LiveState.PENDING: _("Edited; starting soon..."),
            LiveState.RUNNING: _("Running: {text}"),
            LiveState.UP_TO_DATE: _("Up to date ({text})"),
            LiveState.FAILED: _("Not up to date: {text}"),
        }
        state = self.live.state
        self.ui.liveStateLabel.setText(texts[state].format(text=self.live.text))
        color = f"color: {WARNING_COLOR}" if state is LiveState.FAILED else ""
        self.ui.liveStateLabel.setStyleSheet(color)
        if self.ui.liveCheckBox.checked != self.live.isOn:
            wasBlocked = self.ui.liveCheckBox.blockSignals(True)
            self.ui.liveCheckBox.setChecked(self.live.isOn)
            self.ui.liveCheckBox.blockSignals(wasBlocked)
        if state is not LiveState.RUNNING:
            self._updateTimer.start()

    def onSynthesize(self) -> None:
        self._runWhileShown(self._synthesize)

    def onMakeAgain(self) -> None:
        self._runWhileShown(self._makeAgain)

    def onRememberSegments(self) -> None:
        self.editPanel.rememberSegments()

    def onEditInPlace(self) -> None:
        self._runWhileShown(lambda note: self.editPanel.edit(self.onProgress))

    def onEditSideBySide(self) -> None:
        with self._errorsShown(_("The difference could not be shown.")):
            self.editPanel.showSideBySide()

    def onShowInThreeD(self, isShown: bool) -> None:
        with self._errorsShown(_("The volume could not be shown in 3-D.")):
            self.comparePanel.showInThreeD(isShown)
        self.updateFromScene()

    def onSaveVolume(self) -> None:
        with self._errorsShown(_("The volume could not be saved.")):
            text = self.recordPanel.save()
            if text is not None:
                self._showStatus(text)

    def onModelAction(self, action: Callable[[], str | None], isChecked: bool = False) -> None:
        """Verify, install or remove a model, and tell what became of it."""
        with self._errorsShown(_("The model could not be handled.")):
            text = action()
            if text is not None:
                self.workPanels.models.showState(text)

    def onModelsChanged(self) -> None:
        self.live.stop()
        self.updatePackages()
        self.updateFromScene()

    def onModelMade(self, name: str) -> None:
        """A trained model is installed: show and select it."""
        self.onModelsChanged()
        if self._parameterNode is not None:
            self._parameterNode.model = name

    def onCompare(self) -> None:
        if not self.workPanels.packages.ensure(Purpose.COMPARISON):
            return
        with self._running(_("The comparison failed."), isMeasured=False):
            self.comparePanel.compare(self._parameterNode)
            text = _("Compared in {seconds:.1f} s.")
            self._showStatus(text.format(seconds=self.runDisplay.seconds))

    def _runWhileShown(self, run: Callable[[Callable[[str], None]], Any]) -> None:
        """Run something that gives back a synthetic volume, and show how it goes and ends."""
        notes = []
        with self._running(_("The synthesis failed.")):
            self._showDone(run(notes.append), notes)

    @contextlib.contextmanager
    def _running(self, failure: str, isMeasured: bool = True) -> Iterator[None]:
        """The panel while something runs that `onCancel` ends; a closed panel shows nothing."""
        from AnatoMaskGANLib.synthesis import SynthesisCancelledError

        self._isRunning = True
        self.runDisplay.begin(isMeasured)
        self.updateButtons()
        try:
            with self._errorsShown(failure):
                try:
                    yield
                except SynthesisCancelledError:
                    self._showStatus(_("Cancelled; nothing was changed."))
        finally:
            self._isRunning = False
            if not self._isClosed:
                told = self.runDisplay.told
                self.runDisplay.end()
                self.updateFromScene()
                self.runDisplay.tell(*told)  # what became of the run, not what the next one lacks

    def _makeAgain(self, note: Callable[[str], None]):
        """The selected synthetic volume once more, beside it, by its record."""
        parameters = self._parameterNode
        return self.logic.makeAgain(
            parameters.outputVolume,
            device=parameters.device.value,
            progressCallback=self.onProgress,
            logCallback=note,
        )

    def _synthesize(self, note: Callable[[str], None]):
        parameters = self._parameterNode
        isNew = parameters.outputMode is OutputMode.NEW or parameters.outputVolume is None
        source = self.logic.sourceOf(parameters)
        output = self.logic.synthesize(
            source.segmentationNode,
            outputVolume=None if isNew else parameters.outputVolume,
            referenceVolume=source.referenceVolume,
            model=parameters.model,
            seed=parameters.seed,
            samples=parameters.samples,
            noiseStrength=parameters.noiseStrength,
            device=parameters.device.value,
            unmatched=source.unmatched,
            labels=source.labels,
            segmentIDs=source.segmentIDs,
            progressCallback=self.onProgress,
            logCallback=note,
            noiseLengthScale=parameters.noiseLengthScale,
            manySamples=parameters.manySamples,
            style=OutputStyle(parameters.intensities, parameters.displayPreset),
        )
        parameters.outputVolume = output
        self.views.showVolume(output, isFitted=isNew)
        if isNew:  # or the segments would hide what was just made of them
            self.ui.showSegmentsCheckBox.setChecked(False)
        return output

    def onProgress(self, share: float, text: str) -> None:
        if not self._isClosed:
            self.runDisplay.report(share, text)

    def _showDone(self, output, notes: Sequence[str]) -> None:
        text = _("Made '{name}' in {seconds:.1f} s.")
        text = text.format(name=output.GetName(), seconds=self.runDisplay.seconds)
        self._showStatus(" ".join([text, *notes]))
        for line in (text, *notes):
            self.workPanels.log.add(_("synthesis"), line)
