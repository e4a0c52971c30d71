from Testing.input_cases.checking import exits_with, never_says, says

exits_with(1)
says("CompressedDataSize")
never_says("intensity image", "matched")
