from Testing.input_cases.checking import exits_with, says

exits_with(0)
says("True")
