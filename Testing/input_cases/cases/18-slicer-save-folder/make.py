"""What Slicer saves of a patient: a scan and its segmentation under one name."""

import gzip
from pathlib import Path

import numpy as np

folder = Path("patients/p1")
folder.mkdir(parents=True, exist_ok=True)
labels = np.zeros((12, 12, 12), np.uint8)
labels[3:9, 3:9, 3:9] = 1
header = """NRRD0004
type: {kind}
dimension: 3
space: left-posterior-superior
sizes: 12 12 12
space directions: (1,0,0) (0,1,0) (0,0,1)
kinds: domain domain domain
endian: little
encoding: gzip
space origin: (0,0,0)
{more}
"""
segment = "Segment0_ID:=S1\nSegment0_Name:=Brain-Stem\nSegment0_LabelValue:=1\nSegment0_Layer:=0\n"
scan = np.random.default_rng(0).integers(0, 900, labels.shape).astype("<i2")
for name, kind, more, array in (
    ("MRHead.seg.nrrd", "unsigned char", segment, labels),
    ("MRHead.nrrd", "short", "", scan),
):
    text = header.format(kind=kind, more=more)
    (folder / name).write_bytes(text.encode() + gzip.compress(array.tobytes()))
