from Testing.input_cases.checking import exits_with, makes, matches

exits_with(0)
makes("out/MRHead_synthetic.nrrd")
matches("out/MRHead_synthetic.nrrd", "1->13 (name)")
