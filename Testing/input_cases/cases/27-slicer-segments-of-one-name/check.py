from Testing.input_cases.checking import exits_with, says

exits_with(0)
says("(1, 'Left', 'Left-Putamen'), (2, 'Left', 'Left-Hippocampus')")
