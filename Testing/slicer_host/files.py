"""The part of the application's file manager that `slicer.util.load...` and `save...` call."""

from __future__ import annotations

from pathlib import Path

SEGMENTATION_ENDINGS = (".seg.nrrd", ".seg.nhdr")
VOLUME_ENDINGS = (".nrrd", ".nhdr", ".nii", ".nii.gz", ".mha", ".mhd")


class FileManager:
    """Stands in for `qSlicerCoreIOManager`: volumes, segmentations and scenes."""

    def __init__(self, app):
        self._app = app

    def fileType(self, path) -> str:
        name = str(path).lower()
        if name.endswith(SEGMENTATION_ENDINGS):
            return "SegmentationFile"
        if name.endswith((".mrml", ".mrb")):
            return "SceneFile"
        return "VolumeFile" if name.endswith(VOLUME_ENDINGS) else "NoFile"

    def loadNodes(self, fileType, properties, loadedNodes=None, messages=None) -> bool:
        path, scene = str(properties["fileName"]), self._app.scene
        if fileType == "SceneFile":
            return self._loadScene(path, clear=bool(properties.get("clear")), messages=messages)
        name = properties.get("name") or Path(path).name.split(".")[0]
        logics = self._app.applicationLogic()
        if fileType == "VolumeFile":
            options = 1 if properties.get("labelmap") else 0
            node = logics.GetModuleLogic("Volumes").AddArchetypeVolume(path, name, options, None)
        elif fileType == "SegmentationFile":
            colors = scene.GetNodeByID(properties.get("colorNodeID") or "")
            node = logics.GetModuleLogic("Segmentations").LoadSegmentationFromFile(
                path, bool(properties.get("autoOpacities", True)), name, colors, messages
            )
        else:
            raise ValueError(f"{path} is a {fileType}, which this stand-in cannot load")
        if node is not None and loadedNodes is not None:
            loadedNodes.AddItem(node)
        return node is not None

    def _loadScene(self, path: str, clear: bool, messages) -> bool:
        scene = self._app.scene
        if path.lower().endswith(".mrb"):
            logic = self._app.applicationLogic()
            return bool(logic.OpenSlicerDataBundle(path, self._app.temporaryPath))
        scene.SetURL(path)
        return bool(scene.Connect(messages) if clear else scene.Import(messages))

    def saveNodes(self, fileType, properties, messages=None) -> bool:
        path, scene = str(Path(properties["fileName"]).resolve()), self._app.scene
        if fileType == "SceneFile" and path.lower().endswith(".mrb"):
            scene.SetRootDirectory(str(Path(path).parent))
            return bool(scene.WriteToMRB(path, None, messages))
        if fileType == "SceneFile":
            scene.SetURL(path)
            return bool(scene.Commit(path, messages))
        node = scene.GetNodeByID(properties["nodeID"])
        if node.GetStorageNode() is None:
            node.AddDefaultStorageNode(path)
        storage = node.GetStorageNode()
        storage.SetFileName(path)
        return bool(storage.WriteData(node))

    def fileWriterFileType(self, node) -> str:
        return "SegmentationFile" if node.IsA("vtkMRMLSegmentationNode") else "VolumeFile"
