from Testing.input_cases.checking import exits_with, makes, matches

exits_with(0)
makes("out/segmentations_synthetic.nii.gz")
matches("out/segmentations_synthetic.nii.gz", "1->13 (alias); 2->7 (name); 3->26 (name)")
