"""The sform is said to be there and holds only zeros; the qform is sound."""

import struct
from pathlib import Path

import nibabel as nib
import numpy as np

labels = np.zeros((12, 12, 12), np.uint8)
labels[3:9, 3:9, 3:9] = 13
place = np.diag([-1.0, -1, 1, 1])
image = nib.Nifti1Image(labels, place)
image.set_qform(place, 1)
image.set_sform(place, 1)
content = bytearray(image.to_bytes())
struct.pack_into("<12f", content, 280, *[0.0] * 12)
Path("case.nii").write_bytes(content)
