"""A file named .nii.gz that was never packed."""

from pathlib import Path

import nibabel as nib
import numpy as np

labels = np.zeros((12, 12, 12), np.uint8)
labels[3:9, 3:9, 3:9] = 13
Path("case.nii.gz").write_bytes(nib.Nifti1Image(labels, np.eye(4)).to_bytes())
