from AnatoMaskGANLib.volumes import read_volume
from Testing.input_cases.checking import exits_with, makes, matches, says

volume = read_volume("out/o.nii.gz")
assert volume.shape_kji == (4, 16, 16) and volume.spacing_ijk_mm == (1, 1, 2), volume.shape_kji
matches("out/o.nii.gz", "1->13 (code); 2->7 (code)")
says("2 of 2 labels matched (2 by code)")
makes("out/o.nii.gz")
exits_with(1)
