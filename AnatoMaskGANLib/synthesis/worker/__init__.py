"""A process beside the program that synthesizes, and how the program talks to it."""
