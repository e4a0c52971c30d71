"""Two segments of one name; a label is chosen for the first of them."""

import os
import sys

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
repository = sys.argv[1]
sys.path[:0] = [repository, f"{repository}/Testing", f"{repository}/Testing/slicer_host/python"]
from pathlib import Path

import slicer
import vtk
from slicer_host import scene, window
from vtk.util.numpy_support import vtk_to_numpy

window.start_window()
window.load_module(Path(repository) / "AnatoMaskGAN/AnatoMaskGAN.py")
scene.start().completeStartup()
from AnatoMaskGANLib.mrml.segments import label_map_of_entries, segment_entries, user_table
from AnatoMaskGANLib.volumes import load_label_table, match_labels

node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "s")
for code, start in (("119406000", 1), ("5366008", 5)):
    image = slicer.vtkOrientedImageData()
    image.SetDimensions(10, 10, 10)
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    voxels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(10, 10, 10)
    voxels[:] = 0
    voxels[2:8, 2:8, start : start + 3] = 1
    segment = slicer.vtkSegment()
    segment.SetName("Left")
    segment.AddRepresentation("Binary labelmap", image)
    entry = f"x~SCT^123037004^Anatomical Structure~SCT^{code}^x~SCT^7771000^Left~y~^^~^^"
    segment.SetTag("TerminologyEntry", entry)
    node.GetSegmentation().AddSegment(segment)
entries = segment_entries(node)
table, labels = load_label_table("freesurfer-brain"), label_map_of_entries(entries)
choices = user_table(entries, {"Left": "Left-Putamen"})
print("ONE CHOICE", [(m.value, m.name, m.model_name) for m in match_labels(labels, table, choices)])
