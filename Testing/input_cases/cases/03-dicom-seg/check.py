from pathlib import Path

from AnatoMaskGANLib.volumes import read_volume
from Testing.input_cases.checking import makes_nothing, says

if Path("out/o.nii.gz").is_file():
    volume = read_volume("out/o.nii.gz")
    assert volume.voxels_kji.shape == (4, 16, 16), volume.voxels_kji.shape
    matches = volume.provenance["LabelMatches"]
    assert "->13 (" in matches and "->7 (" in matches, matches
else:
    says("is a DICOM segmentation object", "Convert it")
    makes_nothing()
