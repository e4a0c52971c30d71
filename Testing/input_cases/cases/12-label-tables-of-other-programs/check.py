from Testing.input_cases.checking import exits_with, matches

exits_with(0)
names = ["FreeSurferColorLUT.txt", "sub-01_dseg.tsv", "sub-01_ColorTable.csv", "sub-01.ctbl"]
for name in (*names, "itksnap.txt"):
    matches(f"out/{name}.nii.gz", "16->13 (name)")
