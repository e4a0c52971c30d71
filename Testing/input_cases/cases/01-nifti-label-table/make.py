"""The header of the file itself names its value 5, in the XML of a Caret label table."""

import nibabel as nib
import numpy as np

labels = np.zeros((12, 12, 12), np.uint8)
labels[3:9, 3:9, 3:9] = 5
image = nib.Nifti1Image(labels, np.eye(4))
table = (
    '<CaretExtension><VolumeInformation Index="0"><LabelTable><Label Key="5" Red="1" Green="0" '
    'Blue="0" Alpha="1"><![CDATA[liver]]></Label></LabelTable></VolumeInformation>'
    "</CaretExtension>"
)
image.header.extensions.append(nib.nifti1.Nifti1Extension(0, table.encode()))
nib.save(image, "case.nii.gz")
