"""Whole labels that a scaling to 8 bits has moved by up to 0.03."""

import struct
from pathlib import Path

import nibabel as nib
import numpy as np

labels = np.zeros((12, 12, 12))
labels[3:9, 3:9, 3:9], labels[0], labels[1] = 7, 12, 2
content = bytearray(
    nib.Nifti1Image(np.rint(labels * 255 / 12).astype(np.uint8), np.eye(4)).to_bytes()
)
struct.pack_into("<ff", content, 112, 12 / 255, 0.0)
Path("case.nii").write_bytes(content)
