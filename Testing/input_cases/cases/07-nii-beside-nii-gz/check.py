import numpy as np

from AnatoMaskGANLib.volumes import read_volume
from Testing.input_cases.checking import exits_with, makes, says

exits_with(0)
makes("out/case_synthetic.nii", "out/case_synthetic.nii.gz")
packed, plain = (read_volume(f"out/case_synthetic.{end}") for end in ("nii.gz", "nii"))
assert not np.array_equal(packed.voxels_kji, plain.voxels_kji), "both volumes are of one map"
says("maps/case.nii.gz: 1 of 1", "maps/case.nii: 1 of 1")
