"""A file whose name is Latin-1 on the disk."""

import os

import nibabel as nib
import numpy as np

labels = np.zeros((12, 12, 12), np.uint8)
labels[3:9, 3:9, 3:9] = 13
nib.save(nib.Nifti1Image(labels, np.eye(4)), "x.nii.gz")
os.replace(b"x.nii.gz", b"M\xfcller.nii.gz")
