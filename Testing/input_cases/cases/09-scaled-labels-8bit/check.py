from Testing.input_cases.checking import never_says, says

says("taken for the labels 2, 7, 12", "scaling in its header")
never_says("this is an intensity image")
