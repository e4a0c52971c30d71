"""Files as people have them: a case makes one, runs the program on it and checks what comes."""
