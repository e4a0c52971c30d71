"""What the command line can do, one command a file: its options and the function that runs it."""
