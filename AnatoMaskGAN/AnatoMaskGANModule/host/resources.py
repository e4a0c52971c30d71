"""The files that come with the module: the folder Resources, and the bundled sample in it."""

from __future__ import annotations

import json
import logging
import pathlib

import slicer

MODULE_FOLDER = pathlib.Path(__file__).resolve().parents[2]


def resourceFile(filename: str) -> str:
    """Path of a resource: next to the module when installed, one folder up in the source tree."""
    for folder in (MODULE_FOLDER, MODULE_FOLDER.parent):
        if (folder / "Resources").is_dir():
            return str(folder / "Resources" / filename)
    raise FileNotFoundError(
        f"The folder Resources is missing in {MODULE_FOLDER} or {MODULE_FOLDER.parent}. "
        "Install the extension again."
    )


SAMPLE_FOLDER = "SampleData/brain-t1-sub-19"
SAMPLE_NAME = "AnatoMaskGANBrainT1"


def registerSampleData() -> None:
    """List the bundled brain and its labels in the Sample Data module."""
    import SampleData

    files = [pathlib.Path(resourceFile(SAMPLE_FOLDER)) / n for n in ("seg.nii.gz", "image.nii.gz")]
    if not all(file.is_file() for file in files):
        logging.warning(f"AnatoMaskGAN: no sample data, because {files[0].parent} is incomplete")
        return
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category="AnatoMaskGAN",
        sampleName=SAMPLE_NAME,
        uris=[file.as_uri() for file in files],
        fileNames=[f"{files[0].parent.name}-{file.name}" for file in files],
        nodeNames=["Brain labels", "Brain T1"],
        loadFileType=["SegmentationFile", "VolumeFile"],
        thumbnailFileName=resourceFile(f"Icons/{SAMPLE_NAME}.png"),
        customDownloader=lambda source=None: loadSampleData(),
    )


def loadSampleData() -> tuple[slicer.vtkMRMLSegmentationNode, slicer.vtkMRMLScalarVolumeNode]:
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
