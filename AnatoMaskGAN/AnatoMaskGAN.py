"""The Slicer module: a segmentation node in, a synthetic volume node on the same grid out.

Slicer looks for the classes of this file by their names; what they are made of is in
AnatoMaskGANModule. What the module does is in `AnatoMaskGANLogic`, which needs no window. The core
is imported inside methods, after the packages were checked, so that the module loads in a Slicer
without PyTorch.
"""

import functools
import importlib.util
import random
import sys
from collections.abc import Callable

import qt
import slicer
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModule, ScriptedLoadableModuleWidget
from slicer.util import VTKObservationMixin
from vtk import vtkCommand

from AnatoMaskGANModule.compare.panel import ComparePanel
from AnatoMaskGANModule.edit.panel import EditPanel
from AnatoMaskGANModule.host.resources import MODULE_FOLDER, registerSampleData, resourceFile
from AnatoMaskGANModule.host.segments import SegmentEditorSection, SegmentsObserver
from AnatoMaskGANModule.host.status import RunDisplay
from AnatoMaskGANModule.host.views import SideBySide
from AnatoMaskGANModule.logic import AnatoMaskGANLogic
from AnatoMaskGANModule.models.chooser import ModelChooser
from AnatoMaskGANModule.packages.job import Purpose, packageGroup
from AnatoMaskGANModule.parameters import LARGEST_SEED
from AnatoMaskGANModule.readiness import Readiness
from AnatoMaskGANModule.runs import PanelRuns
from AnatoMaskGANModule.sections import WorkPanels, addWorkSections
from AnatoMaskGANModule.self_test import AnatoMaskGANTest  # noqa: F401  Slicer looks for it here
from AnatoMaskGANModule.synthesis.backends import ProcessBackend
from AnatoMaskGANModule.synthesis.label_panel import LabelPanel
from AnatoMaskGANModule.synthesis.live import LiveResynthesis, LiveState, showLiveState
from AnatoMaskGANModule.synthesis.output_panel import RecordPanel, SamplesChooser
from AnatoMaskGANModule.synthesis.segment_match import forgetChoicesOfOthers

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
            "Implements the paper <i>AnatoMaskGAN: GNN-Driven Slice Feature Fusion and "
            "Noise Augmentation for Medical Semantic Image Synthesis</i> by Z. Wu et al., "
            "arXiv:2508.11375; an independent implementation. The bundled model and "
            "sample come from the OASIS-TRT-20 subjects of Mindboggle-101 (CC BY-NC-SA "
            "3.0)."
        )
        self.parent.icon = qt.QIcon(self.resourcePath(f"Icons/{self.moduleName}.png"))
        slicer.app.connect("startupCompleted()", registerSampleData)

    def resourcePath(self, filename: str) -> str:
        return resourceFile(filename)


class AnatoMaskGANWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel: it follows the scene, and lets its parts show the parameter node."""

    UPDATE_DELAY_MS = 50
    backendClass = ProcessBackend

    def __init__(self, parent=None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self._parameterNode = None
        self._parameterNodeGuiTag = None
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
        self.logic = AnatoMaskGANLogic(self.backendClass())

        # Segments often arrive one by one: the panel follows shortly after the last of them.
        self._updateTimer = qt.QTimer()
        self._updateTimer.setSingleShot(True)
        self._updateTimer.setInterval(self.UPDATE_DELAY_MS)
        self._updateTimer.timeout.connect(self.updateFromScene)

        self._makeParts()
        self._observeScene()
        self._connectButtons()

    def _makeParts(self) -> None:
        ui, logic = self.ui, self.logic
        self.views = SideBySide()
        self.runDisplay = RunDisplay(ui)
        self.modelChooser = ModelChooser(ui, logic)
        self.labelPanel = LabelPanel(ui, logic)
        self.workPanels = WorkPanels(
            ui,
            logic,
            self.onModelsChanged,
            self.onModelMade,
            self.onPackagesChanged,
            self.runDisplay.tell,
        )
        self.editPanel = EditPanel(ui, logic, self.views)
        self.comparePanel = ComparePanel(ui, logic, self.views)
        self.recordPanel = RecordPanel(ui, logic)
        self.samplesChooser = SamplesChooser(ui, logic)
        self.segmentEditor = SegmentEditorSection(ui)
        self.live = LiveResynthesis(
            logic, self.onLiveChanged, self.views.showVolume, self._log(_("live"))
        )
        self.segments = SegmentsObserver(self._updateTimer.start, self.onSegmentsShownOrHidden)
        self.runs = PanelRuns(
            ui,
            logic,
            self.runDisplay,
            self.views,
            self.editPanel,
            self.comparePanel,
            self.workPanels,
            self.updateButtons,
            self.updateFromScene,
        )
        self.readiness = Readiness(
            ui,
            logic,
            self.runDisplay,
            self.modelChooser,
            self.labelPanel,
            self.editPanel,
            self.comparePanel,
        )
        if isinstance(logic.backend, ProcessBackend):
            logic.backend.onLog = self._log(_("synthesis"))

    def _observeScene(self) -> None:
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(scene, scene.EndImportEvent, self.onSceneEndClose)
        self.addObserver(scene, scene.NodeAddedEvent, self.onNodeAddedOrRemoved)
        self.addObserver(scene, scene.NodeRemovedEvent, self.onNodeAddedOrRemoved)

    def _connectButtons(self) -> None:
        """Those that no part of the panel has connected itself."""
        ui = self.ui
        ui.installButton.clicked.connect(self.onInstall)
        ui.sampleDataButton.clicked.connect(self.onLoadSampleData)
        ui.randomSeedButton.clicked.connect(self.onRandomSeed)
        ui.showSegmentsCheckBox.toggled.connect(self.onShowSegments)
        ui.liveCheckBox.toggled.connect(self.onLiveToggled)
        ui.editSideBySideButton.clicked.connect(self.onEditSideBySide)
        ui.renderingButton.toggled.connect(self.onShowInThreeD)
        ui.saveVolumeButton.clicked.connect(self.onSaveVolume)
        for button, action in (
            (ui.verifyModelButton, self.workPanels.models.verify),
            (ui.installModelButton, self.workPanels.models.install),
            (ui.removeModelButton, self.workPanels.models.remove),
        ):
            button.clicked.connect(functools.partial(self.onModelAction, action))

    def cleanup(self) -> None:
        self._isClosed = True
        self.runDisplay.close()
        self._updateTimer.stop()
        self.live.stop()
        self.logic.cancel()  # a run that is going on ends at its next look
        self.logic.backend.close()
        self.workPanels.close()
        self.segmentEditor.close()
        self.segments.observe(None)
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
        modified = vtkCommand.ModifiedEvent
        if self._parameterNode is not None:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self.removeObserver(self._parameterNode, modified, self.onParameterNodeModified)
        self._parameterNode = parameterNode
        if parameterNode is not None:
            self._parameterNodeGuiTag = parameterNode.connectGui(self.ui)
            self.addObserver(parameterNode, modified, self.onParameterNodeModified)
        self.updateFromScene()

    def onParameterNodeModified(self, caller=None, event=None) -> None:
        forgetChoicesOfOthers(self._parameterNode)
        self._updateTimer.start()
        self.live.onEdited()

    def onSegmentsShownOrHidden(self) -> None:
        self._updateTimer.start()
        self.live.onEdited()  # the choice may be the visible segments

    # What the panel shows

    def updateFromScene(self) -> None:
        """Bring all parts of the panel up to date with the parameter node."""
        self._updateTimer.stop()
        if self._isClosed:
            return
        parameters = self._parameterNode
        if parameters is not None:
            forgetChoicesOfOthers(parameters)
        node = parameters.inputSegmentation if parameters is not None else None
        output = parameters.outputVolume if parameters is not None else None
        reference = parameters.referenceVolume if parameters is not None else None
        self.segments.observe(node)
        count = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")
        self.ui.sampleDataButton.setVisible(count == 0)
        displayNode = node.GetDisplayNode() if node is not None else None
        self.ui.showSegmentsCheckBox.setEnabled(displayNode is not None)
        if displayNode is not None:
            self.ui.showSegmentsCheckBox.setChecked(bool(displayNode.GetVisibility()))
        self.modelChooser.update(parameters)
        card = self.modelChooser.card
        self.labelPanel.update(parameters, card.name if card is not None else None)
        self.recordPanel.update(output)
        self.samplesChooser.update(output)
        self.segmentEditor.update(node, output or reference)
        self.editPanel.update(parameters)
        self.comparePanel.update(parameters)
        self.workPanels.update(parameters)
        self.runs.update(parameters)
        self.updateButtons()

    def updateButtons(self) -> None:
        """Let Synthesize be pressed when it can work, else say what is missing."""
        self.readiness.update(self._parameterNode, self.runs.isRunning, self.live.isOn)

    def updatePackages(self) -> None:
        """Show what has to be installed, or list the models."""
        missing = self.logic.missingPackages()
        self.ui.packagesFrame.setVisible(bool(missing))
        names = packageGroup(Purpose.SYNTHESIS).missingText
        text = _("Synthesis needs packages that this Slicer does not have: {names}.")
        self.ui.packagesLabel.setText(text.format(names=names))
        self.ui.installModelButton.setEnabled(not missing)
        self.modelChooser.listModels()
        self.workPanels.models.update()

    def _log(self, source: str) -> Callable[[str], None]:
        """What puts a line of this source into the log at the end of the panel."""
        return functools.partial(self.workPanels.log.add, source)

    # Actions

    def onInstall(self) -> None:
        if not self.workPanels.packages.install(Purpose.SYNTHESIS):
            self.runDisplay.tell(self.ui.packagesStateLabel.text, isWarning=True)

    def onPackagesChanged(self) -> None:
        self.updatePackages()
        self.updateFromScene()

    def onLoadSampleData(self) -> None:
        with self.runDisplay.errorsShown(_("The sample data could not be loaded.")):
            segmentationNode, volumeNode = self.logic.loadSampleData()
            self._parameterNode.inputSegmentation = segmentationNode
            self._parameterNode.referenceVolume = volumeNode
            slicer.util.setSliceViewerLayers(background=volumeNode, fit=True)

    def onRandomSeed(self) -> None:
        self._parameterNode.seed = random.randrange(LARGEST_SEED)

    def onShowSegments(self, isShown: bool) -> None:
        segmentationNode = self._parameterNode.inputSegmentation
        if segmentationNode is not None and segmentationNode.GetDisplayNode() is not None:
            segmentationNode.GetDisplayNode().SetVisibility(isShown)

    def onLiveToggled(self, isOn: bool) -> None:
        if isOn:
            self.live.start(self._parameterNode)
        else:
            self.live.stop()

    def onLiveChanged(self) -> None:
        showLiveState(self.ui, self.live)
        if self.live.state is not LiveState.RUNNING:
            self._updateTimer.start()

    def onEditSideBySide(self) -> None:
        with self.runDisplay.errorsShown(_("The difference could not be shown.")):
            self.editPanel.showSideBySide()

    def onShowInThreeD(self, isShown: bool) -> None:
        with self.runDisplay.errorsShown(_("The volume could not be shown in 3-D.")):
            self.comparePanel.showInThreeD(isShown)
        self.updateFromScene()

    def onSaveVolume(self) -> None:
        with self.runDisplay.errorsShown(_("The volume could not be saved.")):
            text = self.recordPanel.save()
            if text is not None:
                self.runDisplay.tell(text)

    def onModelAction(self, action: Callable[[], str | None], isChecked: bool = False) -> None:
        """Verify, install or remove a model, and tell what became of it."""
        with self.runDisplay.errorsShown(
            _("The model could not be verified, installed or removed.")
        ):
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
