"""The commands of the command line, one a file: its options and the function that runs it."""
