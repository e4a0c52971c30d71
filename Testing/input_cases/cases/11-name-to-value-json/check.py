from Testing.input_cases.checking import exits_with, matches

exits_with(0)
for name in ("dataset.json", "label_dict.json"):
    matches(f"out/{name}.nii.gz", "1->13 (name)")
