from Testing.input_cases.checking import exits_with, mean_at

exits_with(0)
callosum = mean_at("out/o2.nii.gz", (9, 9, 11), (15, 15, 13))
beside = mean_at("out/o2.nii.gz", (9, 9, 15), (15, 15, 18))
assert abs(callosum - beside) < 0.2 * beside, f"callosum {callosum:.1f}, white matter {beside:.1f}"
