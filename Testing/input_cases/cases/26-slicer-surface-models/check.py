from Testing.input_cases.checking import exits_with, says

exits_with(0)
says("GRID (69, 39, 39)")
