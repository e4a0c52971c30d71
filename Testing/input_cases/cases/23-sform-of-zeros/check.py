import numpy as np

from AnatoMaskGANLib.volumes import read_volume
from Testing.input_cases.checking import exits_with, makes, matches, says

exits_with(0)
makes("out/o.nii.gz")
matches("out/o.nii.gz", "13->13 (value)")
says("sform that contains only zeros")
place = read_volume("out/o.nii.gz").ijk_to_ras
assert np.allclose(place, np.diag([-1, -1, 1, 1])), place
