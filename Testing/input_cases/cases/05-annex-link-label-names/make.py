"""The label map is a link into a store of files; the names lie beside the link."""

import json
import os
from pathlib import Path

import nibabel as nib
import numpy as np

store, case = Path("ds/.git/annex/objects/K1"), Path("ds/sub-01")
for folder in (store, case):
    folder.mkdir(parents=True, exist_ok=True)
labels = np.zeros((12, 12, 12), np.uint8)
labels[3:9, 3:9, 3:9] = 16
nib.save(nib.Nifti1Image(labels, np.eye(4)), store / "K1.nii.gz")
if not os.path.lexists(case / "seg.nii.gz"):
    os.symlink("../.git/annex/objects/K1/K1.nii.gz", case / "seg.nii.gz")
(case / "labels.json").write_text(json.dumps({"16": "Brain-Stem"}))
