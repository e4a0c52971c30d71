"""Names before values, as nnU-Net and MAISI write them."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np

labels = np.zeros((12, 12, 12), np.uint8)
labels[3:9, 3:9, 3:9] = 1
nib.save(nib.Nifti1Image(labels, np.eye(4)), "case.nii.gz")
labels = {"background": 0, "Brain-Stem": 1}
Path("dataset.json").write_text(json.dumps({"labels": labels, "file_ending": ".nii.gz"}))
Path("label_dict.json").write_text(json.dumps({"Brain-Stem": 1}))
