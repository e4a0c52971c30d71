"""`slicer.app`, `slicer.mrmlScene` and `slicer.modules` on Slicer's own libraries, without Qt."""

from __future__ import annotations

import sys
import tempfile
import types
from pathlib import Path

import slicer
import slicer.util
import vtk
import vtkmodules.vtkRenderingContextOpenGL2
import vtkmodules.vtkRenderingVolumeOpenGL2  # noqa: F401

from slicer_host.files import FileManager

# What the application has in Python and slicer-core leaves out.
PYTHON_FOLDER = Path(__file__).parent / "python"

PRESET_NAME = "MR-Default"

MODULE_LOGICS = {
    "Volumes": "vtkSlicerVolumesLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "Transforms": "vtkSlicerTransformLogic",
    "Sequences": "vtkSlicerSequencesLogic",
    "Plots": "vtkSlicerPlotsLogic",
    "VolumeRendering": "vtkSlicerVolumeRenderingLogic",
}


class Module:
    """An entry of `slicer.modules`."""

    def __init__(self, name: str, logic=None, path: str = ""):
        self.name, self.title, self.path = name, name, path
        self._logic, self.widget = logic, None

    def logic(self):
        return self._logic

    def widgetRepresentation(self):
        return None if self.widget is None else types.SimpleNamespace(self=lambda: self.widget)


class Application:
    """`slicer.app`: it works without a window, and `slicer_host.window` gives it one."""

    applicationName = "slicer_host"

    def __init__(self):
        self.window = None
        self.temporaryPath = tempfile.mkdtemp(prefix="slicer_host_")
        self._startupCallbacks, self._unloadCallbacks = [], []
        self.scene = slicer.vtkMRMLScene()
        crosshair = slicer.vtkMRMLCrosshairNode()
        crosshair.SetCrosshairName("default")
        self.scene.AddNode(crosshair)
        self._logic = slicer.vtkSlicerApplicationLogic()
        self._logic.SetTemporaryPath(self.temporaryPath)
        self._logic.SetMRMLScene(self.scene)
        self._logic.GetColorLogic().SetMRMLScene(self.scene)
        self._logic.GetColorLogic().AddDefaultColorNodes()
        self._logic.SetSliceLogics(vtk.vtkCollection())
        self._logic.SetViewLogics(vtk.vtkCollection())
        slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance().SetMRMLApplicationLogic(
            self._logic
        )
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(self.scene, True)
        self._files = FileManager(self)
        # The Colors logic is needed by the segmentation storage, which asks for it by name.
        self._logic.SetModuleLogic("Colors", self._logic.GetColorLogic())
        self.modules = types.SimpleNamespace()
        for name, className in MODULE_LOGICS.items():
            self._addModule(name, getattr(slicer, className)())
        self._writeVolumeRenderingPresets()
        # In the application Qt plugins put every displayable node into the subject hierarchy.
        self.scene.AddObserver(slicer.vtkMRMLScene.NodeAddedEvent, self._onNodeAdded)
        self.scene.AddObserver(
            slicer.vtkMRMLScene.NodeAboutToBeRemovedEvent, self._onNodeAboutToBeRemoved
        )

    def _addModule(self, name: str, logic) -> None:
        logic.SetMRMLScene(self.scene)
        logic.SetMRMLApplicationLogic(self._logic)
        self._logic.SetModuleLogic(name, logic)
        setattr(self.modules, name.lower(), Module(name, logic))

    def _writeVolumeRenderingPresets(self) -> None:
        """The application's presets are files that slicer-core leaves out; here is one, made up."""
        scene = slicer.vtkMRMLScene()
        scene.RegisterNodeClass(slicer.vtkMRMLVolumePropertyNode())
        scene.AddNewNodeByClass("vtkMRMLVolumePropertyNode", PRESET_NAME)
        scene.Commit(str(Path(self.temporaryPath) / "presets.xml"))
        logic = self.modules.volumerendering.logic()
        logic.SetModuleShareDirectory(self.temporaryPath)
        preset = logic.GetPresetByName(PRESET_NAME)
        opacity = preset.GetVolumeProperty().GetScalarOpacity()
        opacity.RemoveAllPoints()
        for intensity, share in ((0, 0.0), (50, 0.0), (200, 0.5)):
            opacity.AddPoint(intensity, share)

    def _hierarchy(self):
        return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(self.scene)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _onNodeAdded(self, caller, event, node) -> None:
        if node.IsA("vtkMRMLDisplayableNode") and not node.GetHideFromEditors():
            hierarchy = self._hierarchy()
            if not hierarchy.GetItemByDataNode(node):
                hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _onNodeAboutToBeRemoved(self, caller, event, node) -> None:
        hierarchy = self._hierarchy()
        if hierarchy and not self.scene.IsClosing() and hierarchy.GetItemByDataNode(node):
            hierarchy.RemoveItem(hierarchy.GetItemByDataNode(node), False, False)

    def applicationLogic(self):
        return self._logic

    def mrmlScene(self):
        return self.scene

    def coreIOManager(self) -> FileManager:
        return self._files

    ioManager = coreIOManager

    def moduleManager(self):
        return self

    def connect(self, signal: str, callback) -> bool:
        callbacks = {
            "startupCompleted()": self._startupCallbacks,
            "moduleAboutToBeUnloaded(QString)": self._unloadCallbacks,
        }
        if signal not in callbacks:
            raise ValueError(f"slicer.app has no signal {signal!r} here; known: {list(callbacks)}")
        callbacks[signal].append(callback)
        return True

    def completeStartup(self) -> None:
        """What the application does once all modules are loaded."""
        for callback in self._startupCallbacks:
            callback()
        self._startupCallbacks.clear()

    def announceUnload(self, moduleName: str) -> None:
        """What the application does before a module is unloaded or reloaded."""
        callbacks, self._unloadCallbacks = self._unloadCallbacks, []
        for callback in callbacks:  # of widgets that are deleted then, as their connections are
            callback(moduleName)

    def testingEnabled(self) -> bool:
        return True

    def mainWindow(self):
        return self.window

    def topLevelWidgets(self):
        return [] if self.window is None else [self.window]

    def layoutManager(self):
        return None if self.window is None else self.window.layoutManager

    def processEvents(self) -> None:
        if "qt" in sys.modules:
            sys.modules["qt"].QApplication.processEvents()

    def pauseRender(self) -> None:
        pass

    def resumeRender(self) -> None:
        pass

    def setOverrideCursor(self, cursor) -> None:
        pass

    def restoreOverrideCursor(self) -> None:
        pass


def install(app: Application) -> Application:
    """Give `slicer` what the application gives it."""
    slicer.app, slicer.mrmlScene, slicer.modules = app, app.scene, app.modules
    slicer.__path__.append(str(PYTHON_FOLDER / "slicer"))
    sys.path.append(str(PYTHON_FOLDER))
    return app


def start() -> Application:
    """The one application of this process, without a window; started when there is none yet."""
    running = getattr(slicer, "app", None)
    return running if isinstance(running, Application) else install(Application())
