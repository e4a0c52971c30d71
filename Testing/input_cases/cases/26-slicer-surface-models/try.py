"""Two small surface models, imported without a reference volume."""

import os
import sys

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
repository = sys.argv[1]
sys.path[:0] = [repository, f"{repository}/Testing", f"{repository}/Testing/slicer_host/python"]
from pathlib import Path

import slicer
import vtk
from slicer_host import scene, window

window.start_window()
window.load_module(Path(repository) / "AnatoMaskGAN/AnatoMaskGAN.py")
scene.start().completeStartup()
from AnatoMaskGANLib.mrml import label_map_from_segmentation

node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "models")
node.GetSegmentation().SetSourceRepresentationName("Closed surface")
for name, center, radius in (("Left-Thalamus", (-10, 0, 0), 12), ("Brain-Stem", (0, -10, -40), 15)):
    ball = vtk.vtkSphereSource()
    ball.SetCenter(*center)
    ball.SetRadius(radius)
    ball.SetThetaResolution(32)
    ball.SetPhiResolution(32)
    ball.Update()
    segment = slicer.vtkSegment()
    segment.SetName(name)
    segment.AddRepresentation("Closed surface", ball.GetOutput())
    node.GetSegmentation().AddSegment(segment)
label_map = label_map_from_segmentation(node).label_map
spacing = tuple(round(length, 3) for length in label_map.spacing_ijk_mm)
print("GRID", label_map.labels_kji.shape, *spacing, "mm")
