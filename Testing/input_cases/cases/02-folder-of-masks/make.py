"""A folder with one mask a structure, named by its file."""

from pathlib import Path

import nibabel as nib
import numpy as np

Path("segmentations").mkdir(exist_ok=True)
for name, start in (("thalamus_left", 2), ("thalamus_right", 6), ("brainstem", 9)):
    mask = np.zeros((12, 12, 12), np.uint8)
    mask[start : start + 3, 3:9, 3:9] = 1
    nib.save(nib.Nifti1Image(mask, np.eye(4)), f"segmentations/{name}.nii.gz")
