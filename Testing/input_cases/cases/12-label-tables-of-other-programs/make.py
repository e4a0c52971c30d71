"""The tables of five programs that make label maps."""

from pathlib import Path

import nibabel as nib
import numpy as np

labels = np.zeros((12, 12, 12), np.uint8)
labels[3:9, 3:9, 3:9] = 16
nib.save(nib.Nifti1Image(labels, np.eye(4)), "sub-01_dseg.nii.gz")
tables = {
    "FreeSurferColorLUT.txt": "# No. Label Name: R G B A\n0 Unknown 0 0 0 0\n16 Brain-Stem 119 159 176 0\n",
    "sub-01_dseg.tsv": "index\tname\tcolor\n16\tBrain-Stem\t#779fb0\n",
    "sub-01_ColorTable.csv": "LabelValue,Name,Color_R,Color_G,Color_B,Color_A\n16,Brain-Stem,1,1,1,1\n",
    "sub-01.ctbl": "# Color table\n16 Brain-Stem 119 159 176 255\n",
    "itksnap.txt": '# ITK-SnAP\n  0 0 0 0 0 0 0 "Clear Label"\n  16 119 159 176 1 1 1 "Brain-Stem"\n',
}
for name, text in tables.items():
    Path(name).write_text(text)
