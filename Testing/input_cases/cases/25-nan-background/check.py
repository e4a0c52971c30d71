from Testing.input_cases.checking import exits_with, makes, matches, says

exits_with(0)
makes("out/o.nii.gz")
matches("out/o.nii.gz", "13->13 (value)")
says("NaN", "background")
