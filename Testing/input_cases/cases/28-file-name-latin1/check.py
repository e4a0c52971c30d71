from Testing.input_cases.checking import exits_with, makes, matches

exits_with(0)
makes("out/o.nii.gz")
matches("out/o.nii.gz", "13->13 (value)")
