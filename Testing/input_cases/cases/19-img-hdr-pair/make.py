"""A NIfTI pair: the header in one file, the voxels in another."""

import nibabel as nib
import numpy as np

labels = np.zeros((12, 12, 12), np.uint8)
labels[3:9, 3:9, 3:9] = 13
nib.save(nib.Nifti1Pair(labels, np.eye(4)), "case.img")
