"""A label map of floats with NaN where nothing is labeled."""

import nibabel as nib
import numpy as np

labels = np.full((12, 12, 12), np.nan, np.float32)
labels[3:9, 3:9, 3:9] = 13
nib.save(nib.Nifti1Image(labels, np.eye(4)), "case.nii.gz")
