from Testing.input_cases.checking import exits_with, makes_nothing, says

exits_with(1)
says("5 liver")
makes_nothing()
