"""The place is a quaternion that rounding made two millionths longer than one."""

import struct
from pathlib import Path

import nibabel as nib
import numpy as np

labels = np.zeros((12, 12, 12), np.uint8)
labels[3:9, 3:9, 3:9] = 13
image = nib.Nifti1Image(labels, np.diag([-1, -1, 1, 1]))
image.set_sform(None, 0)
image.set_qform(np.diag([-1, -1, 1, 1]), 1)
content = bytearray(image.to_bytes())
struct.pack_into("<3f", content, 256, 0.0, 0.0, 1.000001)
Path("case.nii").write_bytes(content)
