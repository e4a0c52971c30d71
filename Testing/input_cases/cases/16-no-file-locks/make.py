"""A disk on which no file can be locked."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np

case = Path("cases/c1")
for folder in (case, Path("no-locks")):
    folder.mkdir(parents=True, exist_ok=True)
labels = np.zeros((24, 24, 24), np.uint8)
labels[4:20, 4:20, 4:20] = 13
image = (labels * 5 + np.arange(24)[:, None, None]).astype(np.uint8)
for name, array in (("seg", labels), ("image", image)):
    nib.save(nib.Nifti1Image(array, np.eye(4)), case / f"{name}.nii.gz")
Path("cases/labels.json").write_text(json.dumps({"13": "Brain-Stem"}))
Path("no-locks/sitecustomize.py").write_text(
    "import errno, fcntl, os\n\n\ndef flock(*words):\n"
    "    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))\n\n\nfcntl.flock = flock\n"
)
