"""A separate process that synthesizes, and the messages between it and the program."""
