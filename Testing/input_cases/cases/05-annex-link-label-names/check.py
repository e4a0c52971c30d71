from Testing.input_cases.checking import exits_with, matches, says

exits_with(0)
says("1 of 1 labels matched (1 by name)")
matches("out/seg_synthetic.nii.gz", "16->13 (name)")
