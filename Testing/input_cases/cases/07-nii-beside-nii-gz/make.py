"""Two label maps whose names differ in the packing only, read without nibabel."""

from pathlib import Path

import nibabel as nib
import numpy as np

for folder in ("maps", "without-nibabel"):
    Path(folder).mkdir(exist_ok=True)
for name, value in (("case.nii.gz", 13), ("case.nii", 7)):
    labels = np.zeros((12, 12, 12), np.uint8)
    labels[3:9, 3:9, 3:9] = value
    nib.save(nib.Nifti1Image(labels, np.eye(4)), f"maps/{name}")
hidden = "import sys\nsys.modules['nibabel'] = None\n"
Path("without-nibabel/sitecustomize.py").write_text(hidden)
