"""The Slicer module: a segmentation node in, a synthetic volume node on the same grid out.

Slicer looks for the classes of this file by their names; what they are made of is in
AnatoMaskGANModule. What the module does is in `AnatoMaskGANLogic`, which needs no window. The core
is imported inside methods, after the packages were checked, so that the module loads in a Slicer
without PyTorch.
"""

import functools
import importlib.util
import sys
from collections.abc import Callable
from typing import Any, cast

import qt
import slicer
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModule, ScriptedLoadableModuleWidget
from slicer.util import VTKObservationMixin
from vtk import vtkCommand

from AnatoMaskGANModule.batch.panel import BatchPanel
from AnatoMaskGANModule.compare.panel import ComparePanel
from AnatoMaskGANModule.edit.panel import EditPanel
from AnatoMaskGANModule.host.resources import MODULE_FOLDER, registerSampleData, resourceFile
from AnatoMaskGANModule.host.segments import SegmentEditorSection, SegmentsObserver
from AnatoMaskGANModule.host.status import LogPane, StatusDisplay
from AnatoMaskGANModule.host.views import SideBySide
from AnatoMaskGANModule.host.work import PanelWork, Readiness
from AnatoMaskGANModule.logic import AnatoMaskGANLogic
from AnatoMaskGANModule.models.chooser import ModelChooser
from AnatoMaskGANModule.models.panel import ModelsPanel
from AnatoMaskGANModule.packages.panel import PackagesPanel
from AnatoMaskGANModule.parameters import AnatoMaskGANParameterNode
from AnatoMaskGANModule.scan_edit.panel import ScanEditPanel
from AnatoMaskGANModule.scan_edit.snapshot import isSnapshot
from AnatoMaskGANModule.self_test import AnatoMaskGANTest  # noqa: F401  Slicer looks for it here
from AnatoMaskGANModule.synthesis.backends import DirectBackend, ProcessBackend
from AnatoMaskGANModule.synthesis.label_panel import LabelPanel
from AnatoMaskGANModule.synthesis.live import LiveResynthesis, LiveState
from AnatoMaskGANModule.synthesis.output_panel import OutputPanel
from AnatoMaskGANModule.synthesis.panel import SynthesisPanel
from AnatoMaskGANModule.synthesis.segment_match import forgetChoicesOfOthers
from AnatoMaskGANModule.training.install_panel import InstallRunPanel
from AnatoMaskGANModule.training.panel import TrainPanel

OWN_PACKAGES = ("AnatoMaskGANLib", "AnatoMaskGANModule")
# The first section: below what has to be installed, above those of AnatoMaskGAN.ui.
FIRST_SECTION, FIRST_PLACE = "ScanEdit", 1
# The sections that have a file of their own, in their order below those of AnatoMaskGAN.ui.
SECTION_FILES = ("Models", "Batch", "Train", "Packages", "Log")
if importlib.util.find_spec("AnatoMaskGANLib") is None:  # run from the source tree
    sys.path.append(str(MODULE_FOLDER.parent))


class AnatoMaskGAN(ScriptedLoadableModule):
    def __init__(self, parent: Any) -> None:
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
    backendClass: type[DirectBackend] | type[ProcessBackend] = ProcessBackend
    logic: AnatoMaskGANLogic

    def __init__(self, parent: Any = None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self._parameterNode: AnatoMaskGANParameterNode | None = None
        self._parameterNodeGuiTag: Any = None
        self._isClosed = False

    def resourcePath(self, filename: str) -> str:
        return resourceFile(filename)

    def setup(self) -> None:
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/AnatoMaskGAN.ui"))
        first = slicer.util.loadUI(self.resourcePath(f"UI/{FIRST_SECTION}.ui"))
        uiWidget.layout().insertWidget(FIRST_PLACE, first)
        for name in SECTION_FILES:
            section = slicer.util.loadUI(self.resourcePath(f"UI/{name}.ui"))
            uiWidget.layout().addWidget(section)
        self.layout.addWidget(uiWidget)
        # Each part of the panel declares the widgets that are its own, and touches no others.
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = AnatoMaskGANLogic(self.backendClass())

        # Segments often arrive one by one: the panel follows shortly after the last of them.
        self._updateTimer = qt.QTimer()
        self._updateTimer.setSingleShot(True)
        self._updateTimer.setInterval(self.UPDATE_DELAY_MS)
        self._updateTimer.timeout.connect(self.updateFromScene)

        self._makeHost()
        self._makePanels()
        self._observeScene()
        self.ui.sampleDataButton.clicked.connect(self.onLoadSampleData)

    def _makeHost(self) -> None:
        """What the panels share."""
        ui, logic = self.ui, self.logic
        self.views = SideBySide()
        self.display = StatusDisplay(ui)
        self.log = LogPane(ui)
        self.work = PanelWork(self.display, self.log, self.updateButtons, self.updateFromScene)
        self.segmentEditor = SegmentEditorSection(ui)
        self.segments = SegmentsObserver(self._updateTimer.start, self.onSegmentsShownOrHidden)
        self.live = LiveResynthesis(
            cast(ProcessBackend, logic.backend),  # a live volume needs a process of its own
            self.onLiveChanged,
            self.views.showVolume,
            self._logOf(_("live")),
        )
        if isinstance(logic.backend, ProcessBackend):
            logic.backend.onLog = self._logOf(_("synthesis"))

    def _makePanels(self) -> None:
        ui, logic, work, views, log = self.ui, self.logic, self.work, self.views, self.log
        self.packagesPanel = PackagesPanel(ui, self.display, log, self.onPackagesChanged)
        self.modelChooser = ModelChooser(ui, logic)
        self.labelPanel = LabelPanel(ui, logic)
        self.synthesisPanel = SynthesisPanel(ui, logic, work, views, self.live)
        self.outputPanel = OutputPanel(ui, logic, work)
        self.scanEditPanel = ScanEditPanel(ui, logic, work, views, self._updateTimer.start)
        self.editPanel = EditPanel(ui, logic, work, views)
        self.comparePanel = ComparePanel(ui, logic, work, views, self.packagesPanel)
        self.modelsPanel = ModelsPanel(
            ui, logic, self.display, log, self.packagesPanel, self.onModelsChanged
        )
        self.batchPanel = BatchPanel(ui, logic, log, self.packagesPanel)
        self.trainPanel = TrainPanel(ui, logic, log, self.packagesPanel)
        self.installRunPanel = InstallRunPanel(
            ui, logic, log, self.trainPanel.pictures, self.onModelMade
        )

    def _observeScene(self) -> None:
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(scene, scene.EndImportEvent, self.onSceneEndClose)
        self.addObserver(scene, scene.NodeAddedEvent, self.onNodeAddedOrRemoved)
        self.addObserver(scene, scene.NodeRemovedEvent, self.onNodeAddedOrRemoved)

    def cleanup(self) -> None:
        self._isClosed = True
        self.display.close()
        self._updateTimer.stop()
        self.live.stop()
        self.logic.cancel()  # work that is going on ends at its next look
        self.logic.backend.close()
        for panel in (
            self.scanEditPanel,
            self.modelsPanel,
            self.batchPanel,
            self.trainPanel,
            self.installRunPanel,
        ):
            panel.close()
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
        """Load the module and the core from their files again."""
        for name in [name for name in sys.modules if name.split(".")[0] in OWN_PACKAGES]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    # Scene and parameter node

    def onSceneStartClose(self, caller: Any = None, event: Any = None) -> None:
        self.live.stop()
        self.scanEditPanel.follower.stop()
        self.logic.cancel()
        self.segmentEditor.forgetScene()
        self.views.hide()
        self.setParameterNode(None)

    def onSceneEndClose(self, caller: Any = None, event: Any = None) -> None:
        self.initializeParameterNode()

    def onNodeAddedOrRemoved(self, caller: Any = None, event: Any = None) -> None:
        self._updateTimer.start()

    def initializeParameterNode(self) -> None:
        parameters = self.logic.getParameterNode()
        self.setParameterNode(parameters)
        if parameters.inputSegmentation is None:
            kind = "vtkMRMLSegmentationNode"
            count = slicer.mrmlScene.GetNumberOfNodesByClass(kind)
            found = [slicer.mrmlScene.GetNthNodeByClass(number, kind) for number in range(count)]
            found = [node for node in found if not isSnapshot(node)]
            if found:
                parameters.inputSegmentation = found[0]

    def setParameterNode(self, parameterNode: AnatoMaskGANParameterNode | None) -> None:
        modified = vtkCommand.ModifiedEvent
        if self._parameterNode is not None:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self.removeObserver(self._parameterNode, modified, self.onParameterNodeModified)
        self._parameterNode = parameterNode
        if parameterNode is not None:
            self._parameterNodeGuiTag = parameterNode.connectGui(self.ui)
            self.addObserver(parameterNode, modified, self.onParameterNodeModified)
        self.updateFromScene()

    def onParameterNodeModified(self, caller: Any = None, event: Any = None) -> None:
        if self._parameterNode is not None:
            forgetChoicesOfOthers(self._parameterNode)
        self._updateTimer.start()
        self.live.onEdited()
        self.scanEditPanel.follower.onEdited()

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
        self.modelChooser.update(parameters)
        card = self.modelChooser.card
        self.labelPanel.update(parameters, card.name if card is not None else None)
        self.segmentEditor.update(node, output or reference)
        for panel in (
            self.synthesisPanel,
            self.outputPanel,
            self.scanEditPanel,
            self.editPanel,
            self.comparePanel,
            self.batchPanel,
            self.trainPanel,
            self.installRunPanel,
        ):
            panel.update(parameters)
        self.updateButtons()

    def updateButtons(self) -> None:
        """Let Synthesize be pressed when it can work, else say what is missing."""
        problem = self.modelChooser.problem() or self.labelPanel.problem()
        if self._parameterNode is None:
            problem = _("The scene is closing.")
        readiness = Readiness(problem, self.work.isRunning, self.live.isOn)
        for panel in (
            self.synthesisPanel,
            self.outputPanel,
            self.scanEditPanel,
            self.editPanel,
            self.comparePanel,
        ):
            panel.showReadiness(readiness)
        for section in (
            self.ui.scanEditCollapsibleButton,
            self.ui.inputsCollapsibleButton,
            self.ui.labelsCollapsibleButton,
            self.ui.samplingCollapsibleButton,
            self.ui.outputCollapsibleButton,
            self.ui.advancedCollapsibleButton,
            self.ui.editCollapsibleButton,
            self.ui.compareCollapsibleButton,
            self.ui.modelsCollapsibleButton,
        ):
            section.setEnabled(not readiness.isRunning)

    def updatePackages(self) -> None:
        """Show what has to be installed, and list the models."""
        self.packagesPanel.update()
        self.modelChooser.listModels()
        self.modelsPanel.update()

    def _logOf(self, source: str) -> Callable[[str], None]:
        """What puts a line of this source into the log at the end of the panel."""
        return functools.partial(self.log.add, source)

    # What the parts of the panel tell

    def onPackagesChanged(self) -> None:
        self.updatePackages()
        self.updateFromScene()

    def onLoadSampleData(self) -> None:
        with self.display.errorsShown(_("The sample data could not be loaded.")):
            segmentationNode, volumeNode = self.logic.loadSampleData()
            if self._parameterNode is not None:
                self._parameterNode.inputSegmentation = segmentationNode
                self._parameterNode.referenceVolume = volumeNode
            slicer.util.setSliceViewerLayers(background=volumeNode, fit=True)

    def onLiveChanged(self) -> None:
        self.synthesisPanel.showLive()
        if self.live.state is not LiveState.RUNNING:
            self._updateTimer.start()

    def onModelsChanged(self) -> None:
        self.live.stop()
        self.updatePackages()
        self.updateFromScene()

    def onModelMade(self, name: str) -> None:
        """A trained model is installed: show and select it."""
        self.onModelsChanged()
        if self._parameterNode is not None:
            self._parameterNode.model = name
